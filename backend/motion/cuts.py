"""Find the cuts of a clip: an atlas holds one shot.

At a cut, flow explains the change much worse than between neighbouring frames, and the colours
differ. Fast pans and moving objects keep their colours. Flashes are not cuts: the frame after a
flash looks like the one before it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.motion.flow import F32
from backend.motion.likeness import distance, histogram, thumbnail, unexplained
from backend.progress import Reporter

PHASE = "Looking for cuts"

LEFT = 0.08  # least difference that flow leaves at a cut, share of the grey range
OTHER = 0.1  # least distance of the colour histograms at a cut, 0..1
OUTSTANDING = 2.5  # least ratio of the difference at a cut to that of neighbouring frames
BACK = 0.6  # largest difference across a flash, share of that at its edge
NEAR = 4  # frames to each side that are neighbours


def find_cuts(frames: NDArray[np.uint8], report: Reporter) -> list[int]:
    """First frame of every shot but the first: ascending, never 0.

    frames: uint8 [T,H,W,3] sRGB.
    """
    small = [thumbnail(frame) for frame in frames]
    histograms = [histogram(one) for one in small]
    left = np.zeros(len(frames), np.float32)
    for t in range(1, len(frames)):
        if t % 16 == 1:
            report.step(PHASE, t, len(frames))
        left[t] = unexplained(small[t - 1], small[t])
    cuts: list[int] = []
    for t in range(1, len(frames)):
        near = np.r_[left[max(1, t - NEAR) : t], left[t + 1 : t + 1 + NEAR]]
        usual = float(np.median(near)) if len(near) else 0.0
        if left[t] < max(LEFT, OUTSTANDING * usual):
            continue
        if distance(histograms[t - 1], histograms[t]) < OTHER:
            continue
        if _is_flash(small, histograms, t, float(left[t])):
            continue
        cuts.append(t)
    return cuts


def _is_flash(small: list[NDArray[np.uint8]], histograms: list[F32], t: int, left: float) -> bool:
    """Whether t begins or ends a flash: one to three frames later, the old image is back.

    left: difference that flow leaves at t.
    """
    for first in range(max(1, t - 3), t + 1):  # the frame where a flash would begin
        for after in range(first + 1, min(first + 4, len(small))):
            if not first <= t <= after:
                continue
            if distance(histograms[first - 1], histograms[after]) < OTHER and (
                unexplained(small[first - 1], small[after]) < BACK * left
            ):
                return True
    return False
