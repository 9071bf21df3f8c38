"""Reacquire an object after it was hidden: match its views before and after the gap.

While another object passes in front, little or nothing shows how the one behind moves. Its chained
base maps drift, and its later views would not line up with the earlier ones in the atlas. So the
largest view after each gap is warped onto the reference view by the chain, flow between the two
measures the remaining error, and all maps beyond the gap are corrected by it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.motion.base_maps import F64, similarity
from backend.motion.flow import Mask, agreement, dis_flow, grid
from backend.progress import Reporter

PHASE = "Aligning frames"

SEEN = 0.4  # smallest view that is matched, share of the largest
MIN_PIXELS = 150  # that must agree, both ways, ...
AGREEING = 0.3  # ... and their share of the overlap of the two views
RIM = 2  # pixels next to a mask's edge that are ignored
MAX_SHIFT = 0.25  # of the object's size: larger corrections are rejected


def reacquire(
    frames: NDArray[np.uint8], mask: NDArray[np.bool_], maps: F64, report: Reporter
) -> F64:
    """Base maps [T,3,3] of an object that is hidden at times, corrected beyond each gap.

    frames: uint8 [T,h,w,3]. mask: the object's visible part, bool [T,h,w]. maps: frame → reference
    frame, the one with the largest mask. Unchanged where views cannot be matched.
    """
    area = mask.sum((1, 2))
    reference = int(area.argmax())
    out = maps.copy()
    for step in (-1, 1):
        stop = -1 if step < 0 else len(maps)
        (_, last), *views = _views(area, reference, step)
        correction = np.eye(3)
        for first, end in views:
            report.step(PHASE, 0, 1)
            best = max(range(first, end + step, step), key=lambda t: int(area[t]))
            found = _match(frames, mask, correction @ maps[best], reference, best)
            corrected = correction if found is None else found @ correction
            for t in range(last, first, step):  # in the gap, from one correction to the other
                share = (t - last) / (first - last)
                out[t] = ((1 - share) * correction + share * corrected) @ maps[t]
            for t in range(first, stop, step):
                out[t] = corrected @ maps[t]
            correction, last = corrected, end
    return out


def _views(area: NDArray[np.int_], reference: int, step: int) -> list[tuple[int, int]]:
    """Runs of frames that show much of the object, outwards from the reference.

    Each is (first, last) in the direction of step; the first run begins at the reference.
    """
    stop = -1 if step < 0 else len(area)
    runs: list[tuple[int, int]] = []
    for t in range(reference, stop, step):
        if area[t] < SEEN * area[reference]:
            continue
        if runs and runs[-1][1] == t - step:
            runs[-1] = (runs[-1][0], t)
        else:
            runs.append((t, t))
    return runs


def _match(
    frames: NDArray[np.uint8], mask: NDArray[np.bool_], there: F64, reference: int, t: int
) -> F64 | None:
    """The motion [3,3] that aligns frame t, warped by its map, with the reference; or None."""
    h, w = mask.shape[1:]
    grey = [
        np.asarray(cv2.cvtColor(frames[i], cv2.COLOR_RGB2GRAY), np.uint8) for i in (reference, t)
    ]
    warped = np.asarray(cv2.warpPerspective(grey[1], there, (w, h)), np.uint8)
    shown = cv2.warpPerspective(mask[t].astype(np.uint8), there, (w, h)) > 0
    common = _core(mask[reference]) & _core(shown)
    if common.sum() < MIN_PIXELS:
        return None
    # Each view in front of the same grey, so that flow does not follow the surroundings.
    level = np.uint8(grey[0][mask[reference]].mean())
    one, other = np.where(mask[reference], grey[0], level), np.where(shown, warped, level)
    back, forth = dis_flow(one, other), dis_flow(other, one)
    sure = agreement(back, forth, 1.0) & common
    if sure.sum() < max(MIN_PIXELS, AGREEING * common.sum()):
        return None
    points = (grid((h, w)) + 0.5)[sure].astype(np.float64)
    found = similarity(points + back[sure], points)
    if found is None:
        return None
    middle = np.array([*points.mean(0), 1.0])
    size = float(np.sqrt(mask[reference].sum()))
    return found if np.linalg.norm((found @ middle - middle)[:2]) < MAX_SHIFT * size else None


def _core(mask: Mask) -> Mask:
    kernel = np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)
    return np.asarray(cv2.erode(mask.astype(np.uint8), kernel) > 0)
