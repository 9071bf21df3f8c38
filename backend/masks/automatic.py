"""A suggestion of what the object is: by motion, by colours and, if there is one, by a text.

On a few frames, what moves and unions of colours are proposed and judged alike: unlike what is
round it in motion and in colour, a clear edge, off the frame's border, near its middle, of a
believable size, and found again on the other frames where its motion takes it. The likeliest is
worked out as if it had been boxed, and carried through the clip. A suggestion: how likely an object
it is, is its confidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.masks import by_motion, by_text, proposals
from backend.masks.boxes import Boxed, from_box
from backend.masks.carry import carry, signed_distance
from backend.masks.prompts import Relevancy
from backend.motion import fields
from backend.motion.flow import F32, Flows, Mask, pull
from backend.progress import Reporter, Tick
from protocol.jobs import JobError

PHASE = "Finding the object"

LOOKS = (0.25, 0.5, 0.75)  # where in the clip proposals are made
LEAST, MOST = 0.002, 0.5  # believable share of the frame
SMALL, LARGE = 0.02, 0.3  # shares between which no size is likelier than another
MIDDLE = 0.6  # of the half diagonal: how far from the middle objects lie
RING = 0.5  # of √area: how far round a mask its surroundings are
STILL = 0.15  # what a mask counts that does not move by itself: objects rest as well
KEPT = 8  # proposals of a frame that are looked for on the others
ALONE = 0.6  # what a proposal counts that is found on no other frame: flow loses small fast things
SLACK = 0.04  # of its size: how much wider than a proposal its box is
SURE = 0.25  # likeness of an object that is not doubted
HELP = "Check the mask, or give a mask or a box on a frame for a better layer."


@dataclass(frozen=True)
class Proposal:
    """A mask of a frame and how much like an object it is, about 0..1."""

    frame: int
    mask: Mask
    score: float
    moves: float = 0.0


@dataclass(frozen=True)
class _Seen:
    """What masks of a frame are judged by: colours, motion [h,w] 0..1 and a text's relevancy."""

    lab: F32
    moving: F32
    blob: F32 | None


def suggest(
    frames: NDArray[np.uint8], flows: Flows, report: Reporter, relevancy: Relevancy | None = None
) -> tuple[NDArray[np.bool_], F32]:
    """Masks bool [T,h,w] of the likeliest object, and how likely it is one, float32 [T] 0..1.

    JobError no_foreground where nothing moves and no text says what to look for.
    """
    count = len(frames)
    size = flows.size[::-1]
    looks = sorted({min(count - 1, int(share * count)) for share in LOOKS})
    scores = by_motion.moving(looks, count, flows, report)
    steps = by_motion.levels(list(scores.values()))
    found: list[list[Proposal]] = []
    anything = relevancy is not None
    for i, t in enumerate(looks):
        tick = partial(report.step, PHASE, len(looks) + i, 2 * len(looks))
        tick()
        score = np.asarray(cv2.resize(scores[t], size), np.float32)
        blob = None if relevancy is None else relevancy(frames[t])
        seen = _Seen(proposals.softened(frames[t]), score, blob)
        move = by_motion.pieces(frames[t], score, steps, LEAST / 2, tick)
        anything |= bool(move)
        masks = move + _pieces(frames[t], tick)
        if blob is not None:
            masks.append(by_text.from_blob(frames[t], blob))
        found.append(_likeliest(t, masks, seen, tick))
    every = [one for frame in found for one in frame]
    if not anything or not every:
        raise JobError(
            "no_foreground",
            "No object was found that moves against the background.",
            "Give a mask or a box of the object on at least one frame.",
        )
    again = []
    for one in every:
        report.step(PHASE, 2 * len(looks), 2 * len(looks))
        again.append(_found_again(one, found, flows))
    worth = [
        one.score * (ALONE + (1 - ALONE) * share) for one, share in zip(every, again, strict=True)
    ]
    best = every[int(np.argmax(worth))]
    worked_out = _worked_out(best, frames, flows, partial(report.step, PHASE, 0, len(frames)))
    hard = carry(frames, {best.frame: worked_out.mask}, flows, report)
    likely = min(1.0, max(worth) / SURE)
    if best.moves < 2 * STILL:
        report.note(f"The object was found by its colours and place: it is a suggestion. {HELP}")
    elif likely < 1:
        report.note(f"The object was found by its motion, but it is not clearly one. {HELP}")
    sure = np.full(count, likely * worked_out.sure, np.float32)
    return np.stack([hard[t] for t in range(count)]), sure


