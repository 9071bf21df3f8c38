"""Suggest the object's mask automatically: by motion, by colours and, if given, by a text.

On a few frames, moving pieces and unions of colours are proposed, and scored for motion and colours
unlike the surroundings, a clear edge, distance from the frame's border, closeness to its centre, a
plausible size, and a match on the other frames where its motion takes it. The best is refined as if
the artist had drawn a box around it, and tracked through the clip. Its score becomes the mask's
confidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.masks import by_motion, by_text, proposals
from backend.masks.boxes import Boxed, from_box
from backend.masks.prompts import Relevancy
from backend.masks.tracker.track import Tracked, Tracker
from backend.motion import fields
from backend.motion.fields import signed_distance
from backend.motion.flow import F32, Flows, Mask, pull
from backend.progress import Reporter, Tick
from protocol.jobs import JobError

PHASE = "Finding the object"

PLACES = (0.25, 0.5, 0.75)  # where in the clip proposals are made, shares of its length
MIN_SHARE, MAX_SHARE = 0.002, 0.5  # plausible share of the frame
SMALL, LARGE = 0.02, 0.3  # shares between which all sizes are equally likely
CENTRE = 0.6  # of half the diagonal: how far from the centre objects lie
RING = 0.5  # of √area: how far around a mask its surroundings reach
STILL = 0.15  # factor for a mask that does not move: some objects are at rest
KEPT = 8  # proposals per frame that are compared with the other frames
ALONE = 0.6  # factor for a proposal found on no other frame: flow loses small fast objects
SLACK = 0.04  # margin of the box around a proposal, share of its size
SURE = 0.25  # score of a certain object
HELP = "Check the mask, or give a mask or a box on one frame for a better layer."


@dataclass(frozen=True)
class Proposal:
    """A mask of a frame and how much it looks like an object, about 0..1."""

    frame: int
    mask: Mask
    score: float
    moves: float = 0.0


@dataclass(frozen=True)
class _Cues:
    """What masks of a frame are scored by: colours, motion [h,w] 0..1 and a text's relevancy."""

    lab: F32
    moving: F32
    blob: F32 | None


def suggest(
    frames: NDArray[np.uint8],
    flows: Flows,
    report: Reporter,
    relevancy: Relevancy | None,
    tracker: Tracker,
) -> tuple[Tracked, F32]:
    """The likeliest object, tracked, and the confidence of its mask, float32 [T] 0..1.

    JobError no_foreground where nothing moves and there is no text.
    """
    count = len(frames)
    size = flows.size[::-1]
    picked = sorted({min(count - 1, int(share * count)) for share in PLACES})
    scores = by_motion.moving(picked, count, flows, report)
    steps = by_motion.levels(list(scores.values()))
    found: list[list[Proposal]] = []
    anything = relevancy is not None
    for i, t in enumerate(picked):
        tick = partial(report.step, PHASE, len(picked) + i, 2 * len(picked))
        tick()
        score = np.asarray(cv2.resize(scores[t], size), np.float32)
        blob = None if relevancy is None else relevancy(frames[t])
        cues = _Cues(proposals.softened(frames[t]), score, blob)
        move = by_motion.pieces(frames[t], score, steps, MIN_SHARE / 2, tick)
        anything |= bool(move)
        masks = move + _pieces(frames[t], tick)
        if blob is not None:
            masks.append(by_text.from_blob(frames[t], blob))
        found.append(_likeliest(t, masks, cues, tick))
    every = [one for frame in found for one in frame]
    if not anything or not every:
        raise JobError(
            "no_foreground",
            "No object that moves against the background was found.",
            "Give a mask or a box of the object on at least one frame.",
        )
    again = []
    for one in every:
        report.step(PHASE, 2 * len(picked), 2 * len(picked))
        again.append(_found_again(one, found, flows))
    worth = [
        one.score * (ALONE + (1 - ALONE) * share) for one, share in zip(every, again, strict=True)
    ]
    best = every[int(np.argmax(worth))]
    boxed = _as_boxed(best, frames, flows, partial(report.step, PHASE, 0, len(frames)))
    tracked = tracker.track(frames, {best.frame: boxed.mask}, flows, report)
    likely = min(1.0, max(worth) / SURE)
    if best.moves < 2 * STILL:
        report.note(
            f"The object was found by its colours and position: the mask is a suggestion. {HELP}"
        )
    elif likely < 1:
        report.note(f"The object was found by its motion, but with low confidence. {HELP}")
    sure = np.full(count, likely * boxed.sure, np.float32)
    return tracked, sure


def _as_boxed(one: Proposal, frames: NDArray[np.uint8], flows: Flows, tick: Tick) -> Boxed:
    """Refine a proposal through its box; keep it unchanged if that finds something else."""
    ys, xs = np.nonzero(one.mask)
    wide, high = SLACK * (np.ptp(xs) + 1), SLACK * (np.ptp(ys) + 1)
    box = (xs.min() - wide, ys.min() - high, xs.max() + 1 + wide, ys.max() + 1 + high)
    boxed = from_box(one.frame, box, frames, flows, one.mask, tick)
    alike = proposals.alike(boxed.mask, one.mask)
    return boxed if alike > 0.5 else Boxed(one.mask, alike)


