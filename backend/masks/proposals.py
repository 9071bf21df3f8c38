"""Proposals of what could be an object in a frame, and the measures that score them."""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.masks.graph_refine import tidy
from backend.motion import fields
from backend.motion.fields import signed_distance
from backend.motion.flow import F32, Mask
from backend.progress import Tick, nothing

Box = tuple[float, float, float, float]

COLOURS = (4, 7)  # numbers of clusters a frame's colours are split into
UNION = 3  # most clusters in one proposal
ACROSS = 3.0  # pixels to each side of the edge where colours are compared
DIFFERENT = 30.0  # CIELAB units that count as full contrast
BIN = 8.0  # CIELAB units per histogram bin
NEAR_BORDER = 4  # pixels; an edge along the frame's border is ignored


def by_colour(
    frame: NDArray[np.uint8], allowed: Mask, least: float, tick: Tick = nothing
) -> list[Mask]:
    """Masks of one to three colours inside what is allowed: bool [h,w] each.

    frame: uint8 [h,w,3]. least: smallest proposal, share of the allowed area. tick: called for
    each.
    """
    lab = cv2.cvtColor(cv2.GaussianBlur(frame, (0, 0), 1.2).astype(np.float32) / 255,
                       cv2.COLOR_RGB2Lab)  # fmt: skip
    points = np.ascontiguousarray(lab[allowed][:: max(1, int(allowed.sum()) // 6000)])
    area = float(allowed.sum())
    out: list[Mask] = []
    for count in COLOURS:
        if len(points) < 10 * count:
            continue
        cv2.setRNGSeed(0)
        stop = (cv2.TERM_CRITERIA_MAX_ITER + cv2.TERM_CRITERIA_EPS, 20, 0.5)
        start = np.zeros((len(points), 1), np.int32)  # ignored: k-means++ draws its own centres
        _, _, centres = cv2.kmeans(points, count, start, stop, 2, cv2.KMEANS_PP_CENTERS)
        nearest = np.argmin(np.stack([((lab - centre) ** 2).sum(-1) for centre in centres]), axis=0)
        for size in range(1, UNION + 1):
            for chosen in combinations(range(count), size):
                tick()
                mask = whole(np.isin(nearest, chosen) & allowed)
                if least * area < mask.sum() < 0.97 * area:
                    out.append(mask)
    return out


def whole(mask: Mask) -> Mask:
    """A mask without hair-thin parts and specks, small gaps closed."""
    kernel = np.ones((3, 3), np.uint8)
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, kernel)
    return tidy(cv2.morphologyEx(opened, cv2.MORPH_CLOSE, kernel) > 0)


def softened(frame: NDArray[np.uint8]) -> F32:
    """A frame blurred a little, in CIELAB, for scoring masks: float32 [h,w,3]."""
    soft = cv2.GaussianBlur(frame, (0, 0), 1.0).astype(np.float32) / 255
    return np.asarray(cv2.cvtColor(soft, cv2.COLOR_RGB2Lab), np.float32)


def contrast(lab: F32, mask: Mask) -> float:
    """How different the colours on the two sides of a mask's edge are, 0..1. lab: see softened."""
    distance = signed_distance(mask)
    dy, dx = np.gradient(cv2.GaussianBlur(distance, (0, 0), 1.5))
    h, w = mask.shape
    y, x = np.nonzero(np.abs(distance) < 1)
    edge = NEAR_BORDER
    clear = (x >= edge) & (x < w - edge) & (y >= edge) & (y < h - edge)
    y, x = y[clear], x[clear]
    if len(y) < 10:
        return 0.0
    length = np.hypot(dx[y, x], dy[y, x]) + 1e-6
    sides = []
    for step in (ACROSS, -ACROSS):
        row = np.rint(y + step * dy[y, x] / length).clip(0, h - 1).astype(np.int64)
        column = np.rint(x + step * dx[y, x] / length).clip(0, w - 1).astype(np.int64)
        sides.append(lab[row, column])
    apart = np.linalg.norm(sides[0] - sides[1], axis=-1)
    return float(np.minimum(apart, DIFFERENT).mean() / DIFFERENT)


def separate(lab: F32, mask: Mask, around: Mask) -> float:
    """How little of a mask's colours its surroundings have, 0..1 (squared Hellinger distance).

    lab: see softened. around: what the mask is compared with; the mask itself is excluded.
    """
    rest = around & ~mask
    if not mask.any() or not rest.any():
        return 0.0
    # a* and b* are signed; 64 bins a channel hold them all.
    level = np.floor(lab / BIN).astype(np.int64) + 32
    name = (level[..., 0] * 64 + level[..., 1]) * 64 + level[..., 2]
    inside, outside = (
        np.bincount(name[part], minlength=64**3) / part.sum() for part in (mask, rest)
    )
    return 1.0 - float(np.sqrt(inside * outside).sum())


def moves_alone(moving: F32, mask: Mask, around: Mask) -> float:
    """How well a mask matches what moves against the camera, 0..1; ½ without evidence.

    moving: how much each pixel moves, 0..1, [h,w]. around: where they are compared.
    """
    inside = mask[around].astype(np.float32)
    seen = moving[around]
    if inside.std() < 1e-6 or seen.std() < 1e-6:
        return 0.5
    return 0.5 + 0.5 * float(np.corrcoef(inside, seen)[0, 1])


def fills(mask: Mask, box: Box) -> float:
    """Overlap of a mask's bounding box with a box, 0..1; boxes are drawn to touch the object."""
    if not mask.any():
        return 0.0
    ys, xs = np.nonzero(mask)
    own = (float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1))
    wide = max(0.0, min(own[2], box[2]) - max(own[0], box[0]))
    high = max(0.0, min(own[3], box[3]) - max(own[1], box[1]))
    both = (own[2] - own[0]) * (own[3] - own[1]) + (box[2] - box[0]) * (box[3] - box[1])
    return wide * high / max(1e-6, both - wide * high)


def alike(one: Mask, other: Mask) -> float:
    """Overlap of two masks: intersection over union, 0..1; 0 where both are empty."""
    return float((one & other).sum()) / max(1.0, float((one | other).sum()))


def inside_frame(mask: Mask) -> float:
    """Share of a mask's outline that is not the frame's border, 0..1."""
    rim = mask[0].sum() + mask[-1].sum() + mask[:, 0].sum() + mask[:, -1].sum()
    edge = (mask & ~fields.erode(mask, 1)).sum()
    return float(edge / max(1.0, edge + 2.0 * rim))


def solid(mask: Mask) -> float:
    """Share of a mask's area in its largest piece, 0..1."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return float(stats[1:, cv2.CC_STAT_AREA].max() / mask.sum()) if count > 1 else 0.0


def filled(mask: Mask) -> Mask:
    """A mask with its holes filled."""
    count, label = cv2.connectedComponents((~mask).astype(np.uint8), connectivity=4)
    rim = np.concatenate([label[0], label[-1], label[:, 0], label[:, -1]])
    outer = np.isin(np.arange(count), rim)
    return np.asarray(mask | ~outer[label])
