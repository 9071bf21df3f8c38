"""Which frames follow a loss of the object, until it is found again by its looks.

Frame by frame, a mask that has slipped onto the background soon agrees with its neighbours again.
So once a frame is doubtful, the ones after it, away from the given mask, stay doubtful until the
colours inside the mask are those of the object again, those around it are not, and its size fits.
"""

from __future__ import annotations

from collections.abc import Collection

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.motion import fields
from backend.motion.exposure import levels
from backend.motion.flow import F32, Mask
from backend.progress import Reporter

BINS = (6, 10, 10)  # of L*, a*, b*
ALIKE = 0.75  # of the likeness before the loss, that the object must have when found again
AROUND = 0.2  # how much more of what can be alike around the mask may be, than before the loss
RING = 0.25  # of √area, pixels around the mask that are looked at
SIZES = (0.5, 2.0)  # its area then, relative to before the loss
BORDER = 2  # pixels; an object whose last mask is this close to the border has left the frame


def lost_frames(
    frames: NDArray[np.uint8],
    masks: NDArray[np.bool_],
    doubtful: NDArray[np.bool_],
    front: NDArray[np.bool_],
    given: Collection[int],
    report: Reporter,
) -> NDArray[np.bool_]:
    """Frames that follow a loss: bool [T].

    frames: uint8 [T,h,w,3]. masks: what is seen of the object, bool [T,h,w]. doubtful: bool [T].
    front: bool [T,h,w], what is in front of it. given: the frames with given masks. A frame between
    two given ones is lost only if it is lost from both sides.
    """
    count = len(frames)
    light = levels(frames, report)
    sides = np.ones((2, count), np.bool_)
    reached = np.zeros((2, count), np.bool_)
    for side, step in enumerate((1, -1)):
        end = count if step > 0 else -1
        for start in sorted(given):
            if not masks[start].any():
                continue
            inside = fields.core(masks[start])
            walk = _Walk(_colours(frames[start], inside, light[start]), masks[start])
            for t in range(start, end, step):
                if t != start and t in given:
                    break
                lost = walk.lost(t, frames, masks, bool(doubtful[t]), front, light)
                sides[side, t] = lost and t != start
                reached[side, t] = True
    return np.asarray(sides.all(0) & reached.any(0))


class _Walk:
    """Follows the object away from a given mask."""

    def __init__(self, object_colours: F32, mask: Mask) -> None:
        self._object = object_colours
        self._area = float(mask.sum())
        self._inside: list[float] = []
        self._around: list[float] = []
        self._last = mask
        self._lost = False

    def lost(
        self,
        t: int,
        frames: NDArray[np.uint8],
        masks: NDArray[np.bool_],
        doubtful: bool,
        front: NDArray[np.bool_],
        light: F32,
    ) -> bool:
        """Whether the object is lost on the next frame of the walk."""
        mask = masks[t]
        if not mask.any():
            gone = _at_border(self._last) or bool((fields.dilate(self._last, 2) & front[t]).any())
            self._lost = self._lost or not gone
            return self._lost
        own = _colours(frames[t], fields.core(mask), light[t])
        ring = _colours(frames[t], _ring(mask) & ~front[t], light[t])
        inside, around = _overlap(self._object, own), _overlap(self._object, ring)
        area = float(mask.sum())
        if doubtful:
            self._lost = True
        elif self._lost:
            was_inside, was_around = (
                float(np.median(one)) if one else empty
                for one, empty in ((self._inside, 1.0), (self._around, 0.0))
            )
            self._lost = not (
                inside > ALIKE * was_inside
                and around < was_around + AROUND * (1 - was_around)
                and SIZES[0] < area / self._area < SIZES[1]
            )
        if not self._lost:
            self._inside.append(inside)
            self._around.append(around)
            self._area, self._last = area, mask
        return self._lost


def _ring(mask: Mask) -> Mask:
    """The surroundings of a mask."""
    reach = max(3, round(RING * float(np.sqrt(mask.sum()))))
    return fields.dilate(mask, reach) & ~fields.dilate(mask, 1)


def _at_border(mask: Mask) -> bool:
    rim = mask.copy()
    rim[BORDER:-BORDER, BORDER:-BORDER] = False
    return bool(rim.any())


def _colours(frame: NDArray[np.uint8], part: Mask, light: float) -> F32:
    """Histogram of the colours in a part of a frame, at the shot's usual brightness; sums to 1."""
    pixels = (frame[part].astype(np.float32) / max(float(light), 0.02)).clip(0, 255) / 255
    if not len(pixels):
        return np.zeros(BINS, np.float32)
    lab = cv2.cvtColor(pixels[None], cv2.COLOR_RGB2Lab)[0]
    scaled = (lab + np.array([0, 128, 128])) / (100, 256, 256)
    where = np.minimum((scaled * BINS).astype(np.int64), np.array(BINS) - 1)
    counts = np.zeros(BINS, np.float32)
    np.add.at(counts, tuple(where.T), 1.0)
    # Blur across bins, so that a little shading is no other colour.
    for axis in range(3):
        counts = counts + 0.5 * (np.roll(counts, 1, axis) + np.roll(counts, -1, axis))
    return np.asarray(counts / counts.sum(), np.float32)


def _overlap(one: F32, other: F32) -> float:
    """What two histograms have in common: 0..1."""
    return float(np.minimum(one, other).sum())
