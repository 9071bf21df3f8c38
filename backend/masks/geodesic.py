"""Geodesic distance: the length of a path between pixels plus the colour changes along it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.motion.flow import F32, Mask

SIDE = 128  # longer side, pixels, at which distances are computed
STEP = 0.3  # cost of a step within one colour, CIELAB units
ROUNDS = 400  # most relaxations; a path rarely needs as many as the image's longer side
MOVES = ((0, 1, 1.0), (1, 0, 1.0), (1, 1, 1.414), (1, -1, 1.414))


def geodesic(frame: NDArray[np.uint8], seeds: Mask) -> F32:
    """Cost of the cheapest path from the seeds: float32 [h,w], CIELAB units; 1e6 without seeds.

    frame: uint8 [h,w,3]. seeds: bool [h,w].
    """
    h, w = seeds.shape
    scale = min(1.0, SIDE / max(h, w))
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    small = cv2.resize(cv2.GaussianBlur(frame, (0, 0), 1.0), size, interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    near = cv2.resize(seeds.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.3
    far = np.where(near, 0, 1e6).astype(np.float32)
    costs = []
    for dy, dx, length in MOVES:
        step = np.roll(lab, (-dy, -dx), (0, 1)) - lab
        cost = (np.linalg.norm(step, axis=-1) + STEP * length).astype(np.float32)
        if dy:
            cost[-dy:] = 1e6
        if dx > 0:
            cost[:, -dx:] = 1e6
        elif dx < 0:
            cost[:, :-dx] = 1e6
        costs.append(cost)
    for _ in range(ROUNDS):
        before = far.copy()
        for (dy, dx, _length), cost in zip(MOVES, costs, strict=True):
            np.minimum(far, cost + np.roll(far, (-dy, -dx), (0, 1)), out=far)
            np.minimum(far, np.roll(far + cost, (dy, dx), (0, 1)), out=far)
        if np.array_equal(before, far):
            break
    return np.asarray(cv2.resize(far, (w, h)), np.float32)
