"""How alike two frames are, at a small size: by their colours, and by what flow cannot explain."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.motion.flow import F32, dis_flow, grid, working_size

SMALL = 96  # long side at which frames are compared, pixels; more if flow needs it
BINS = (8, 8, 8)  # of the colour histogram, L*a*b*


def thumbnail(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A frame [H,W,3] at the size at which frames are compared."""
    size = working_size(frame.shape[0], frame.shape[1], SMALL)
    return np.asarray(cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def histogram(small: NDArray[np.uint8]) -> F32:
    """Histogram of a frame's colours; sums to 1."""
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    counts = cv2.calcHist([lab], [0, 1, 2], None, list(BINS), [0, 256, 0, 256, 0, 256])
    # Blur across bins, so that a slow fade or noise at a bin's edge is no new colour.
    soft = counts.astype(np.float32)
    for axis in range(3):
        soft = soft + 0.5 * (np.roll(soft, 1, axis) + np.roll(soft, -1, axis))
    return np.asarray(soft / soft.sum(), np.float32)


def distance(a: F32, b: F32) -> float:
    """Half the sum of two histograms' absolute differences: 0 equal, 1 nothing in common."""
    return float(0.5 * np.abs(a - b).sum())


def unexplained(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """Mean absolute grey difference, 0..1, after warping the earlier frame onto the later."""
    a, b = (cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in (before, after))
    flow = dis_flow(np.asarray(b, np.uint8), np.asarray(a, np.uint8), fast=True)
    at = grid((b.shape[0], b.shape[1])) + flow
    moved = cv2.remap(a, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return float(np.abs(moved.astype(np.float32) - b).mean() / 255)
