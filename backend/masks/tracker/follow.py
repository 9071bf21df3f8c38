"""Follow the object frame by frame: the head, label propagation and flow are fused.

Each votes with log-odds. Far from where flow expects the object, votes need to be stronger; after a
few frames without the object, it may be anywhere again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from backend.masks.tracker.edges import sharpened
from backend.masks.tracker.features import ClipFeatures
from backend.masks.tracker.head import Head
from backend.masks.tracker.learn import as_last_mask, shrink
from backend.masks.tracker.propagate import Labels, labels, propagated
from backend.motion.flow import F32, pull
from backend.progress import Tick

HEAD, PROPAGATED, FLOW = 1.0, 1.0, 0.6  # weights of the votes; the head's is shared by two
MOST = 4.0  # log-odds of one vote
GAIN = 1.5  # of their weighted mean
UNTRUSTED = 0.25  # what remains of flow's vote where there and back disagree
RECENT = 4  # frames back whose masks are propagated, besides the key frames
MOST_KEYS = 3  # key frames whose masks are propagated: the nearest
FREE, RAMP = 0.3, 0.4  # of √area: how far from the expected mask votes count fully, and fade
WIDER = 0.2  # of √area: how much further for each frame since the object was seen
AWAY = 3.0  # log-odds taken off at the end of the ramp; up to half as much more beyond
FORGOTTEN = 6  # frames after which the object may be anywhere
SEEN = 0.12  # of its usual area: an object at least this large is seen


@dataclass(frozen=True)
class Motion:
    """Flow of frame t to the frame before in the walk, [h,w,2], and its reliability 0..1, [h,w]."""

    back: F32
    trust: F32


MotionOf = Callable[[int, int], Motion]
"""The motion from a frame to a neighbour."""


@dataclass(frozen=True)
class Found:
    """What was found on a frame: float32 [h,w] each.

    mask: 0..1. votes: its log-odds before its edges were sharpened. head: mask of the head alone,
    without the last mask. members: the head with and without it, and label propagation, as masks.
    """

    mask: F32
    votes: F32
    head: F32
    members: tuple[NDArray[np.float16], ...]


def odds(share: F32, least: float) -> F32:
    """Log-odds of a share, which is kept `least` away from 0 and 1."""
    kept = np.clip(share, least, 1 - least)
    return np.asarray(np.log(kept / (1 - kept)), np.float32)


def sigmoid(x: F32) -> F32:
    """The inverse of `odds`."""
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -30, 30))), np.float32)


def follow(
    features: ClipFeatures, keys: dict[int, F32], head: Head, motion: MotionOf,
    order: Sequence[int], tick: Tick,
) -> dict[int, Found]:  # fmt: skip
    """What is found on frames after the first of a walk, which is a key frame.

    keys: masks [h,w], 0..1, by frame; the walk ends before the next one. order: frames.
    """
    start = order[0]
    gate = _Gate(keys[start])
    known = {t: labels(features, t, mask) for t, mask in keys.items()}
    recent: list[Labels] = []
    last = keys[start]
    out: dict[int, Found] = {}
    for before, t in pairwise(order):
        if t in keys:
            break
        tick()
        moved = motion(t, before)
        expected = pull(last, moved.back)
        nearest = sorted(known, key=lambda k: (abs(k - t), k))[:MOST_KEYS]
        if start not in nearest:
            nearest[-1] = start
        labelled = [*(known[k] for k in nearest), *recent]
        found = _fused(features, t, head, expected, moved.trust, labelled, gate)
        out[t], last = found, found.mask
        recent = [*recent[1 - RECENT :], labels(features, t, last)]
    return out


def _fused(
    features: ClipFeatures, t: int, head: Head, expected: F32, trust: F32,
    labelled: list[Labels], gate: _Gate,
) -> Found:  # fmt: skip
    h, w = expected.shape
    alone, informed = _head_votes(features, t, head, expected)
    share = propagated(features, t, labelled)
    share = np.asarray(cv2.resize(share, (w, h), interpolation=cv2.INTER_CUBIC), np.float32)
    reliable = UNTRUSTED + (1 - UNTRUSTED) * trust
    carried = np.asarray(0.5 + (expected - 0.5) * reliable, np.float32)
    looks = odds(share, 0.03)
    votes = 0.5 * HEAD * (np.clip(alone, -MOST, MOST) + np.clip(informed, -MOST, MOST))
    votes = votes + PROPAGATED * looks + FLOW * odds(carried, 0.05)
    votes = votes * np.float32(GAIN / (HEAD + PROPAGATED + FLOW)) - gate.penalty(expected)
    mask = sharpened(sigmoid(votes), features.frames[t])
    gate.update(mask)
    head_mask = sigmoid(alone)
    members = tuple(one.astype(np.float16) for one in (sigmoid(informed), head_mask, share))
    return Found(mask, votes.astype(np.float32), head_mask, members)


@torch.no_grad()
def _head_votes(features: ClipFeatures, t: int, head: Head, expected: F32) -> tuple[F32, F32]:
    """Log-odds of the head without and with the expected mask, each [h,w]."""
    device = features.network.device
    before = as_last_mask(shrink(expected, 4))
    both = torch.from_numpy(np.stack([np.zeros_like(before), before]))[:, None].to(device)
    _, found = head(features.of(t), both)
    alone, informed = (
        cv2.resize(one[0], expected.shape[::-1], interpolation=cv2.INTER_CUBIC)
        for one in found.cpu().numpy()
    )
    return np.asarray(alone, np.float32), np.asarray(informed, np.float32)


class _Gate:
    """Where the object may be, by where flow expects it."""

    def __init__(self, mask: F32) -> None:
        self._area = float((mask > 0.5).sum())
        self._absent = 0

    def penalty(self, expected: F32) -> F32 | float:
        """Log-odds to take off: [h,w]."""
        inside = expected > 0.4
        area = float(inside.sum())
        self._absent = 0 if area >= SEEN * self._area else self._absent + 1
        if not area or self._absent >= FORGOTTEN:
            return 0.0
        side = float(np.sqrt(max(self._area, area)))
        distance = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 3)
        beyond = (distance - (FREE + WIDER * self._absent) * side) / (RAMP * side)
        return np.asarray(AWAY * np.clip(beyond, 0, 1.5), np.float32)

    def update(self, mask: F32) -> None:
        """Follow the object's area while it is seen."""
        if self._absent == 0:
            self._area = 0.9 * self._area + 0.1 * float((mask > 0.5).sum())
