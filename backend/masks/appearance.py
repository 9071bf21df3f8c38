"""Tell which side of a mask unknown pixels look like, from samples of known pixels.

Samples (feature, place, side) are compared with unknown pixels by colour and position together,
so a black roof and a black window behind it differ by position.
Shapes: N unknown pixels, M samples, F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from backend.motion.flow import F32, Mask

PLACE = 0.6  # CIELAB units per pixel of distance
STRATA = 3  # random parts of the samples; distance is the mean over the nearest one of each
NOISE = 2.0  # CIELAB units of distance that count as noise
SPREAD = 0.35  # share of the smaller distance that counts as noise too
MAX_VOTE = 4.0
BATCH = 512  # pixels at a time: their distances to all samples fit a core's cache


@dataclass
class Samples:
    """Known pixels. place: float32 [M,2] x, y. feature: float32 [M,F]. inside: bool [M]."""

    place: F32
    feature: F32
    inside: NDArray[np.bool_]

    def moved(self, own: F32, rest: F32) -> Samples:
        """The samples, moved by the object's and the background's fields, each [h,w,2] pixels."""
        if not len(self.place):  # everything is hidden
            return self
        x, y = self.place[:, :1], self.place[:, 1:]
        step = [
            cv2.remap(one, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]
            for one in (rest, own)
        ]
        shift = np.where(self.inside[:, None], step[1], step[0])
        return Samples(self.place + shift, self.feature, self.inside)


def features(frame: NDArray[np.uint8]) -> F32:
    """CIELAB of each pixel and of its surroundings: float32 [h,w,6]. frame: uint8 [h,w,3]."""
    lab = cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    both = [cv2.GaussianBlur(lab, (0, 0), 0.7), 0.7 * cv2.GaussianBlur(lab, (0, 0), 2.5)]
    return np.asarray(np.concatenate(both, -1), np.float32)


def draw(
    feature: F32, distance: F32, count: int, near: float, rng: np.random.Generator, gap: float = 0
) -> Samples:
    """Up to count random samples of each side, denser near the edge.

    distance: signed distance to the mask's edge, negative inside, [h,w]. near: background further
    away is ignored. gap: pixels next to the edge that are ignored, for doubtful masks.
    """
    places, looks, sides = [], [], []
    for inside, chosen in ((True, distance < -gap), (False, (distance > gap) & (distance < near))):
        y, x = np.nonzero(chosen)
        if not len(x):
            continue
        often = 1 / (4 + np.abs(distance[y, x]).astype(np.float64))
        size = min(len(x), count)
        i = rng.choice(len(x), size, replace=False, p=often / often.sum())
        places.append(np.stack([x[i], y[i]], -1).astype(np.float32))
        looks.append(feature[y[i], x[i]])
        sides.append(np.full(size, inside))
    if not places:
        return Samples(
            np.zeros((0, 2), np.float32),
            np.zeros((0, feature.shape[2]), np.float32),
            np.zeros(0, np.bool_),
        )
    return Samples(np.concatenate(places), np.concatenate(looks), np.concatenate(sides))


def votes(feature: F32, asked: Mask, known: list[Samples], place: float = PLACE) -> F32:
    """Whether pixels look like the object (> 0) or its surroundings: −4..4, [h,w].

    0 where not asked, and everywhere if a side has no samples. place: CIELAB units per pixel of
    distance.
    """
    out = np.zeros(asked.shape, np.float32)
    y, x = np.nonzero(asked)
    here = np.concatenate([feature[y, x], place * np.stack([x, y], -1)], -1).astype(np.float32)
    own, rest = (_distance(here, known, side, place) for side in (True, False))
    if own is None or rest is None or not len(x):
        return out
    vote = (rest - own) / (NOISE + SPREAD * np.minimum(own, rest))
    out[y, x] = np.clip(vote, -MAX_VOTE, MAX_VOTE)
    return np.asarray(out, np.float32)


def _distance(here: F32, known: list[Samples], side: bool, place: float) -> F32 | None:
    """Distance to the nearest samples of a side, over all sets: [N]; None without samples."""
    best: F32 | None = None
    for one in known:
        mine = one.inside == side
        size = int(mine.sum()) // STRATA * STRATA
        if not size:
            continue
        at = np.concatenate([one.feature[mine], place * one.place[mine]], -1)[:size]
        there = torch.from_numpy(np.ascontiguousarray(at, np.float32))
        middle = there.mean(0)  # squares of numbers near zero keep their precision
        there = there - middle
        # |a−b|² = |a|² + (|b|² − 2ab): one product, and roots of the smallest only.
        there = torch.cat([-2 * there, (there**2).sum(1, keepdim=True)], 1).T.contiguous()
        parts = []
        for first in range(0, len(here), BATCH):
            asked = torch.from_numpy(here[first : first + BATCH]) - middle
            all_NM = torch.cat([asked, torch.ones(len(asked), 1)], 1) @ there
            least = all_NM.view(len(asked), STRATA, -1).amin(2) + (asked**2).sum(1, keepdim=True)
            parts.append(least.clamp_min_(0).sqrt_().mean(1))
        found = np.asarray(torch.cat(parts).numpy() if parts else np.zeros(0), np.float32)
        best = found if best is None else np.minimum(best, found)
    return best
