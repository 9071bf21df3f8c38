"""Track an object through one stack of frames: whole frames, or crops that follow the object."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.masks.tracker.certainty import CERTAIN, Cues, Judge, expected_of
from backend.masks.tracker.config import TrackerConfig
from backend.masks.tracker.copies import Example
from backend.masks.tracker.edges import sharpened
from backend.masks.tracker.features import ClipFeatures
from backend.masks.tracker.follow import Found, MotionOf, follow, sigmoid
from backend.masks.tracker.head import Head
from backend.masks.tracker.learn import Pool, learn, learn_own, pool_of
from backend.motion import fields
from backend.motion.flow import F32
from backend.progress import Tick

MOST_KEYS = 24  # key frames that are learned from
OWN = 16  # most frames whose own masks are learned from
AGREED = 0.55  # least agreement of the members on such a frame
AGREED_SHARE = 0.35  # share of the frames, those with the least agreement, that never count
BORDER = 2  # pixels; an object this close to the border may leave the frame
SURE = 0.25  # distance from 0.5 of a pixel that is learned from


@dataclass(frozen=True)
class Shot:
    """A stack of frames with what is known of the object in them.

    keys: masks float32 [h,w], 0..1, by frame; at least one is not empty. fronts: bool [T,h,w],
    what is in front of the object.
    """

    features: ClipFeatures
    keys: dict[int, F32]
    motion: MotionOf
    fronts: NDArray[np.bool_] | None = None

    @property
    def count(self) -> int:
        """The number of frames."""
        return len(self.features.frames)


@dataclass(frozen=True)
class Result:
    """masks: float32 [T,h,w], 0..1. cues: of each frame's mask. heads: the head's own masks."""

    masks: F32
    cues: tuple[Cues, ...]
    heads: NDArray[np.float16]

    @property
    def expected(self) -> F32:
        """Overlap with the true masks to be expected, [T]."""
        return expected_of(self.cues)


def work(config: TrackerConfig, count: int, keys: int) -> int:
    """How often `track_shot` calls its tick at most, for progress."""
    walked = count if keys == 1 else 2 * count
    own = config.own_steps + walked if config.own_steps else 0
    return keys + config.copies + config.steps + walked + count + own


def track_shot(shot: Shot, config: TrackerConfig, tick: Tick) -> Result:
    """Learn the object from the key frames, follow it, and judge the masks."""
    rng = np.random.default_rng(0)
    network = shot.features.network
    order = sorted(shot.keys)
    step = -(-len(order) // MOST_KEYS)
    keys = [_example(shot, t) for t in order[::step]]
    pool = pool_of(keys, config.copies, network, rng, tick)
    head = learn(pool, config.steps, rng, network.device, tick)
    found = _both_ways(shot, head, tick)
    if config.own_steps and _add_own(shot, pool, found, rng):
        head = learn_own(head, pool, config.own_steps, rng, network.device, tick)
        found = _both_ways(shot, head, tick)
    return _judged(shot, found, tick)


def _judged(shot: Shot, found: dict[int, Found], tick: Tick) -> Result:
    """What was found, with the key masks, and how good it is."""
    judge = Judge(shot.features, shot.keys)
    empty = np.zeros(shot.features.frames.shape[1:3], np.float32)
    heads = np.zeros(shot.features.frames.shape[:3], np.float16)
    masks: list[F32] = []
    cues: list[Cues] = []
    for t in range(shot.count):
        tick()
        if t in shot.keys:
            masks.append(shot.keys[t])
            cues.append(CERTAIN)
        elif t in found:
            masks.append(found[t].mask)
            heads[t] = found[t].head
            cues.append(judge.cues(t, found[t].mask, found[t].head))
        else:  # the object is said to be absent
            masks.append(empty)
            cues.append(CERTAIN)
    every = np.stack(masks)
    hidden = _unexplained(every > 0.5, shot)
    cues = [replace(one, empty=0.0) if t in hidden and one.empty else one
            for t, one in enumerate(cues)]  # fmt: skip
    return Result(every, tuple(cues), heads)


def _unexplained(masks: NDArray[np.bool_], shot: Shot) -> set[int]:
    """Empty frames whose object neither left the frame nor went behind another one.

    Its last mask, seen from the nearest key frame, is away from the border and what is in front.
    """
    out: set[int] = set()
    for t in np.flatnonzero(~masks.any((1, 2))):
        key = min(shot.keys, key=lambda k: (abs(k - t), k))
        way = range(int(t), key, 1 if key > t else -1)
        last = next((k for k in way if masks[k].any()), key)
        towards = last + (1 if key < t else -1)
        covered = (
            shot.fronts is not None
            and (
                fields.dilate(masks[last], 2) & shot.fronts[min(max(towards, 0), shot.count - 1)]
            ).any()
        )
        if masks[last].any() and not (covered or _at_border(masks[last])):
            out.add(int(t))
    return out


def _at_border(mask: NDArray[np.bool_]) -> bool:
    return bool(
        mask[:BORDER].any() or mask[-BORDER:].any()
        or mask[:, :BORDER].any() or mask[:, -BORDER:].any()
    )  # fmt: skip


def _example(shot: Shot, t: int) -> Example:
    mask = shot.keys[t]
    weight = np.ones_like(mask)
    if shot.fronts is not None:
        weight[shot.fronts[t]] = 0
    return Example(shot.features.frames[t], mask, weight)


def _both_ways(shot: Shot, head: Head, tick: Tick) -> dict[int, Found]:
    """What is found on frames that are no key frames; between two, both walks are blended."""
    order = sorted(shot.keys)
    ahead: dict[int, Found] = {}
    behind: dict[int, Found] = {}
    for key in order:
        if (shot.keys[key] > 0.5).any():
            for out, way in ((ahead, range(key, shot.count)), (behind, range(key, -1, -1))):
                out |= follow(shot.features, shot.keys, head, shot.motion, way, tick)
    blended = {}
    for t in sorted({*ahead, *behind}):
        if t in ahead and t in behind:
            before = max(k for k in order if k < t)
            after = min(k for k in order if k > t)
            share = (t - before) / (after - before)
            blended[t] = _blend(ahead[t], behind[t], share, shot.features.frames[t])
        else:
            blended[t] = ahead[t] if t in ahead else behind[t]
    return blended


def _blend(one: Found, other: Found, share: float, image: NDArray[np.uint8]) -> Found:
    """A mixture of what two walks found on a frame; share: of the other."""
    votes = ((1 - share) * one.votes + share * other.votes).astype(np.float32)
    members = tuple(
        ((1 - share) * a + share * b).astype(np.float16)
        for a, b in zip(one.members, other.members, strict=True)
    )
    return Found(sharpened(sigmoid(votes), image), votes, one.head, members)


def _add_own(shot: Shot, pool: Pool, found: dict[int, Found], rng: np.random.Generator) -> int:
    """Add the masks on whose frames the members agree best to the pool; how many were added."""
    frames = sorted(found)
    if not frames:
        return 0
    agreed = np.array([_agreement(found[t]) for t in frames])
    least = max(AGREED, float(np.quantile(agreed, AGREED_SHARE)))
    good = [t for t, one in zip(frames, agreed, strict=True) if one > least]
    picked = [int(t) for t in rng.permutation(good)[:OWN]]
    for t in picked:
        mask = found[t].mask
        sure = (np.abs(mask - 0.5) > SURE).astype(np.float32)
        if shot.fronts is not None:
            sure[shot.fronts[t]] = 0
        pool.add(shot.features.of(t), (mask > 0.5).astype(np.float32), sure)
    return len(picked)


def _agreement(found: Found) -> float:
    """How well the members and the fused mask agree, 0..1."""
    inside = found.mask > 0.5
    if not inside.any():
        return 0.0
    each = []
    for one in found.members:
        member = one.astype(np.float32) > 0.5
        each.append(float((member & inside).sum()) / float((member | inside).sum()))
    soft = float(found.mask[inside].sum() / (inside.sum() + found.mask[~inside].sum()))
    return float(np.prod(each) ** (1 / len(each))) * soft
