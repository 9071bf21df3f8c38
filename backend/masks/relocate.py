"""Find an object that optical flow has lost, by its appearance in the next frame.

When a small object moves further than its own size, optical flow follows its background instead.
So where the object, moved by its flow, does not match the next frame, template matching searches
around it for the place that looks like the object and unlike the background as the camera moves
it. Rotation and scale are then refined.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.motion import fields
from backend.motion.flow import F32, Mask, pull

F64 = NDArray[np.float64]

LOST = 3.5  # CIELAB error from frame to frame above which flow has lost the object
BETTER = 0.75  # largest error of a match, share of the flow's error
CAP = 25.0  # CIELAB units at which a difference stops growing
CLEAR = 0.2  # of CAP²: how much more a place must look like the object than like background
CLEAR_ANYWHERE = 0.4  # the same for a search of the whole frame
SAME = 7.0  # largest CIELAB error of an object that has come back
REACH = 0.12  # search range beyond the last step, share of the frame's longer side
FAR_COST = 0.15  # of CAP²: cost of a place at the end of that range; the last step is likelier
MIN_SEEN = 0.3  # share of the object that must be inside the frame
SEARCH_SIDE = 40.0  # √pixels; larger objects are searched for in smaller images
INSIDE = 2.5  # pixels from its edge at which an object's colours are its own
SAMPLES = 4000  # most pixels of the object that are compared
MIN_PIXELS = 12  # smallest object that can be recognised
STEPS = (1.0, 0.5, 0.25)  # pixels, step sizes of shift, rotation and scale
TURNS = 0.2  # how far rotation and scale may move its rim, share of its radius


def find_moved(
    here: NDArray[np.uint8],
    there: NDArray[np.uint8],
    mask: Mask,
    own: F32,
    rest: F32,
    before: F32 | None,
) -> F64 | None:
    """Motion of an object that flow has lost: similarity [3,3]; None where flow follows it.

    here, there: two frames uint8 [h,w,3]. mask: the object in the first. own, rest: motion of the
    object and of its background by flow, fields [h,w,2] in pixels; before: the object's motion one
    frame earlier.
    """
    if mask.sum() < MIN_PIXELS:
        return None
    first, then = _lab(here), _lab(there)
    patch = _Patch(first, mask)
    error = patch.error_along(then, own)
    if error < LOST:
        return None
    pace = np.zeros(2) if before is None else np.median(before[mask], axis=0).astype(np.float64)
    behind = _background_error(first, then, mask, rest)
    tried = [_best_shift(first, then, mask, behind, pace), None if before is None else pace]
    steps = [patch.refine(then, _translation(shift)) for shift in tried if shift is not None]
    step, least = min(steps, key=lambda one: one[1], default=(np.eye(3), CAP))
    return step if least < BETTER * error else None


def find_returned(
    here: NDArray[np.uint8],
    mask: Mask,
    last: NDArray[np.uint8],
    there: NDArray[np.uint8],
    rest: F32,
    pace: float,
) -> F64 | None:
    """Where an object that had left the frame comes back: similarity [3,3]; None if it does not.

    here: the last frame that showed it well, with its mask. there: the frame to search; last: the
    one before it. rest: motion between these two. pace: pixels of its last step.
    """
    if mask.sum() < MIN_PIXELS:
        return None
    first, then = _lab(here), _lab(there)
    behind = _background_error(_lab(last), then, np.zeros_like(mask), rest)
    found = _best_shift(first, then, mask, behind, None)
    if found is None:
        return None
    step, error = _Patch(first, mask).refine(then, _translation(found))
    y, x = np.nonzero(mask)
    at = np.stack([x, y], -1) @ step[:2, :2].T + step[:2, 2]
    size = float(np.ptp(at, axis=0).max())
    # It enters from outside the frame, so one step cannot take it far in.
    ends = np.array([mask.shape[1] - 1, mask.shape[0] - 1])
    inner = np.minimum(at.min(0), ends - at.max(0)).min()
    return step if error < SAME and inner < pace + 0.5 * size else None


def inverse(step: F64) -> F64:
    """The inverse of a similarity."""
    return np.asarray(np.linalg.inv(step), np.float64)


def motion_field(step: F64, size: tuple[int, int]) -> F32:
    """A similarity of index coordinates as a motion field: [h,w,2]."""
    y, x = np.mgrid[: size[0], : size[1]]
    at = np.stack([x, y, np.ones_like(x)], -1) @ step[:2].T
    return np.asarray(at - np.stack([x, y], -1), np.float32)


def _lab(frame: NDArray[np.uint8]) -> F32:
    """A slightly blurred frame in CIELAB, for comparing patches: float32 [h,w,3]."""
    soft = cv2.GaussianBlur(frame.astype(np.float32) / 255, (0, 0), 1.0)
    return np.asarray(cv2.cvtColor(soft, cv2.COLOR_RGB2Lab), np.float32)


def _weights(mask: Mask) -> F32:
    """How much of each pixel is the object's own colour, 0..1, less at its edge. [h,w]."""
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    deep = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1]
    return np.asarray(np.minimum(deep / INSIDE, 1) ** 2, np.float32)


