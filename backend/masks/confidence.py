"""How far masks can be trusted, frame by frame, and a preview of the worst for the artist.

A good mask agrees with its neighbours in time, its two sides look different, flow at its edge is
reliable, and its size does not jump. Each measure is 0..1; a frame's confidence is their product,
softened, times the confidence of the mask's source. Frames after a loss stay doubtful until the
mask looks like the object again, see `lost.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.masks import appearance
from backend.masks.lost import lost_frames
from backend.motion import fields
from backend.motion.fields import signed_distance
from backend.motion.flow import F32, Flows, Mask, pull
from backend.progress import Reporter

PHASE = "Checking the mask"

DOUBTFUL = 0.55  # confidence below which a note is sent
LOST = 0.3  # most confidence of a frame after a loss
HELPS = 10.0  # frames over which a further mask helps
NAMED = 4  # most runs of frames that a note names
SAMPLES = 700  # pixels per side whose colours are compared
PREVIEW = 512  # longest side of a preview, pixels
BLANK = 2.0  # grey levels of deviation below which a frame shows nothing, as when it is black
NO_OPINION = 0.7  # a measure without evidence


@dataclass(frozen=True)
class Judgement:
    """Measures per frame, each float32 [T] in 0..1.

    steady: overlap with the neighbours' masks moved here. apart: share of pixels near the edge that
    look like their own side. flow: share of trusted flow at the edge. size: how little the area
    jumps. source: confidence of the mask's source, 1 if it gives none. lost: bool [T], the object
    was lost and not found again. expected: overlap with the true masks that the tracker expects;
    where it is known, it replaces the measures.
    """

    steady: F32
    apart: F32
    flow: F32
    size: F32
    source: F32
    lost: NDArray[np.bool_]
    expected: F32 | None = None

    @property
    def confidence(self) -> F32:
        """Of each frame: float32 [T], 0..1."""
        if self.expected is not None:
            return self.expected * self.source
        each = self.evidence * self.source
        return np.where(self.lost, np.minimum(each, LOST), each)

    @property
    def evidence(self) -> F32:
        """Of each frame alone, whatever its source and the frames before it: float32 [T], 0..1."""
        steady = np.clip((self.steady - 0.5) / 0.45, 0, 1)
        apart = np.clip((self.apart - 0.55) / 0.35, 0, 1)
        total = steady * (0.3 + 0.7 * apart) * (0.8 + 0.2 * self.flow) * self.size
        return np.asarray(np.sqrt(total), np.float32)

    @property
    def numbers(self) -> dict[str, float]:
        """For a job's result."""
        each = self.confidence
        return {
            "mask_confidence": float(each.mean()),
            "mask_confidence_worst": float(each.min()),
            "mask_worst_frame": float(each.argmin()),
        }


def judge(
    frames: NDArray[np.uint8],
    masks: NDArray[np.bool_],
    flows: Flows,
    report: Reporter,
    source: F32 | None = None,
    hidden: NDArray[np.bool_] | None = None,
    given: Collection[int] = (),
    expected: F32 | None = None,
) -> Judgement:
    """Judge masks bool [T,h,w] of frames uint8 [T,h,w,3]. source: its confidence, [T].

    hidden: bool [T,h,w], what is in front of the object: only the visible part is judged. given:
    the frames whose masks the others were carried from, if any; what a mask should look like.
    expected: overlap with the true masks, from the tracker, [T].
    """
    count = len(frames)
    front = np.zeros(masks.shape, np.bool_) if hidden is None else hidden
    masks = masks & ~front
    rng = np.random.default_rng(0)
    steady, apart, flow = (np.full(count, NO_OPINION, np.float32) for _ in range(3))
    for t in range(count):
        report.step(PHASE, t, count)
        mask = masks[t]
        neighbours = [o for o in (t - 1, t + 1) if 0 <= o < count and masks[o].any()]
        if not mask.any():
            leaves = [_at_border(masks[o]) for o in neighbours]
            steady[t] = 1.0 if not neighbours or all(leaves) or front[t].any() else 0.5
            apart[t] = flow[t] = 1.0
            continue
        if t not in given and float(frames[t].std((0, 1)).max()) < BLANK:
            steady[t] = apart[t] = 0.0
            continue
        overlaps = [_moved_overlap(o, t, masks, front, flows) for o in neighbours]
        if overlaps:
            steady[t] = max(overlaps)  # one neighbour may be bad itself
        apart[t] = _apart(frames[t], mask, front[t], rng)
        flow[t] = _trust_at_edge(t, count, mask, flows)
    own = np.ones(count, np.float32) if source is None else np.clip(source, 0, 1)
    judged = Judgement(
        steady, apart, flow, _size(masks, front), own.astype(np.float32), np.zeros(count, np.bool_),
        expected,
    )  # fmt: skip
    doubtful = judged.evidence < DOUBTFUL
    if expected is not None or not given or not doubtful.any():
        return judged
    return replace(judged, lost=lost_frames(frames, masks, doubtful, front, given, report))


def _moved_overlap(
    start: int, end: int, masks: NDArray[np.bool_], front: NDArray[np.bool_], flows: Flows
) -> float:
    """Overlap with the neighbour's mask, moved by the object's motion, where both are visible."""
    there = fields.field(flows, start, end, fields.core(masks[start]))
    if there is None:
        return NO_OPINION
    small = np.array([there.shape[1] / flows.size[1], there.shape[0] / flows.size[0]], np.float32)
    way = fields.full(fields.inverse(there * small) / small, flows.size)
    moved = pull(signed_distance(masks[start]), way) < 0
    uncovered = pull(front[start].astype(np.float32), way) > 0
    both = ~(front[end] | uncovered)
    union = float(((moved | masks[end]) & both).sum())
    return float((moved & masks[end] & both).sum()) / union if union else 1.0


