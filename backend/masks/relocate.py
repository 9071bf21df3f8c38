"""An object that flow loses, followed by its looks: where in the next frame is what was seen here?

Flow of something small that moves further than its own size is the flow of what is behind it. So
wherever the object, moved by its flow, does not look like the next frame, it is looked for all
around, as one piece: where the frame looks like the object and unlike what the camera's motion
says is behind it. Where it is found, its turning and growing are tried out.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.motion import fields
from backend.motion.flow import F32, Mask, pull

F64 = NDArray[np.float64]

UNLIKE = 3.5  # CIELAB units by which a well followed object differs from frame to frame, at most
BETTER = 0.75  # of flow's error, that what is found may have at most
MOST = 25.0  # CIELAB units beyond which colours are wholly different
CLEAR = 0.2  # of MOST², by which a place must look more like the object than like what is behind
CLEARLY = 0.4  # the same where it may be anywhere
AGAIN = 7.0  # CIELAB units by which an object that comes back differs, at most
RANGE = 0.12  # of the frame's longer side: how far it is looked for, besides its last step
LIKELY = 0.15  # of MOST², that a place costs at the end of that range: the last step is likelier
SEEN = 0.3  # share of the object that must be inside the frame
SIDE = 40.0  # √pixels of an object, above which it is looked for in smaller pictures
DEEP = 2.5  # pixels from its edge at which an object's colours are its own
ASKED = 4000  # pixels of it, at most, that are compared when it is moved
LEAST = 12  # pixels of an object that can be recognised
STEPS = (1.0, 0.5, 0.25)  # pixels by which a shift, a turn and a scale are tried
TURNS = 0.2  # of its radius: how far turning and growing may move its rim in a step


def pursue(
    here: NDArray[np.uint8],
    there: NDArray[np.uint8],
    mask: Mask,
    own: F32,
    rest: F32,
    before: F32 | None,
) -> F64 | None:
    """The motion of an object that flow loses: similarity [3,3]; None where flow follows it.

    here, there: two frames uint8 [h,w,3]. mask: the object in the first. own, rest: its motion by
    flow and that of what is behind it, fields [h,w,2] in pixels; before: its own in the last step.
    """
    if mask.sum() < LEAST:
        return None
    first, then = _looks(here), _looks(there)
    piece = _Piece(first, mask)
    error = piece.unlike(then, own)
    if error < UNLIKE:
        return None
    pace = np.zeros(2) if before is None else np.median(before[mask], axis=0).astype(np.float64)
    behind = _behind(first, then, mask, rest)
    tried = [_find(first, then, mask, behind, pace), None if before is None else pace]
    steps = [piece.refined(then, _shifted(shift)) for shift in tried if shift is not None]
    step, least = min(steps, key=lambda one: one[1], default=(np.eye(3), MOST))
    return step if least < BETTER * error else None


def returned(
    here: NDArray[np.uint8],
    mask: Mask,
    last: NDArray[np.uint8],
    there: NDArray[np.uint8],
    rest: F32,
    pace: float,
) -> F64 | None:
    """Where an object comes back that had left the frame: similarity [3,3]; None while it does not.

    here: the frame that it was last seen in well, with its mask. last, there: the frame before, and
    the one in which it is looked for. rest: motion between these. pace: pixels of its last step.
    """
    if mask.sum() < LEAST:
        return None
    first, then = _looks(here), _looks(there)
    behind = _behind(_looks(last), then, np.zeros_like(mask), rest)
    found = _find(first, then, mask, behind, None)
    if found is None:
        return None
    step, error = _Piece(first, mask).refined(then, _shifted(found))
    y, x = np.nonzero(mask)
    at = np.stack([x, y], -1) @ step[:2, :2].T + step[:2, 2]
    size = float(np.ptp(at, axis=0).max())
    # It comes from outside: in one step it cannot get far in.
    ends = np.array([mask.shape[1] - 1, mask.shape[0] - 1])
    inner = np.minimum(at.min(0), ends - at.max(0)).min()
    return step if error < AGAIN and inner < pace + 0.5 * size else None


def back(step: F64) -> F64:
    """The way back of a similarity."""
    return np.asarray(np.linalg.inv(step), np.float64)


def field(step: F64, size: tuple[int, int]) -> F32:
    """A similarity of index coordinates as a motion field: [h,w,2]."""
    y, x = np.mgrid[: size[0], : size[1]]
    at = np.stack([x, y, np.ones_like(x)], -1) @ step[:2].T
    return np.asarray(at - np.stack([x, y], -1), np.float32)


def _looks(frame: NDArray[np.uint8]) -> F32:
    """A frame's colours as pieces are compared by them: CIELAB, float32 [h,w,3]."""
    soft = cv2.GaussianBlur(frame.astype(np.float32) / 255, (0, 0), 1.0)
    return np.asarray(cv2.cvtColor(soft, cv2.COLOR_RGB2Lab), np.float32)


def _weights(mask: Mask) -> F32:
    """How much each pixel is the object's own, 0..1: those at its edge are mixed. [h,w]."""
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    deep = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1]
    return np.asarray(np.minimum(deep / DEEP, 1) ** 2, np.float32)


