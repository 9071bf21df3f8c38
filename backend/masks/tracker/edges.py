"""Move a soft mask's edge to the image's by the guided filter (He et al., 2013)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.motion.flow import F32

REACH = 4  # pixels
LEAST = 2e-3  # variance below which the image has no edge to follow
SHARE = 0.5  # of the filtered mask; the rest is the mask as it was


def sharpened(mask: F32, image: NDArray[np.uint8]) -> F32:
    """A mask [h,w], 0..1, half of it filtered to follow the edges of an image uint8 [h,w,3]."""
    if not (mask > 0.02).any():
        return mask
    ys, xs = np.nonzero((mask > 0.02).any(1))[0], np.nonzero((mask > 0.02).any(0))[0]
    top, left = max(0, ys[0] - 3 * REACH), max(0, xs[0] - 3 * REACH)
    part = np.s_[top : ys[-1] + 3 * REACH + 1, left : xs[-1] + 3 * REACH + 1]
    out = mask.copy()
    filtered = np.clip(_guided(mask[part], np.asarray(image[part] / 255, np.float32)), 0, 1)
    out[part] = SHARE * filtered + (1 - SHARE) * mask[part]
    return out


def _guided(mask: F32, image: F32) -> F32:
    """The mask as a linear function of the colours around each pixel."""

    def mean(x: F32) -> F32:
        return np.asarray(cv2.boxFilter(x, -1, (2 * REACH + 1,) * 2), np.float32)

    r, g, b = (np.ascontiguousarray(image[..., i]) for i in range(3))
    mr, mg, mb, mp = mean(r), mean(g), mean(b), mean(mask)
    cr, cg, cb = mean(r * mask) - mr * mp, mean(g * mask) - mg * mp, mean(b * mask) - mb * mp
    rr, gg, bb = (mean(x * x) - m * m + np.float32(LEAST) for x, m in ((r, mr), (g, mg), (b, mb)))
    rg, rb, gb = mean(r * g) - mr * mg, mean(r * b) - mr * mb, mean(g * b) - mg * mb
    # The 3×3 systems are solved by cofactors; LEAST keeps them well conditioned.
    c00, c01, c02 = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    c11, c12, c22 = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
    scale = 1 / (rr * c00 + rg * c01 + rb * c02)
    ar = (c00 * cr + c01 * cg + c02 * cb) * scale
    ag = (c01 * cr + c11 * cg + c12 * cb) * scale
    ab = (c02 * cr + c12 * cg + c22 * cb) * scale
    offset = mp - ar * mr - ag * mg - ab * mb
    out = mean(ar) * r + mean(ag) * g + mean(ab) * b + mean(offset)
    return np.asarray(out, np.float32)