def _apart(frame: NDArray[np.uint8], mask: Mask, front: Mask, rng: np.random.Generator) -> float:
    """Share of pixels at the edge that look like their own side, mean of both sides."""
    # What is in front belongs to neither side, and its edge is not the object's.
    rim = fields.dilate(front, 4) if front.any() else front
    distance = np.where(rim, np.float32(0), signed_distance(mask))
    feature = appearance.features(frame)
    far = max(12.0, 0.15 * float(np.sqrt(mask.sum())))
    known = appearance.draw(feature, distance, SAMPLES, 2 * far, rng, gap=4.0)
    near = (np.abs(distance) > 1) & (np.abs(distance) < 4)
    share = []
    for inside in (True, False):
        y, x = np.nonzero(near & (mask == inside))
        if not len(x) or (known.inside == inside).sum() < appearance.STRATA:
            return NO_OPINION
        pick = rng.choice(len(x), min(len(x), SAMPLES), replace=False)
        asked = np.zeros(mask.shape, np.bool_)
        asked[y[pick], x[pick]] = True
        vote = appearance.votes(feature, asked, [known], place=0.15)[asked]
        share.append(float(((vote > 0) == inside).mean()))
    return float(np.mean(share))


def _trust_at_edge(t: int, count: int, mask: Mask, flows: Flows) -> float:
    ring = fields.dilate(mask, 4) & ~fields.erode(mask, 4)
    shares = []
    for other in (t - 1, t + 1):
        if 0 <= other < count and (t, other) in flows.trusted:
            sure = flows.trusted[t, other]
            near = cv2.resize(ring.astype(np.uint8), sure.shape[::-1]) > 0
            if near.any():
                shares.append(float(sure[near].mean()))
    return float(np.mean(shares)) if shares else NO_OPINION


def _size(masks: NDArray[np.bool_], front: NDArray[np.bool_]) -> F32:
    """1 where the area is like its neighbours' or something is in front, less where it jumps."""
    area = masks.sum((1, 2)).astype(np.float64)
    out = np.ones(len(masks), np.float32)
    for t in range(1, len(masks) - 1):
        around = 0.5 * (area[t - 1] + area[t + 1])
        if any(_touches(masks[o], front[o]) for o in (t - 1, t, t + 1)):
            continue
        if around > 0 and area[t] > 0 and area[t - 1] > 0 and area[t + 1] > 0:
            out[t] = np.exp(-2 * max(0.0, abs(np.log(area[t] / around)) - 0.1))
    return out


def _touches(mask: Mask, front: Mask) -> bool:
    """Whether what is in front of an object hides part of it, or may."""
    return bool(front.any() and (not mask.any() or (fields.dilate(front, 2) & mask).any()))


def _at_border(mask: Mask) -> bool:
    return bool(mask[:2].any() or mask[-2:].any() or mask[:, :2].any() or mask[:, -2:].any())


def report_doubtful(
    frames: NDArray[np.uint8],
    masks: NDArray[np.bool_],
    judgement: Judgement,
    report: Reporter,
    first_frame: int = 0,
) -> None:
    """Note which frames have doubtful masks, if any, and preview the worst with its outline.

    first_frame: the artist's number of the first of these frames, minus 1.
    """
    each = judgement.confidence
    order = np.argsort(each, kind="stable")
    doubtful = [int(t) for t in order if each[t] < DOUBTFUL]
    if not doubtful:
        return
    runs = _runs(sorted(doubtful))
    named = ", ".join(
        f"{first_frame + a + 1}" if a == b else f"{first_frame + a + 1} to {first_frame + b + 1}"
        for a, b in runs[:NAMED]
    )
    left = sum(b - a + 1 for a, b in runs[NAMED:])
    more = f" and {left} more" if left else ""
    report.note(
        f"The mask is doubtful on frame{'s' if len(doubtful) > 1 else ''} {named}{more} "
        f"(confidence {each[order[0]]:.2f} on frame {first_frame + int(order[0]) + 1}, "
        f"{each.mean():.2f} on average). Check the preview, and add a mask or a box there: "
        f"on frame {first_frame + most_helpful(each) + 1} it helps most."
    )
    report.preview(outlined(frames[order[0]], masks[order[0]]))


def most_helpful(confidence: F32) -> int:
    """The frame whose mask would help most: amid the most doubt of its neighbourhood. [T]."""
    doubt = np.clip(DOUBTFUL - confidence, 0, None).astype(np.float64)
    frames = np.arange(len(doubt))
    near = np.exp(-np.abs(frames[:, None] - frames) / HELPS)
    return int((near @ doubt).argmax())


def _runs(frames: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending frames as runs, each its first and last frame."""
    runs: list[tuple[int, int]] = []
    for t in frames:
        if runs and runs[-1][1] == t - 1:
            runs[-1] = (runs[-1][0], t)
        else:
            runs.append((t, t))
    return runs


def outlined(frame: NDArray[np.uint8], mask: Mask) -> NDArray[np.uint8]:
    """The frame with the mask's outline drawn: uint8 [h,w,3], long side at most 512."""
    scale = min(1.0, PREVIEW / max(mask.shape))
    size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    out = np.ascontiguousarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))
    inside = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    edges, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(out, edges, -1, (0, 0, 0), 3)
    cv2.drawContours(out, edges, -1, (255, 60, 200), 1)
    return np.asarray(out, np.uint8)