def _worked_out(one: Proposal, frames: NDArray[np.uint8], flows: Flows, tick: Tick) -> Boxed:
    """A proposal decided as if it had been boxed; left as it is where that is another thing."""
    ys, xs = np.nonzero(one.mask)
    wide, high = SLACK * (np.ptp(xs) + 1), SLACK * (np.ptp(ys) + 1)
    box = (xs.min() - wide, ys.min() - high, xs.max() + 1 + wide, ys.max() + 1 + high)
    boxed = from_box(one.frame, box, frames, flows, one.mask, tick)
    alike = proposals.alike(boxed.mask, one.mask)
    return boxed if alike > 0.5 else Boxed(one.mask, alike)


def _pieces(frame: NDArray[np.uint8], tick: Tick) -> list[Mask]:
    """Connected unions of colours of a believable size, each once."""
    h, w = frame.shape[:2]
    seen: set[tuple[int, ...]] = set()
    out: list[Mask] = []
    for union in proposals.by_colour(frame, np.ones((h, w), np.bool_), LEAST, tick):
        tick()
        count, label, stats, _ = cv2.connectedComponentsWithStats(union.astype(np.uint8))
        for i in range(1, count):
            share = stats[i, cv2.CC_STAT_AREA] / (h * w)
            key = tuple(int(v) // 4 for v in stats[i])
            if LEAST < share < MOST and key not in seen:
                seen.add(key)
                out.append(proposals.filled(label == i))
    return out


def _likeliest(t: int, masks: list[Mask], seen: _Seen, tick: Tick) -> list[Proposal]:
    """The KEPT proposals most like an object, best first."""
    placed: list[float] = []
    for one in masks:
        tick()
        placed.append(_placed(one, seen))
    out: list[Proposal] = []
    for i in sorted(range(len(masks)), key=lambda one: -placed[one]):
        if placed[i] == 0 or (len(out) == KEPT and placed[i] < out[-1].score):
            break  # colours only take away from this
        tick()
        score = placed[i] * proposals.contrast(seen.lab, masks[i]) * _apart(masks[i], seen)
        out.append(Proposal(t, masks[i], score, _moves(masks[i], seen)))
        out = sorted(out, key=lambda one: -one.score)[:KEPT]
    return out


def _placed(mask: Mask, seen: _Seen) -> float:
    """How much like an object a mask is by its size, place and motion, 0..1."""
    h, w = mask.shape
    share = float(mask.mean())
    if not LEAST < share < MOST:
        return 0.0
    size = min(1.0, share / SMALL) ** 0.25 * min(1.0, (MOST - share) / (MOST - LARGE))
    ys, xs = np.nonzero(mask)
    off = np.hypot((xs.mean() - w / 2) / (w / 2), (ys.mean() - h / 2) / (h / 2)) / np.sqrt(2)
    middle = float(np.exp(-((off / MIDDLE) ** 2)))
    # Squared: half of an object may well have clearer colours, but only all of it moves alone.
    moves = _moves(mask, seen) ** 2
    return float(middle * size * moves * proposals.alone(mask) ** 3 * _text(seen.blob, mask))


def _apart(mask: Mask, seen: _Seen) -> float:
    """How little its surroundings have of a mask's colours, 0..1: a part is like the rest of it.

    The root, for objects and their shadows share colours with what is round them.
    """
    ring = fields.dilate(mask, max(8, round(RING * float(np.sqrt(mask.sum())))))
    return float(np.sqrt(max(0.0, proposals.separate(seen.lab, mask, ring))))


def _moves(mask: Mask, seen: _Seen) -> float:
    """How well a mask is what moves in the whole frame, STILL..1."""
    alike = 2 * proposals.moves_alone(seen.moving, mask, np.ones_like(mask)) - 1
    return STILL + (1 - STILL) * max(0.0, alike)


def _text(blob: F32 | None, mask: Mask) -> float:
    """How much likelier a text makes a mask: 0.33..1; 1 without a text."""
    if blob is None or not mask.any() or mask.all():
        return 1.0
    soft = np.clip(0.5 - signed_distance(mask) / 16, 0, 1)
    alike = float(np.nan_to_num(np.corrcoef(blob.ravel(), soft.ravel())[0, 1]))
    return (1.0 + 0.5 * alike) / 1.5


def _found_again(one: Proposal, found: list[list[Proposal]], flows: Flows) -> float:
    """Overlap with the most alike proposals of the other frames, there where it moves to: 0..1."""
    best = []
    for others in found:
        if others and others[0].frame == one.frame:
            continue
        there = _moved(one.mask, one.frame, others[0].frame, flows) if others else one.mask
        shares = [proposals.alike(there, other.mask) for other in others]
        best.append(max(shares, default=0.0))
    return float(np.mean(best)) if best else 1.0


def _moved(mask: Mask, start: int, end: int, flows: Flows) -> Mask:
    """A mask moved from frame to frame by its own smooth motion, in steps as long as there are."""
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
