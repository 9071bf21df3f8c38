"""An object that was hidden is the same one afterwards: what is seen before and after is matched.

While another object passes in front, only slivers tell how the one behind moves, or nothing. Its
chained base maps drift there, and what is seen afterwards would lie beside itself in the atlas. So
the largest view after such a gap is laid over the reference view by the chain, flow between the two
tells what is left, and all maps beyond the gap are corrected by it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.motion.base_maps import F64, similarity
from backend.motion.flow import Mask, agreement, grid
from backend.progress import Reporter

PHASE = "Aligning frames"

SEEN = 0.4  # share of the largest view that a view must have to be matched
LEAST = 150  # pixels that must agree, both ways, ...
AGREEING = 0.3  # ... and their share of what the two views have in common
RIM = 2  # pixels of a mask's edge that are left out
FAR = 0.25  # of the object's size: a correction by more than this is not believed


def reunite(frames: NDArray[np.uint8], mask: NDArray[np.bool_], maps: F64, report: Reporter) -> F64:
    """Base maps of an object that is hidden at times, views on both sides of a gap in place.

    frames: uint8 [T,h,w,3]. mask: what is seen of the object, bool [T,h,w]. maps: [T,3,3], frame →
    reference frame, the one with the largest mask. Returns maps; as they were where nothing tells
    better.
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
            fresh = correction if found is None else found @ correction
            for t in range(last, first, step):  # the gap: from one correction to the other
                share = (t - last) / (first - last)
                out[t] = ((1 - share) * correction + share * fresh) @ maps[t]
            for t in range(first, stop, step):
                out[t] = fresh @ maps[t]
            correction, last = fresh, end
    return out


def _views(area: NDArray[np.int_], reference: int, step: int) -> list[tuple[int, int]]:
    """Runs of frames, going away from the reference, that show much of the object.

    Each is its first and its last frame, in the direction of step; the first begins at reference.
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
    """What frame t, laid over the reference by its map, must be moved by to fit; None: unknown."""
    h, w = mask.shape[1:]
    grey = [
        np.asarray(cv2.cvtColor(frames[i], cv2.COLOR_RGB2GRAY), np.uint8) for i in (reference, t)
    ]
    laid = np.asarray(cv2.warpPerspective(grey[1], there, (w, h)), np.uint8)
    shown = cv2.warpPerspective(mask[t].astype(np.uint8), there, (w, h)) > 0
    common = _core(mask[reference]) & _core(shown)
    if common.sum() < LEAST:
        return None
    # Each view alone before one grey: what is round the object is not to be followed.
    level = np.uint8(grey[0][mask[reference]].mean())
    one, other = np.where(mask[reference], grey[0], level), np.where(shown, laid, level)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    back, forth = (
        np.asarray(search.calc(*pair, np.zeros((h, w, 2), np.float32)), np.float32)
        for pair in ((one, other), (other, one))
    )
    sure = agreement(back, forth, 1.0) & common
    if sure.sum() < max(LEAST, AGREEING * common.sum()):
        return None
    points = (grid((h, w)) + 0.5)[sure].astype(np.float64)
    found = similarity(points + back[sure], points)
    if found is None:
        return None
    middle = np.array([*points.mean(0), 1.0])
    size = float(np.sqrt(mask[reference].sum()))
    return found if np.linalg.norm((found @ middle - middle)[:2]) < FAR * size else None


def _core(mask: Mask) -> Mask:
    kernel = np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)
    return np.asarray(cv2.erode(mask.astype(np.uint8), kernel) > 0)
