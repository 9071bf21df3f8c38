"""How a region moves: one smooth motion field for the object, one for its background.

Flow at a pixel that was just uncovered is a guess, and a mask moved by it drags background along.
The region's own motion, averaged inside it and extrapolated beyond its edge, does not. Fields are
kept at a quarter of the working size, in working pixels.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.motion.flow import F32, Flows, Mask, pull

SCALES = ((1.0, 1.0), (1e-2, 3.0), (1e-4, 9.0), (1e-6, 25.0))
"""Weight and sigma (quarter-size pixels): the finest average with samples dominates."""
MIN_SAMPLES = 5.0  # half-size pixels; a smaller region has no motion of its own
EDGE = 3  # pixels next to a mask's edge whose flow belongs to neither side
MAX_VOTE = 4.0  # in units of its noise


def field(flows: Flows, start: int, end: int, inside: Mask) -> F32 | None:
    """Smooth motion of a region between two frames, everywhere: [h/4,w/4,2]; None without flow.

    inside: bool [h,w] at frame start. Untrusted flow and outliers are ignored.
    """
    flow = flows.between[start, end].astype(np.float32)
    h, w = flow.shape[:2]
    near = cv2.resize(inside.astype(np.float32), (w, h), interpolation=cv2.INTER_AREA) > 0.99
    weight = (near & flows.trusted[start, end]).astype(np.float32)
    if weight.sum() < MIN_SAMPLES:
        weight = 0.1 * near.astype(np.float32)
        if weight.sum() < 0.1 * MIN_SAMPLES:
            return None
    quarter = (max(1, (w + 1) // 2), max(1, (h + 1) // 2))
    smooth = _spread(flow, weight, quarter)
    error = np.linalg.norm(flow - cv2.resize(smooth, (w, h)), axis=-1)
    limit = 1.0 + 2.0 * float(np.median(error[weight > 0]))
    weight = (weight * np.exp(-0.5 * (error / limit) ** 2)).astype(np.float32)
    return _spread(flow, weight, quarter)


def _spread(flow: F32, weight: F32, size: tuple[int, int]) -> F32:
    """Weighted averages of flow at growing scales, each used where finer ones have no samples."""
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
    """A field resized to the working size (h, w): [h,w,2]."""
    return np.asarray(cv2.resize(small, size[::-1]), np.float32)


def inverse(there: F32) -> F32:
    """The inverse of a smooth field [h,w,2] in its own pixels: b(p) = −f(p + b(p))."""
    back = -there
    for _ in range(4):
        back = -pull(there, back)
    return back


def core(mask: Mask) -> Mask:
    """A mask eroded while at least 20 % of its area remains."""
    for reach in range(EDGE, 0, -1):
        deep = erode(mask, reach)
        if deep.sum() > 0.2 * mask.sum():
            return deep
    return mask


def erode(mask: Mask, reach: int) -> Mask:
    """A mask without the pixels within reach of its edge; the frame's border is no edge."""
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return np.asarray(cv2.erode(mask.astype(np.uint8), kernel) > 0)


def dilate(mask: Mask, reach: int) -> Mask:
    """A mask and the pixels within reach of it."""
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel) > 0)


def signed_distance(mask: Mask) -> F32:
    """Distance to a mask's edge in pixels, negative inside; ±1e3 where there is no edge. [h,w]."""
    if not mask.any() or mask.all():
        return np.full(mask.shape, -1e3 if mask.any() else 1e3, np.float32)
    inside = mask.astype(np.uint8)
    out = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    deep = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    return np.asarray(np.where(mask, 0.5 - deep, out - 0.5), np.float32)


def motion_votes(t: int, count: int, flows: Flows, rough: Mask) -> F32:
    """Whether a pixel moves with the object (> 0) or with its surroundings: −4..4, [h,w].

    0 where both move alike or flow is not trusted. rough: the object at frame t, within a few
    pixels.
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
            vote = (sure * np.clip(vote, -MAX_VOTE, MAX_VOTE)).astype(np.float32)
            total = vote if total is None else total + vote
            weight = sure if weight is None else weight + sure
    if total is None or weight is None:
        return np.zeros(flows.size, np.float32)
    return np.asarray(cv2.resize(total / np.maximum(weight, 1), flows.size[::-1]), np.float32)