class _Patch:
    """An object's pixels in a frame, to compare with other frames when moved."""

    def __init__(self, lab: F32, mask: Mask) -> None:
        weights = _weights(mask)
        y, x = (one[:: 1 + int(mask.sum()) // SAMPLES] for one in np.nonzero(mask))
        self.size = mask.shape
        self.at = np.stack([x, y], -1).astype(np.float32)
        self.colour, self.weight = lab[y, x], weights[y, x]
        self.middle = self.at.mean(0).astype(np.float64)
        away = np.linalg.norm(self.at - self.middle, axis=1)
        self.radius = max(2.0, float(np.percentile(away, 90)))

    def error_along(self, lab: F32, own: F32) -> float:
        """CIELAB error between the object and what a frame shows where a field takes it."""
        x, y = self.at.astype(np.int64).T
        return self._error(lab, self.at + own[y, x])

    def _error(self, lab: F32, at: F32) -> float:
        h, w = self.size
        inside = ((at >= 0) & (at <= (w - 1, h - 1))).all(1)
        weight = self.weight * inside
        if weight.sum() < MIN_SEEN * self.weight.sum():
            return CAP
        seen = cv2.remap(lab, at[None, :, 0], at[None, :, 1], cv2.INTER_LINEAR)[0]
        error = np.minimum(((seen - self.colour) ** 2).sum(-1), CAP**2)
        return float(np.sqrt((error * weight).sum() / weight.sum()))

    def _step(self, parts: F64) -> F64:
        """Shift x and y, and the rim's motion by rotation and scale, in pixels → [3,3]."""
        a = np.exp(parts[3] / self.radius) * np.cos(parts[2] / self.radius)
        b = np.exp(parts[3] / self.radius) * np.sin(parts[2] / self.radius)
        linear = np.array([[a, -b], [b, a]])
        out = np.eye(3)
        out[:2, :2] = linear
        out[:2, 2] = self.middle + parts[:2] - linear @ self.middle
        return out

    def refine(self, lab: F32, start: F64) -> tuple[F64, float]:
        """The similarity near `start` with the least error, and that error."""

        def error(parts: F64) -> float:
            step = start @ self._step(parts)
            return self._error(lab, (self.at @ step[:2, :2].T + step[:2, 2]).astype(np.float32))

        best = np.zeros(4)
        least = error(best)
        for size in STEPS:
            for _ in range(4):
                before = least
                for part in range(4):
                    for way in (-size, size):
                        tried = best.copy()
                        tried[part] += way
                        if abs(tried[2:]).max() > TURNS * self.radius:
                            continue
                        value = error(tried)
                        if value < least:
                            best, least = tried, value
                if least == before:
                    break
        return start @ self._step(best), least


def _translation(shift: F64) -> F64:
    out = np.eye(3)
    out[:2, 2] = shift
    return out


def _best_shift(here: F32, there: F32, mask: Mask, behind: F32, before: F64 | None) -> F64 | None:
    """How far an object moved as a whole, x and y in pixels; None without a clear match.

    here, there: both frames, see `_lab`. behind: see `_background_error`. before: its last step;
    None to search the whole frame, which needs a clearer match.
    """
    scale = min(1.0, SEARCH_SIDE / float(np.sqrt(mask.sum())))
    weights = _weights(mask)
    if scale < 1:
        size = round(mask.shape[1] * scale), round(mask.shape[0] * scale)
        here, there, behind, weights = (
            np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_AREA), np.float32)
            for one in (here, there, behind, weights)
        )
        before = None if before is None else before * scale
    h, w = weights.shape
    ys, xs = np.nonzero(weights > 0)
    y0, y1, x0, x1 = int(ys.min()), int(ys.max()) + 1, int(xs.min()), int(xs.max()) + 1
    far = max(h, w) if before is None else REACH * max(h, w) + float(np.hypot(*before))
    reach = int(np.ceil(far))
    # No further than just out of the frame.
    top, left = max(y0 - reach, y0 - y1), max(x0 - reach, x0 - x1)
    bottom, right = min(y1 + reach, h + y1 - y0), min(x1 + reach, w + x1 - x0)
    inside = np.zeros((bottom - top, right - left), np.float32)
    padded = np.zeros((*inside.shape, 4), np.float32)
    rows, columns = slice(max(0, top), min(h, bottom)), slice(max(0, left), min(w, right))
    place = np.s_[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    inside[place] = 1
    padded[place] = np.dstack([there, behind])[rows, columns]

    weight, patch = weights[y0:y1, x0:x1], here[y0:y1, x0:x1]
    total = float(weight.sum())
    ccorr = cv2.TM_CCORR
    seen = cv2.matchTemplate(inside, weight, ccorr) / total
    both = padded[..., :3] * inside[..., None]
    same = (
        cv2.matchTemplate((both**2).sum(-1), weight, ccorr)
        - 2 * cv2.matchTemplate(both, patch * weight[..., None], ccorr)
        + cv2.matchTemplate(inside, (patch**2).sum(-1) * weight, ccorr)
    ) / total
    new = cv2.matchTemplate(padded[..., 3] * inside, weight, ccorr) / total
    dy, dx = np.mgrid[: same.shape[0], : same.shape[1]].astype(np.float32)
    dy, dx = dy + (top - y0), dx + (left - x0)
    away, enough = np.zeros_like(dx), CLEAR_ANYWHERE
    if before is not None:
        away, enough = ((dx - before[0]) ** 2 + (dy - before[1]) ** 2) / far**2, CLEAR
    clear = new - same
    worth = np.where(seen > MIN_SEEN, clear - FAR_COST * CAP**2 * away, -np.inf)
    j, i = np.unravel_index(int(worth.argmax()), worth.shape)
    if clear[j, i] < enough * CAP**2 * seen[j, i]:
        return None
    return np.array([dx[j, i], dy[j, i]], np.float64) / scale


def _background_error(here: F32, there: F32, mask: Mask, rest: F32) -> F32:
    """Squared error of each pixel against the background that the camera moves there, [h,w].

    Behind the object the background is unknown: half of the largest error.
    """
    way = fields.inverse(rest)
    was = pull(here, way)
    error = np.minimum(((there - was) ** 2).sum(-1), CAP**2)
    covered = pull(fields.dilate(mask, 2).astype(np.float32), way) > 0
    return np.where(covered, np.float32(0.5 * CAP**2), error).astype(np.float32)
