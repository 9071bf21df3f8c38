"""Carry a mask through a clip by optical flow, both ways in time.

Each new mask starts from the earlier masks, moved by the object's own motion (never by the flow of
the background it uncovers). Within a band around that edge, three kinds of evidence then decide:
shape, appearance (pixels of the given mask, moved along, and of the last frame) and motion. An
object that flow loses, or that leaves the frame and returns, is found by its appearance. Where
something in front hides the object, its shape keeps moving and no evidence counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.masks import appearance, relocate
from backend.masks.graph_refine import graph_refine, tidy
from backend.motion import fields
from backend.motion.fields import signed_distance
from backend.motion.flow import F32, Flows, Mask, pull, without
from backend.progress import Reporter

F64 = NDArray[np.float64]
PHASE = "Finding the object"

BACK = (1, 2, 4, 8)  # frames back that a shape is taken from; far ones have drifted less
KEY = 1.5  # weight of a given mask's shape, relative to carried ones
SOFT = 2.0  # pixels from the carried edge that count as one logit
BAND, BAND_LEAST, BAND_MOST = 0.1, 4.0, 14.0  # of √area, pixels
LOOKS, MOVES = 3.0, 2.5  # most logits of appearance and of motion
KNOWN, RECENT = 1500, 900  # samples per side of the given mask and of the last frame
AROUND = 0.35  # of √area: background further away than this is ignored
LOST = 0.1  # share of trusted flow below which an object keeps its last motion
LEAVING = 0.5  # the same where it touches the frame's border, beyond which flow sees nothing
COVERED = 0.35  # the same where something in front hides part of it
COST = 20.0  # extra drift on a frame where the object is fully hidden, in frames
WELL = 0.5  # smallest mask used to recognise an object, share of the given mask's area
GONE = 25  # pixels; an object with a smaller carried mask has left the frame
DISTANCES = -60.0, 60.0  # signed distances are clipped to this range before blending


def carry(
    frames: NDArray[np.uint8],
    given: dict[int, Mask],
    flows: Flows,
    report: Reporter,
    hidden: NDArray[np.bool_] | None = None,
) -> dict[int, Mask]:
    """Masks of every frame from the given ones; between two, both are blended by nearness in time.

    An empty given mask means that the object is not there; carrying stops at it. hidden: bool
    [T,h,w], what is in front of the object; there the masks are a guess.
    """
    count = len(frames)
    if hidden is None:
        hidden = np.zeros((count, *flows.size), np.bool_)
    else:
        flows = without(flows, hidden)
    order = sorted(given)
    progress = _Progress(report, max(1, 2 * (count - len(order))))
    ahead = _one_way(frames, given, flows, hidden, range(count), progress)
    behind = _one_way(frames, given, flows, hidden, range(count - 1, -1, -1), progress)
    drifts = _drift(ahead, hidden), _drift(behind, hidden)
    out: dict[int, Mask] = {}
    for t in range(count):
        if t in given:
            out[t] = given[t]
            continue
        before = max((k for k in order if k < t), default=None)
        after = min((k for k in order if k > t), default=None)
        one = ahead[t] if before is not None and given[before].any() else None
        other = behind[t] if after is not None and given[after].any() else None
        if one is None or other is None or before is None or after is None:
            found = one if one is not None else other
            out[t] = np.zeros(flows.size, np.bool_) if found is None else found
        else:
            out[t] = _blend(one, other, _share_of_later(before, t, after, *drifts))
    return out


def _drift(masks: dict[int, Mask], hidden: NDArray[np.bool_]) -> F64:
    """How much a carried mask may drift on each frame: 1, more where it is hidden; [T]."""
    out = np.ones(len(hidden))
    for t, mask in masks.items():
        out[t] += COST * float((mask & hidden[t]).sum()) / max(1.0, float(mask.sum()))
    return out


def _share_of_later(before: int, t: int, after: int, ahead: F64, behind: F64) -> float:
    """Weight in frame t's mask of the one carried back from `after`, 0..1.

    Linear in time. If something in front hides the object on the way, only the side with less drift
    counts, because blending does not repair drift. ahead, behind: drift on each frame.
    """
    between = slice(before + 1, after)
    if max(ahead[between].max(), behind[between].max()) == 1:
        return (t - before) / (after - before)
    return float(ahead[before + 1 : t + 1].sum() > behind[t:after].sum())


def _blend(one: Mask, other: Mask, share: float) -> Mask:
    """A blend of two outlines; where one is empty, the nearer in time wins. share: of the other."""
    if not one.any() or not other.any():
        return other if share > 0.5 else one
    mixed = (1 - share) * signed_distance(one) + share * signed_distance(other)
    return np.asarray(mixed < 0)


@dataclass
class _Progress:
    report: Reporter
    work: int
    done: int = 0

    def tick(self) -> None:
        self.again()
        self.done += 1

    def again(self) -> None:
        self.report.step(PHASE, min(self.done, self.work), self.work)


@dataclass
class _Run:
    """Frames since the last given mask, starting with it, and its samples moved to the last one."""

    order: list[int] = field(default_factory=list)
    known: appearance.Samples | None = None
    area: float = 0.0
    pace: F32 | None = None  # the object's last motion field


def _one_way(
    frames: NDArray[np.uint8],
    given: dict[int, Mask],
    flows: Flows,
    hidden: NDArray[np.bool_],
    order: range,
    progress: _Progress,
) -> dict[int, Mask]:
    """Carry in one direction of time; frames before the first given mask are left out."""
    rng = np.random.default_rng(0)
    out: dict[int, Mask] = {}
    run: _Run | None = None
    recent = np.zeros(0, np.float32)  # features of the frame before
    for t in order:
        if t in given:
            out[t] = given[t]
            recent = appearance.features(frames[t])
            area = float(given[t].sum())
            distance = _undecided_under(signed_distance(given[t]), hidden[t])
            known = appearance.draw(recent, distance, KNOWN, _surroundings(area), rng)
            run = _Run([t], known, area)
            continue
        if run is None:
            continue
        progress.tick()
        last = run.order[-1]
        feature = appearance.features(frames[t])
        if not out[last].any():
            out[t] = _reappeared(t, frames, out, flows, hidden, run, feature)
            if out[t].any():
                distance = _undecided_under(signed_distance(out[t]), hidden[t])
                run.known = appearance.draw(feature, distance, KNOWN, _surroundings(run.area), rng)
            recent = feature
            run.order.append(t)
            continue
        out[t] = _next(t, frames, out, flows, hidden, run, (recent, feature), rng, progress)
        recent = feature
        run.order.append(t)
    return out


def _undecided_under(distance: F32, hidden: Mask) -> F32:
    """Set the distance to 0 (undecided) where something is in front."""
    return np.where(hidden, np.float32(0), distance)


def _surroundings(area: float) -> float:
    return max(20.0, AROUND * float(np.sqrt(area)))


def _next(
    t: int,
    frames: NDArray[np.uint8],
    masks: dict[int, Mask],
    flows: Flows,
    hidden: NDArray[np.bool_],
    run: _Run,
    looks: tuple[F32, F32],
    rng: np.random.Generator,
    progress: _Progress,
) -> Mask:
    """The mask of frame t from those before it. looks: features of the last frame and of t."""
    last = run.order[-1]
    shape = carried_shape(t, masks, flows, run.order)
    inside, outside = fields.core(masks[last]), ~fields.dilate(masks[last], fields.EDGE)
    own, rest = (fields.field(flows, last, t, one) for one in (inside, outside))
    enough = LEAVING if _at_border(masks[last]) else LOST
    if (masks[last] & hidden[last]).any():
        enough = max(enough, COVERED)
    if run.pace is not None and _trusted_share(flows, last, t, inside) < enough:
        # It leaves the frame faster than flow can follow: it keeps its last motion.
        own = run.pace
        shape = pull(signed_distance(masks[last]), fields.inverse(own))
    if shape is None or own is None:
        shape = signed_distance(masks[last])
        own = np.zeros((2, 2, 2), np.float32)
    rest = own if rest is None else rest
    own, rest = fields.full(own, flows.size), fields.full(rest, flows.size)
    seen = masks[last] & ~hidden[last]
    step = relocate.find_moved(frames[last], frames[t], seen, own, rest, run.pace)
    if step is not None:
        own = relocate.motion_field(step, flows.size)
        shape = pull(
            signed_distance(masks[last]), relocate.motion_field(relocate.inverse(step), flows.size)
        )
    run.pace = own
    progress.again()
    rough = shape < 0
    if rough.sum() < min(GONE, 0.1 * run.area):
        return np.zeros(flows.size, np.bool_)
    known = []
    if run.known is not None:
        run.known = run.known.moved(own, rest)
        known.append(run.known)
    distance = _undecided_under(signed_distance(masks[last]), hidden[last])
    near = appearance.draw(looks[0], distance, RECENT, _surroundings(run.area), rng, gap=1.5)
    known.append(near.moved(own, rest))
    reach = float(np.clip(BAND * np.sqrt(rough.sum()), BAND_LEAST, BAND_MOST))
    free = (np.abs(shape) < reach) & ~hidden[t]
    return decide(t, frames, flows, shape, free, known, looks[1])


def _reappeared(
    t: int,
    frames: NDArray[np.uint8],
    masks: dict[int, Mask],
    flows: Flows,
    hidden: NDArray[np.bool_],
    run: _Run,
    feature: F32,
) -> Mask:
    """The mask of frame t of an object absent from the last frame: empty while it stays away."""
    last = run.order[-1]
    nothing = np.zeros(flows.size, np.bool_)
    whole = [k for k in run.order if masks[k].sum() > WELL * run.area and not _at_border(masks[k])]
    rest = fields.field(flows, last, t, ~nothing)
    if rest is None or hidden[t].any():
        return nothing
    seen = whole[-1] if whole else run.order[0]
    pace = 0.0 if run.pace is None else float(np.linalg.norm(run.pace, axis=-1).max())
    rest = fields.full(rest, flows.size)
    step = relocate.find_returned(frames[seen], masks[seen], frames[last], frames[t], rest, pace)
    if step is None:
        return nothing
    run.pace = None
    shape = pull(
        signed_distance(masks[seen]), relocate.motion_field(relocate.inverse(step), flows.size)
    )
    free = np.abs(shape) < BAND_LEAST
    return decide(t, frames, flows, shape, free, [], feature)


def decide(
    t: int,
    frames: NDArray[np.uint8],
    flows: Flows,
    shape: F32,
    free: Mask,
    known: list[appearance.Samples],
    feature: F32,
) -> Mask:
    """Mask from shape, appearance and motion, refined where free. shape: signed distance [h,w]."""
    evidence = -shape / SOFT
    evidence = evidence + np.clip(appearance.votes(feature, free, known), -LOOKS, LOOKS)
    moves = fields.motion_votes(t, len(frames), flows, shape < 0)
    evidence = evidence + np.clip(moves, -MOVES, MOVES)
    evidence = np.where(free, evidence, -10 * shape).astype(np.float32)
    return tidy(graph_refine(frames[t], evidence, free))


def _at_border(mask: Mask) -> bool:
    rim = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    return any(bool(side.any()) for side in rim)


def _trusted_share(flows: Flows, start: int, end: int, inside: Mask) -> float:
    """Share of a region with trusted flow, 0..1."""
    sure = flows.trusted[start, end]
    deep = cv2.resize(inside.astype(np.uint8), sure.shape[::-1]) > 0
    return float((sure & deep).sum()) / max(1.0, float(deep.sum()))


def carried_shape(t: int, masks: dict[int, Mask], flows: Flows, order: list[int]) -> F32 | None:
    """Signed distance [h,w] of earlier masks moved to frame t by the object's motion, averaged.

    order: the frames carried from, the given one first. None where flow gives no motion.
    """
    total, weight = np.zeros(flows.size, np.float32), 0.0
    for back in BACK:
        if back > len(order) or back not in flows.gaps:
            continue
        start = order[-back]
        mask = masks[start]
        inside = fields.core(mask)
        there = fields.field(flows, start, t, inside) if mask.any() else None
        if there is None:
            continue
        small = np.array(
            [there.shape[1] / flows.size[1], there.shape[0] / flows.size[0]], np.float32
        )
        way = fields.full(fields.inverse(there * small) / small, flows.size)
        share = 0.02 + _trusted_share(flows, start, t, inside)
        share *= KEY if back == len(order) else 1.0
        distance = np.clip(pull(signed_distance(mask), way), *DISTANCES)
        total += np.float32(share) * distance
        weight += share
    return total / np.float32(weight) if weight else None
