"""Objects behind others: what is seen of them, and how their masks go on where they are hidden.

A mask that ends at the edge of the object in front is not the outline of the one behind. There it
is continued: each hidden pixel is as the nearest one that is seen. So the soft rim of the object in
front shows, through what it leaves, the object behind it where that goes on, and no seam.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.motion.flow import F32, Mask

GAP = 2  # pixels between the masks of two objects that are taken to touch


def seen(masks: list[F32]) -> list[F32]:
    """What is seen of soft masks [T,h,w], front to back: where they overlap, the front one wins."""
    out: list[F32] = []
    front = np.zeros(masks[0].shape, np.bool_)
    for mask in masks:
        out.append(np.where(front, np.float32(0), mask))
        front = front | (mask > 0.5)
    return out


def continued(masks: NDArray[np.bool_], front: NDArray[np.bool_], depth: float) -> Mask:
    """Masks [T,h,w] that go on behind others, front [T,h,w], as far as depth pixels."""
    return np.stack([_continued(*one, depth) for one in zip(masks, front, strict=True)])


def _continued(mask: Mask, front: Mask, depth: float) -> Mask:
    if not mask.any() or not front.any():
        return mask
    size = 2 * GAP + 1
    near = cv2.dilate(front.astype(np.uint8), np.ones((size, size), np.uint8)) > 0
    unknown = near & ~mask
    if unknown.all():
        return mask
    away, nearest = cv2.distanceTransformWithLabels(
        unknown.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    inside = np.zeros(int(nearest.max()) + 1, np.bool_)
    inside[nearest[~unknown]] = mask[~unknown]
    return np.asarray(inside[nearest] & (away <= depth))
