"""GrabCut: pull a rough mask onto the object's edge by colour."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.motion.flow import Mask
from backend.progress import Tick, nothing

TICK = 0.2  # seconds between ticks
ROUNDS = 2
SAME = 0.75  # a result that overlaps the rough mask less is rejected
PAD = 16  # pixels around what may be the object that give the background's colours


def refine(frame: NDArray[np.uint8], rough: Mask) -> Mask:
    """GrabCut within a narrow band around a rough mask's edge: 2 % of √area, within 2..4 pixels.

    frame: uint8 [h,w,3]. rough: bool [h,w]. Returns the rough mask
    if the result is too unlike it or the mask is too small to have colours.
    """
    area = float(rough.sum())
    if area < 40 or rough.all():
        return rough
    reach = float(np.clip(0.02 * np.sqrt(area), 2, 4))
    inside = rough.astype(np.uint8)
    framed = cv2.copyMakeBorder(inside, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    deep = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1]
    far = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    label = np.where(rough, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    label[deep > reach] = cv2.GC_FGD
    label[far > reach] = cv2.GC_BGD
    found = cut(frame, label)
    if found is None:
        return rough
    union = float((found | rough).sum())
    return found if float((found & rough).sum()) > SAME * union else rough


def cut(
    frame: NDArray[np.uint8],
    label: NDArray[np.uint8],
    rounds: int = ROUNDS,
    pad: int = PAD,
    tick: Tick = nothing,
) -> Mask | None:
    """GrabCut (Rother et al., 2004) of a labelled image: bool [h,w], None if a side is missing.

    frame: uint8 [h,w,3]. label: uint8 [h,w] of cv2.GC_*. pad: pixels around what may be the object
    that give the background's colours. tick: called before every round and several times a second.
    """
    unsure = label != cv2.GC_BGD
    if not unsure.any():
        return None
    ys, xs = np.nonzero(unsure)
    y0, y1 = max(0, int(ys.min()) - pad), int(ys.max()) + pad + 1
    x0, x1 = max(0, int(xs.min()) - pad), int(xs.max()) + pad + 1
    part = label[y0:y1, x0:x1].copy()
    fg = np.isin(part, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if fg.sum() < 10 or (~fg).sum() < 10:  # GrabCut learns five colours per side
        return None
    image = np.ascontiguousarray(frame[y0:y1, x0:x1])
    behind, own = np.zeros((1, 65)), np.zeros((1, 65))
    # A round on a large image takes seconds and cannot be interrupted: run it in a thread.
    pool = ThreadPoolExecutor(
        1, initializer=cv2.setRNGSeed, initargs=(0,)
    )  # seeds the first centres
    try:
        for done in range(rounds):
            how = cv2.GC_EVAL if done else cv2.GC_INIT_WITH_MASK
            tick()
            task = pool.submit(cv2.grabCut, image, part, (0, 0, 0, 0), behind, own, 1, how)
            while wait([task], TICK).not_done:
                tick()
            task.result()  # part, behind and own are updated in place
    finally:
        pool.shutdown(wait=False)
    found = np.zeros(label.shape, np.bool_)
    found[y0:y1, x0:x1] = np.isin(part, (cv2.GC_FGD, cv2.GC_PR_FGD))
    return found