class _Piece:
    """An object's pixels in a frame, and how they would look moved."""

    def __init__(self, looks: F32, mask: Mask) -> None:
        weights = _weights(mask)
        y, x = (one[:: 1 + int(mask.sum()) // ASKED] for one in np.nonzero(mask))
        self.size = mask.shape
        self.at = np.stack([x, y], -1).astype(np.float32)
        self.colour, self.weight = looks[y, x], weights[y, x]
        self.middle = self.at.mean(0).astype(np.float64)
        away = np.linalg.norm(self.at - self.middle, axis=1)
        self.radius = max(2.0, float(np.percentile(away, 90)))

    def unlike(self, looks: F32, own: F32) -> float:
        """How much it differs from what is seen where a field takes it, CIELAB units."""
        x, y = self.at.astype(np.int64).T
        return self._error(looks, self.at + own[y, x])

    def _error(self, looks: F32, at: F32) -> float:
        h, w = self.size
        inside = ((at >= 0) & (at <= (w - 1, h - 1))).all(1)
        weight = self.weight * inside
        if weight.sum() < SEEN * self.weight.sum():
            return MOST
        seen = cv2.remap(looks, at[None, :, 0], at[None, :, 1], cv2.INTER_LINEAR)[0]
        error = np.minimum(((seen - self.colour) ** 2).sum(-1), MOST**2)
        return float(np.sqrt((error * weight).sum() / weight.sum()))

    def _step(self, parts: F64) -> F64:
        """Shift x and y, and what turning and growing move the rim by, in pixels → [3,3]."""
        a = np.exp(parts[3] / self.radius) * np.cos(parts[2] / self.radius)
        b = np.exp(parts[3] / self.radius) * np.sin(parts[2] / self.radius)
        linear = np.array([[a, -b], [b, a]])
        out = np.eye(3)
        out[:2, :2] = linear
        out[:2, 2] = self.middle + parts[:2] - linear @ self.middle
        return out

    def refined(self, looks: F32, start: F64) -> tuple[F64, float]:
        """The similarity near another that makes it look most alike, and how unlike it is then."""

        def error(parts: F64) -> float:
            step = start @ self._step(parts)
            return self._error(looks, (self.at @ step[:2, :2].T + step[:2, 2]).astype(np.float32))

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


def _shifted(shift: F64) -> F64:
    out = np.eye(3)
    out[:2, 2] = shift
    return out


def _find(here: F32, there: F32, mask: Mask, behind: F32, before: F64 | None) -> F64 | None:
    """How far an object moved as a whole, x and y in pixels; None where it is not surely seen.

    here, there: looks of both frames. behind: see `_behind`. before: its last step; None where it
    may be anywhere, and must be clearer.
    """
    scale = min(1.0, SIDE / float(np.sqrt(mask.sum())))
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
    far = max(h, w) if before is None else RANGE * max(h, w) + float(np.hypot(*before))
    reach = int(np.ceil(far))
    # No further out of the frame than wholly.
    top, left = max(y0 - reach, y0 - y1), max(x0 - reach, x0 - x1)
    bottom, right = min(y1 + reach, h + y1 - y0), min(x1 + reach, w + x1 - x0)
    inside = np.zeros((bottom - top, right - left), np.float32)
    padded = np.zeros((*inside.shape, 4), np.float32)
    rows, columns = slice(max(0, top), min(h, bottom)), slice(max(0, left), min(w, right))
    place = np.s_[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    inside[place] = 1
    padded[place] = np.dstack([there, behind])[rows, columns]

    weight, piece = weights[y0:y1, x0:x1], here[y0:y1, x0:x1]
    total = float(weight.sum())
    ccorr = cv2.TM_CCORR
    seen = cv2.matchTemplate(inside, weight, ccorr) / total
    both = padded[..., :3] * inside[..., None]
    same = (
        cv2.matchTemplate((both**2).sum(-1), weight, ccorr)
        - 2 * cv2.matchTemplate(both, piece * weight[..., None], ccorr)
        + cv2.matchTemplate(inside, (piece**2).sum(-1) * weight, ccorr)
    ) / total
    new = cv2.matchTemplate(padded[..., 3] * inside, weight, ccorr) / total
    dy, dx = np.mgrid[: same.shape[0], : same.shape[1]].astype(np.float32)
    dy, dx = dy + (top - y0), dx + (left - x0)
    away, enough = np.zeros_like(dx), CLEARLY
    if before is not None:
        away, enough = ((dx - before[0]) ** 2 + (dy - before[1]) ** 2) / far**2, CLEAR
    clear = new - same
    worth = np.where(seen > SEEN, clear - LIKELY * MOST**2 * away, -np.inf)
    j, i = np.unravel_index(int(worth.argmax()), worth.shape)
    if clear[j, i] < enough * MOST**2 * seen[j, i]:
        return None
    return np.array([dx[j, i], dy[j, i]], np.float64) / scale


def _behind(here: F32, there: F32, mask: Mask, rest: F32) -> F32:
    """How unlike each pixel is what the camera's motion brings there, squared, [h,w].

    Where that is the object itself, nothing is known of what is behind it: half of the most.
    """
    way = fields.inverse(rest)
    was = pull(here, way)
    error = np.minimum(((there - was) ** 2).sum(-1), MOST**2)
    covered = pull(fields.dilate(mask, 2).astype(np.float32), way) > 0
    return np.where(covered, np.float32(0.5 * MOST**2), error).astype(np.float32)
