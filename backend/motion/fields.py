"""How a region moves: one smooth motion field for the object, one for what is behind it.

Flow at a pixel that was just uncovered is a guess, and a mask pulled along by it drags the
background after the object. The region's own motion, averaged from the inside and continued beyond
its edge, does not. Fields are kept on a quarter of the working size, in working pixels.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.motion.flow import F32, Flows, Mask, pull

SCALES = ((1.0, 1.0), (1e-2, 3.0), (1e-4, 9.0), (1e-6, 25.0))
"""Weight and sigma (quarter-size pixels): the finest average counts wherever it has samples."""
LEAST = 5.0  # samples (half-size pixels) below which a region has no motion of its own
EDGE = 3  # pixels next to a mask's edge whose flow is of neither side
FAR = 4.0  # a motion vote is cut off here, in units of its noise


def field(flows: Flows, start: int, end: int, inside: Mask) -> F32 | None:
    """Smooth motion of a region between two frames, everywhere: [h/4,w/4,2]; None without flow.

    inside: bool [h,w] at frame start. Only trusted flow counts; outliers are left out.
    """
    flow = flows.between[start, end].astype(np.float32)
    h, w = flow.shape[:2]
    near = cv2.resize(inside.astype(np.float32), (w, h), interpolation=cv2.INTER_AREA) > 0.99
    weight = (near & flows.trusted[start, end]).astype(np.float32)
    if weight.sum() < LEAST:
        weight = 0.1 * near.astype(np.float32)
        if weight.sum() < 0.1 * LEAST:
            return None
    quarter = (max(1, (w + 1) // 2), max(1, (h + 1) // 2))
    smooth = _spread(flow, weight, quarter)
    error = np.linalg.norm(flow - cv2.resize(smooth, (w, h)), axis=-1)
    limit = 1.0 + 2.0 * float(np.median(error[weight > 0]))
    weight = (weight * np.exp(-0.5 * (error / limit) ** 2)).astype(np.float32)
    return _spread(flow, weight, quarter)


def _spread(flow: F32, weight: F32, size: tuple[int, int]) -> F32:
    """Weighted averages of flow at growing scales, each only where finer ones saw nothing."""
    both = np.dstack([flow * weight[..., None], weight])
    both = cv2.resize(both, size, interpolation=cv2.INTER_AREA)
    total = np.zeros(both.shape, np.float64)
    for share, sigma in SCALES:
        total += share * cv2.GaussianBlur(both, (0, 0), sigma)
    mean = np.mean(flow[weight > 0], axis=0) if (weight > 0).any() else np.zeros(2)
    floor = 1e-9
    out = (total[..., :2] + floor * mean) / (total[..., 2:] + floor)
    return np.asarray(out, np.float32)


def full(small: F32, size: tuple[int, int]) -> F32:
    """A field at the working size (h, w): [h,w,2]."""
    return np.asarray(cv2.resize(small, size[::-1]), np.float32)


def inverse(there: F32) -> F32:
    """The way back of a smooth field [h,w,2] in its own pixels: b(p) = −f(p + b(p))."""
    back = -there
    for _ in range(4):
        back = -pull(there, back)
    return back


def core(mask: Mask) -> Mask:
    """A mask without its edge, as deep as still leaves a fifth of it."""
    for reach in range(EDGE, 0, -1):
        deep = erode(mask, reach)
        if deep.sum() > 0.2 * mask.sum():
            return deep
    return mask


def erode(mask: Mask, reach: int) -> Mask:
    """A mask without what is within reach of its edge; the frame's border is no edge."""
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return np.asarray(cv2.erode(mask.astype(np.uint8), kernel) > 0)


def dilate(mask: Mask, reach: int) -> Mask:
    """A mask and what is within reach of it."""
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel) > 0)


def motion_votes(t: int, count: int, flows: Flows, rough: Mask) -> F32:
    """Does a pixel move with the object (above 0) or with what is round it: about −4..4, [h,w].

    0 where both move alike or flow is not to be trusted. rough: the object at frame t, within a
    few pixels.
    """
    inside, outside = core(rough), ~dilate(rough, EDGE + 1)
    total: NDArray[np.float32] | None = None
    weight: NDArray[np.float32] | None = None
    for gap in flows.gaps[1:] or flows.gaps:
        for other in (t - gap, t + gap):
            if not 0 <= other < count:
                continue
            own = field(flows, t, other, inside)
            rest = field(flows, t, other, outside)
            if own is None or rest is None:
                continue
            flow = flows.between[t, other].astype(np.float32)
            h, w = flow.shape[:2]
            own, rest = full(own, (h, w)), full(rest, (h, w))
            from_own = np.linalg.norm(flow - own, axis=-1)
            from_rest = np.linalg.norm(flow - rest, axis=-1)
            apart = np.linalg.norm(own - rest, axis=-1)
            vote = (from_rest - from_own) / (1.0 + 0.25 * apart)
            sure = flows.trusted[t, other].astype(np.float32)
            vote = (sure * np.clip(vote, -FAR, FAR)).astype(np.float32)
            total = vote if total is None else total + vote
            weight = sure if weight is None else weight + sure
    if total is None or weight is None:
        return np.zeros(flows.size, np.float32)
    return np.asarray(cv2.resize(total / np.maximum(weight, 1), flows.size[::-1]), np.float32)
