"""Pulling a rough mask onto the object's edge by colour."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.atlas.flow import Mask

ROUNDS = 2
SAME = 0.75  # a result that overlaps the rough mask less than this is a failure of the colours


def refine(frame: NDArray[np.uint8], rough: Mask, reach: float | None = None) -> Mask:
    """GrabCut (Rother et al., 2004) within a narrow band round a rough mask's edge.

    frame: uint8 [h,w,3]. rough: bool [h,w]. reach: half width of the band in pixels, by default
    4 % of √area within 2..6. A result unlike the rough mask is not believed: the rough mask is
    returned, as it is for masks too small to have colours.
    """
    area = float(rough.sum())
    if area < 40 or rough.all():
        return rough
    if reach is None:
        reach = float(np.clip(0.04 * np.sqrt(area), 2, 6))
    h, w = rough.shape
    ys, xs = np.nonzero(rough)
    pad = int(4 * reach) + 12
    y0, y1 = max(0, int(ys.min()) - pad), min(h, int(ys.max()) + pad + 1)
    x0, x1 = max(0, int(xs.min()) - pad), min(w, int(xs.max()) + pad + 1)
    inside = rough[y0:y1, x0:x1].astype(np.uint8)
    deep = cv2.distanceTransform(cv2.copyMakeBorder(inside, 1, 1, 1, 1, cv2.BORDER_REPLICATE),
                                 cv2.DIST_L2, 5)[1:-1, 1:-1]  # fmt: skip
    far = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    label = np.where(inside > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    label[deep > reach] = cv2.GC_FGD
    label[far > reach] = cv2.GC_BGD
    if not (label == cv2.GC_BGD).any() or not (label == cv2.GC_FGD).any():
        return rough
    crop = np.ascontiguousarray(frame[y0:y1, x0:x1])
    cv2.setRNGSeed(0)  # its colour clusters start from random centres
    cut, _, _ = cv2.grabCut(
        crop, label, (0, 0, 0, 0), np.zeros((1, 65)), np.zeros((1, 65)), ROUNDS,
        cv2.GC_INIT_WITH_MASK,
    )  # fmt: skip
    found = np.zeros_like(rough)
    found[y0:y1, x0:x1] = np.isin(cut, (cv2.GC_FGD, cv2.GC_PR_FGD))
    union = float((found | rough).sum())
    return found if float((found & rough).sum()) > SAME * union else rough
