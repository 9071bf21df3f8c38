"""Extracting hand-painted strokes from a copy of a frame or atlas.

The copy opened for painting (the canvas) has the alpha GROUND everywhere and is shown without its
alpha. A brush raises the alpha as it covers the canvas, so each pixel tells how much of it is paint
and in which colour: a soft stroke stays soft. An opaque copy is compared with the frame instead:
the pixels that differ are paint. An image with transparency of its own is used as it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..wire import jobs

GROUND = 192  # lower: finer alpha steps; higher: a soft stroke looks more like the result
_RETOUCHED = 8  # a larger difference without more alpha is smearing, not the rim of a stroke
_RIM = 2  # pixels around erased paint where the alpha may happen to equal GROUND


def make_canvas(image_HWC: NDArray[np.uint8], ground: int = GROUND) -> NDArray[np.uint8]:
    """A canvas to paint on, uint8 [H,W,4], from an image uint8 [H,W,3|4]."""
    alpha = np.full((*image_HWC.shape[:2], 1), ground, np.uint8)
    return np.concatenate([image_HWC[..., :3], alpha], -1)


def extract_paint(
    image_HW4: NDArray[np.uint8], frame_HW3: NDArray[np.uint8], name: str, ground: int = 0
) -> NDArray[np.uint8]:
    """The paint alone: uint8 [H,W,4] straight alpha; raises JobError when there is none.

    ground: the canvas' original alpha; 0: the image was not opened as a canvas.
    """
    _check_size(image_HW4, frame_HW3, name)
    if ground:
        paint = _unblend(image_HW4, frame_HW3, ground)
        if not paint[..., 3].any():
            raise _nothing_painted(name)
        return paint
    if _has_transparency(image_HW4):
        alpha = image_HW4[..., 3]
    else:
        differs = image_HW4[..., 0] != frame_HW3[..., 0]
        for channel in (1, 2):
            differs |= image_HW4[..., channel] != frame_HW3[..., channel]
        alpha = differs * np.uint8(255)
    if not alpha.any():
        raise _nothing_painted(name)
    colours = image_HW4[..., :3] * (alpha > 0)[..., None]
    return np.concatenate([colours, alpha[..., None]], -1).astype(np.uint8)


def extract_mask(
    image_HW4: NDArray[np.uint8], frame_HW3: NDArray[np.uint8], name: str
) -> NDArray[np.uint8]:
    """Where the image is painted: uint8 [H,W,1] of 0 and 255; raises JobError if nowhere."""
    alpha = extract_paint(image_HW4, frame_HW3, name)[..., 3:]
    inside = (alpha > 127) * np.uint8(255)
    if not inside.any():
        raise _nothing_painted(name)
    return inside.astype(np.uint8)


def _unblend(
    image_HW4: NDArray[np.uint8], frame_HW3: NDArray[np.uint8], ground: int
) -> NDArray[np.uint8]:
    """The paint on a canvas, such that paint over frame looks the same as the canvas.

    A brush blends its colour C at opacity a over the frame F of alpha g. The canvas then has the
    alpha R = a + g (1 - a) and the colour w C + (1 - w) F with w = a / R.
    """
    paint = np.zeros_like(image_HW4)
    rows, columns = np.nonzero((image_HW4 != make_canvas(frame_HW3, ground)).any(-1))
    seen = image_HW4[rows, columns].astype(np.float32)
    below = frame_HW3[rows, columns].astype(np.float32)
    covered = (seen[:, 3:] - ground) / (255 - ground)
    much = np.clip(covered * 255 / np.maximum(seen[:, 3:], 1), 0, 1)
    colour = below + (seen[:, :3] - below) / np.maximum(much, 1e-3)
    # A colour that no paint over this frame could give was partly erased: keep it as it is.
    outside = np.maximum(-colour, colour - 255).max(-1, keepdims=True) * much > _RETOUCHED
    smeared = (covered == 0) & (np.abs(seen[:, :3] - below).max(-1, keepdims=True) > _RETOUCHED)
    smeared &= ~_dilate(image_HW4[..., 3] < ground, _RIM)[rows, columns][:, None]
    colour = np.where(outside | smeared, seen[:, :3], colour)
    much = np.where(smeared, 1, much)
    colour = np.where(much > 0, colour, 0)
    lifted = np.concatenate([colour, much * 255], -1)
    paint[rows, columns] = np.rint(lifted.clip(0, 255)).astype(np.uint8)
    return paint


def _dilate(inside_HW: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """Grow a region by a square of this many pixels on each side."""
    for _axis in range(2):
        padded = np.pad(inside_HW, ((pixels, pixels), (0, 0)))
        shifted = [padded[step : step + len(inside_HW)] for step in range(2 * pixels + 1)]
        inside_HW = np.logical_or.reduce(shifted).T
    return inside_HW


def _has_transparency(image_HW4: NDArray[np.uint8]) -> bool:
    return bool(image_HW4[..., 3].min(initial=255) < 255)


def _check_size(image: NDArray[np.uint8], frame: NDArray[np.uint8], name: str) -> None:
    if image.shape[:2] != frame.shape[:2]:
        raise jobs.JobError(
            "paint_size_differs",
            f"The image {name} is {image.shape[1]}x{image.shape[0]}, but the shot's frames are "
            f"{frame.shape[1]}x{frame.shape[0]}.",
            "Open the frame for painting again: Largest Side in the preferences may have changed.",
        )


def _nothing_painted(name: str) -> jobs.JobError:
    return jobs.JobError(
        "nothing_painted",
        f"Nothing is painted on the image {name}.",
        "Paint on it in the Image Editor, then try again.",
    )
