"""Small shifts and global colour of an image against another, by robust least squares.

What agrees in both images decides; what differs is left out as outliers (Tukey's biweight). Images
are float32 [H,W,3] in 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

LOOSE, TIGHT = 0.16, 0.03  # differences that count at first and, at least, in the end
BLURS = (2.0, 1.0, 0.6)
STEPS = 5  # of each stage
LEAST_NOISE = 0.5 / 255


@dataclass(frozen=True)
class Fit:
    """How a moving image has to be changed to agree with a fixed one.

    motion: dx, dy in pixels, or ex, ey, dx, dy with scales 1 + ex, 1 + ey about the left upper
    corner; the moving image shows at x + dx what the fixed one shows at x. gain, offset: of each
    channel, moving = gain · fixed + offset. agreeing: share of the weighted pixels that then agree.
    noise: standard deviation of their difference.
    """

    motion: tuple[float, ...]
    gain: tuple[float, float, float]
    offset: tuple[float, float, float]
    agreeing: float
    noise: float


def align(
    moving: F32,
    fixed: F32,
    weight: F32,
    *,
    scale: bool = False,
    blurs: tuple[float, ...] = BLURS,
) -> Fit:
    """Fit small motion and colour. weight: [H,W] ≥ 0. scale: fit a scale too.

    blurs: of the images at each stage, pixels; fewer stages for images that nearly agree.
    """
    grey_moving, grey_fixed = moving.mean(-1), fixed.mean(-1)
    h, w = grey_fixed.shape
    y, x = np.mgrid[:h, :w].astype(np.float32) + np.float32(0.5)
    motion = np.zeros(4 if scale else 2)
    gain, offset, tolerance = 1.0, 0.0, LOOSE
    trust = weight
    for stage, blur in enumerate(blurs):
        a, b = (cv2.GaussianBlur(one, (0, 0), blur) for one in (grey_moving, grey_fixed))
        for _ in range(STEPS):
            at_x, at_y = moved(x, y, motion)
            seen = sampled(a, at_x, at_y)
            gy, gx = np.gradient(seen)
            slopes = (gx * x, gy * y, gx, gy) if scale else (gx, gy)
            residual = np.asarray(seen - gain * b - offset, np.float32)
            trust = weight * biweight(residual, tolerance) * inside(at_x, at_y, (h, w))
            step = _solve((*slopes, -b, -np.ones_like(b)), -residual, trust)
            if step is None:
                break
            motion += step[:-2]
            gain, offset = gain + step[-2], offset + step[-1]
        noise = spread(residual, weight * (trust > 0))
        tolerance = max(TIGHT, 4.5 * noise, tolerance * 0.4 if stage < 1 else 0.0)
    placed = sampled(moving, *moved(x, y, motion))
    return _colours(placed, fixed, trust, weight, motion)


def _colours(placed: F32, fixed: F32, trust: F32, weight: F32, motion: F64) -> Fit:
    gains, offsets = [], []
    rest = np.zeros(fixed.shape[:2], np.float32)
    for channel in range(3):
        e, s = placed[..., channel], fixed[..., channel]
        gain, offset = 1.0, 0.0
        for _ in range(4):
            made = _solve((s, np.ones_like(s)), e, trust)
            if made is None:
                break
            gain, offset = float(made[0]), float(made[1])
            residual = np.asarray(e - gain * s - offset, np.float32)
            closer = biweight(residual, max(TIGHT, 4.5 * spread(residual, trust)))
            fewer = np.asarray(trust * closer, np.float32)
            trust = fewer if fewer.sum() > 0.2 * trust.sum() else trust
        gains.append(gain)
        offsets.append(offset)
        rest = np.maximum(rest, np.abs(e - gain * s - offset))
    noise = max(LEAST_NOISE, spread(rest, trust))
    close = weight * (rest < max(TIGHT, 4 * noise))
    agreeing = float(close.sum() / max(float(weight.sum()), 1e-6))
    return Fit(
        tuple(motion.tolist()), (gains[0], gains[1], gains[2]),
        (offsets[0], offsets[1], offsets[2]), agreeing, noise,
    )  # fmt: skip


def moved(x: F32, y: F32, motion: F64) -> tuple[F32, F32]:
    """Positions x, y [H,W] after a motion of two or four numbers, as in Fit."""
    ex, ey, dx, dy = motion if len(motion) == 4 else (0.0, 0.0, *motion)
    return (
        np.asarray(x * (1 + ex) + dx, np.float32),
        np.asarray(y * (1 + ey) + dy, np.float32),
    )


def sampled(image: F32, x: F32, y: F32) -> F32:
    """An image at positions whose pixel centres are at +0.5, its edge repeated."""
    seen = cv2.remap(image, x - 0.5, y - 0.5, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.float32)


def inside(x: F32, y: F32, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Positions that lie inside an image of this size."""
    return np.asarray((x >= 0.5) & (x <= size[1] - 0.5) & (y >= 0.5) & (y <= size[0] - 0.5))


def biweight(residual: F32, tolerance: float) -> F32:
    """Tukey's weights, 0 from the tolerance on."""
    share = np.clip(1 - (residual / np.float32(tolerance)) ** 2, 0, None)
    return np.asarray(share * share, np.float32)


def spread(residual: F32, weight: F32) -> float:
    """A robust standard deviation of the residuals where the weight is above 0."""
    used = np.abs(residual[weight > 0])
    return 1.4826 * float(np.median(used)) if used.size else 0.0


def _solve(columns: tuple[F32, ...], wanted: F32, weight: F32) -> F64 | None:
    """Weighted least squares; None if the columns do not determine it."""
    used = weight > 0
    if used.sum() < 8 * len(columns):
        return None
    a = np.stack([column[used] for column in columns]).astype(np.float64)
    w = weight[used].astype(np.float64)
    normal, right = (a * w) @ a.T, (a * w) @ wanted[used].astype(np.float64)
    normal += np.diag(1e-9 * np.diag(normal) + 1e-12)
    try:
        return np.asarray(np.linalg.solve(normal, right))
    except np.linalg.LinAlgError:
        return None
