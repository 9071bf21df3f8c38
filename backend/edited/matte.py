"""Where edited frames differ from the footage: the matte of the layer.

The difference is a mean over frames with its sign, so that noise and shifts cancel in it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

LEAST = 2.0 / 255  # differences below this are rounding
SIGMAS = 4.0  # of its noise that a difference must exceed
EDGES = 0.25  # of the footage's local contrast that shifts and blur may leave as a difference
STRONG = 2.0  # times the tolerance that some pixel of a changed area must reach
SMALLEST = 12.0  # area of a changed spot, pixels
SMOOTH = 0.8  # blur of the difference, pixels
CLOSED = 1.5  # gaps inside a changed area that count as changed, pixels
FEATHER = 1.0  # width of the rim in which alpha falls to 0, pixels


def changed(
    difference: F32,
    noise: F32 | float,
    contrast: F32 | None = None,
    scale: float = 1.0,
    least: float = LEAST,
) -> F32:
    """Alpha [H,W] in 0..1, 1 where the difference [H,W,3] says that the edit changed something.

    noise: standard deviation of the difference, [H,W] or one for all. contrast: the footage's local
    contrast [H,W], for edits that do not equal the footage exactly elsewhere. scale: texels per
    pixel. least: smallest difference that counts.
    """
    smooth = cv2.GaussianBlur(difference, (0, 0), SMOOTH * scale) if np.any(noise) else difference
    size = np.abs(smooth).max(-1)
    tolerance = np.maximum(least, SIGMAS * noise)
    if contrast is not None:
        tolerance = np.maximum(tolerance, EDGES * contrast)
    weak = (size > tolerance).astype(np.uint8)
    kept = _with_strong(weak, size > STRONG * tolerance, SMALLEST * scale * scale)
    around = cv2.getStructuringElement(
        cv2.MORPH_ELLIPSE, (2 * max(1, round(CLOSED * scale)) + 1,) * 2
    )
    solid = cv2.morphologyEx(kept, cv2.MORPH_CLOSE, around)
    return feathered(solid > 0, FEATHER * scale)


def feathered(area: NDArray[np.bool_], width: float) -> F32:
    """1 in the area, falling to exactly 0 over a width in pixels outside it."""
    if not area.any():
        return np.zeros(area.shape, np.float32)
    away = cv2.distanceTransform((~area).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(np.clip(1 - away / (width + 1e-3), 0, 1), np.float32)


def _with_strong(
    weak: NDArray[np.uint8], strong: NDArray[np.bool_], smallest: float
) -> NDArray[np.uint8]:
    """The connected areas that are large enough and hold a strong pixel."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(weak, connectivity=8)
    certain = np.zeros(count, bool)
    certain[np.unique(labels[strong])] = True
    certain &= stats[:, cv2.CC_STAT_AREA] >= smallest
    certain[0] = False
    return np.asarray(certain[labels], np.uint8)
