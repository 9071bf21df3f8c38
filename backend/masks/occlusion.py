"""Objects behind others: their visible parts, and their masks continued where hidden.

A mask that ends at the edge of the object in front does not show the outline of the one behind.
There it is continued: each hidden pixel takes the value of the nearest visible one. The soft edge
of the object in front then blends into the object behind it, without a seam.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.motion.flow import F32, Mask

GAP = 2  # pixels between two objects' masks below which the objects touch


def visible(masks: list[F32]) -> list[F32]:
    """Visible parts of soft masks [T,h,w], front to back: in overlaps the front one wins."""
    out: list[F32] = []
    front = np.zeros(masks[0].shape, np.bool_)
    for mask in masks:
        out.append(np.where(front, np.float32(0), mask))
        front = front | (mask > 0.5)
    return out


def continue_behind(masks: NDArray[np.bool_], front: NDArray[np.bool_], depth: float) -> Mask:
    """Masks [T,h,w] extended up to depth pixels behind the objects in front, front [T,h,w]."""
    return np.stack([_continue(*one, depth) for one in zip(masks, front, strict=True)])


def _continue(mask: Mask, front: Mask, depth: float) -> Mask:
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