def _pieces(frame: NDArray[np.uint8], tick: Tick) -> list[Mask]:
    """Connected unions of colours of a plausible size, without duplicates."""
    h, w = frame.shape[:2]
    seen: set[tuple[int, ...]] = set()
    out: list[Mask] = []
    for union in proposals.by_colour(frame, np.ones((h, w), np.bool_), MIN_SHARE, tick):
        tick()
        count, label, stats, _ = cv2.connectedComponentsWithStats(union.astype(np.uint8))
        for i in range(1, count):
            share = stats[i, cv2.CC_STAT_AREA] / (h * w)
            key = tuple(int(v) // 4 for v in stats[i])
            if MIN_SHARE < share < MAX_SHARE and key not in seen:
                seen.add(key)
                out.append(proposals.filled(label == i))
    return out


def _likeliest(t: int, masks: list[Mask], cues: _Cues, tick: Tick) -> list[Proposal]:
    """The KEPT proposals that look most like an object, best first."""
    plausible: list[float] = []
    for one in masks:
        tick()
        plausible.append(_plausibility(one, cues))
    out: list[Proposal] = []
    for i in sorted(range(len(masks)), key=lambda one: -plausible[one]):
        if plausible[i] == 0 or (len(out) == KEPT and plausible[i] < out[-1].score):
            break  # the remaining factors only lower a score
        tick()
        score = plausible[i] * proposals.contrast(cues.lab, masks[i]) * _separation(masks[i], cues)
        out.append(Proposal(t, masks[i], score, _motion(masks[i], cues)))
        out = sorted(out, key=lambda one: -one.score)[:KEPT]
    return out


def _plausibility(mask: Mask, cues: _Cues) -> float:
    """How much a mask looks like an object by its size, position and motion, 0..1."""
    h, w = mask.shape
    share = float(mask.mean())
    if not MIN_SHARE < share < MAX_SHARE:
        return 0.0
    size = min(1.0, share / SMALL) ** 0.25 * min(1.0, (MAX_SHARE - share) / (MAX_SHARE - LARGE))
    ys, xs = np.nonzero(mask)
    off = np.hypot((xs.mean() - w / 2) / (w / 2), (ys.mean() - h / 2) / (h / 2)) / np.sqrt(2)
    central = float(np.exp(-((off / CENTRE) ** 2)))
    # Squared: part of an object may have clearer colours, but only all of it moves as one.
    moves = _motion(mask, cues) ** 2
    return float(
        central * size * moves * proposals.inside_frame(mask) ** 3 * _text_match(cues.blob, mask)
    )


def _separation(mask: Mask, cues: _Cues) -> float:
    """How little of a mask's colours its surroundings have, 0..1; low for part of an object.

    A square root, because objects and their shadows share colours with their surroundings.
    """
    ring = fields.dilate(mask, max(8, round(RING * float(np.sqrt(mask.sum())))))
    return float(np.sqrt(max(0.0, proposals.separate(cues.lab, mask, ring))))


def _motion(mask: Mask, cues: _Cues) -> float:
    """How well a mask matches what moves in the frame, STILL..1."""
    alike = 2 * proposals.moves_alone(cues.moving, mask, np.ones_like(mask)) - 1
    return STILL + (1 - STILL) * max(0.0, alike)


def _text_match(blob: F32 | None, mask: Mask) -> float:
    """How well a mask matches a text's relevancy: 0.33..1; 1 without a text."""
    if blob is None or not mask.any() or mask.all():
        return 1.0
    soft = np.clip(0.5 - signed_distance(mask) / 16, 0, 1)
    alike = float(np.nan_to_num(np.corrcoef(blob.ravel(), soft.ravel())[0, 1]))
    return (1.0 + 0.5 * alike) / 1.5


def _found_again(one: Proposal, found: list[list[Proposal]], flows: Flows) -> float:
    """Overlap, moved along, with the most similar proposals of the other frames: 0..1."""
    best = []
    for others in found:
        if others and others[0].frame == one.frame:
            continue
        there = _moved(one.mask, one.frame, others[0].frame, flows) if others else one.mask
        shares = [proposals.alike(there, other.mask) for other in others]
        best.append(max(shares, default=0.0))
    return float(np.mean(best)) if best else 1.0


def _moved(mask: Mask, start: int, end: int, flows: Flows) -> Mask:
    """A mask moved between two frames by its own smooth motion, in the longest possible steps."""
    way = 1 if end > start else -1
    while start != end and mask.any():
        gap = max(gap for gap in flows.gaps if gap <= abs(end - start))
        step = fields.field(flows, start, start + way * gap, fields.core(mask))
        start += way * gap
        if step is None:
            continue
        small = np.array([step.shape[1] / flows.size[1], step.shape[0] / flows.size[0]], np.float32)
        back = fields.full(fields.inverse(step * small) / small, flows.size)
        mask = pull(signed_distance(mask), back) < 0
    return mask
