"""Find the cuts of a clip: an atlas holds one shot.

At a cut, flow explains the change much worse than between neighbouring frames, and the colours
differ. Fast pans and moving objects keep their colours. Flashes are not cuts: the frame after a
flash looks like the one before it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.motion.flow import dis_flow, working_size
from backend.progress import Reporter

F32 = NDArray[np.float32]
PHASE = "Looking for cuts"

SMALL = 96  # long side at which frames are compared, pixels; more if flow needs it
BINS = (8, 8, 8)  # of the colour histogram, L*a*b*
LEFT = 0.08  # least difference that flow leaves at a cut, share of the grey range
OTHER = 0.1  # least distance of the colour histograms at a cut, 0..1
OUTSTANDING = 2.5  # least ratio of the difference at a cut to that of neighbouring frames
BACK = 0.6  # largest difference across a flash, share of that at its edge
NEAR = 4  # frames to each side that are neighbours


def find_cuts(frames: NDArray[np.uint8], report: Reporter) -> list[int]:
    """First frame of every shot but the first: ascending, never 0.

    frames: uint8 [T,H,W,3] sRGB.
    """
    small = [_thumbnail(frame) for frame in frames]
    histograms = [_histogram(one) for one in small]
    left = np.zeros(len(frames), np.float32)
    for t in range(1, len(frames)):
        if t % 16 == 1:
            report.step(PHASE, t, len(frames))
        left[t] = _unexplained(small[t - 1], small[t])
    cuts: list[int] = []
    for t in range(1, len(frames)):
        near = np.r_[left[max(1, t - NEAR) : t], left[t + 1 : t + 1 + NEAR]]
        usual = float(np.median(near)) if len(near) else 0.0
        if left[t] < max(LEFT, OUTSTANDING * usual):
            continue
        if _distance(histograms[t - 1], histograms[t]) < OTHER:
            continue
        if _is_flash(small, histograms, t, float(left[t])):
            continue
        cuts.append(t)
    return cuts


def _thumbnail(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    size = working_size(frame.shape[0], frame.shape[1], SMALL)
    return np.asarray(cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _histogram(small: NDArray[np.uint8]) -> F32:
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    counts = cv2.calcHist([lab], [0, 1, 2], None, list(BINS), [0, 256, 0, 256, 0, 256])
    # Blur across bins, so that a slow fade or noise at a bin's edge is no new colour.
    soft = counts.astype(np.float32)
    for axis in range(3):
        soft = soft + 0.5 * (np.roll(soft, 1, axis) + np.roll(soft, -1, axis))
    return np.asarray(soft / soft.sum(), np.float32)


def _distance(a: F32, b: F32) -> float:
    """Half the sum of absolute differences: 0 equal, 1 nothing in common."""
    return float(0.5 * np.abs(a - b).sum())


def _unexplained(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """Mean absolute grey difference, 0..1, after warping the earlier frame onto the later."""
    a, b = (cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in (before, after))
    flow = dis_flow(np.asarray(b, np.uint8), np.asarray(a, np.uint8), fast=True)
    y, x = np.mgrid[: b.shape[0], : b.shape[1]].astype(np.float32)
    moved = cv2.remap(a, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR,
                      borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    return float(np.abs(moved.astype(np.float32) - b).mean() / 255)


def _is_flash(small: list[NDArray[np.uint8]], histograms: list[F32], t: int, left: float) -> bool:
    """Whether t begins or ends a flash: one to three frames later, the old image is back.

    left: difference that flow leaves at t.
    """
    for first in range(max(1, t - 3), t + 1):  # the frame where a flash would begin
        for after in range(first + 1, min(first + 4, len(small))):
            if not first <= t <= after:
                continue
            if _distance(histograms[first - 1], histograms[after]) < OTHER and (
                _unexplained(small[first - 1], small[after]) < BACK * left
            ):
                return True
    return False
