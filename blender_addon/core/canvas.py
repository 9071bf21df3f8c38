"""What an artist painted by hand: over a copy of a frame, or as a picture with transparency.

What is opened for painting is a copy whose alpha is GROUND everywhere, shown without its alpha. A
brush raises the alpha as it covers the copy, so that each pixel tells how much of it is paint, and
of which colour: a soft stroke stays soft. An opaque copy is compared with the frame: what differs
is paint. A picture that has transparency of its own is taken as it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..wire import jobs

GROUND = 192  # less leaves finer steps of alpha, more shows a soft stroke as it will be
_RETOUCHED = 8  # levels that a copy differs by without more alpha: smeared, not a brush's last rim
_RIM = 2  # pixels round what is erased in which paint may happen to have the canvas' own alpha


def canvas_of(picture_HWC: NDArray[np.uint8], ground: int = GROUND) -> NDArray[np.uint8]:
    """A copy to be painted on, uint8 [H,W,4], of a picture [H,W,3|4]."""
    alpha = np.full((*picture_HWC.shape[:2], 1), ground, np.uint8)
    return np.concatenate([picture_HWC[..., :3], alpha], -1)


def paint_over(
    picture_HW4: NDArray[np.uint8], frame_HW3: NDArray[np.uint8], name: str, ground: int = 0
) -> NDArray[np.uint8]:
    """The paint alone: uint8 [H,W,4] straight alpha; raises JobError when there is none.

    ground: alpha that the copy was opened with; 0: it was not opened as one.
    """
    _check_size(picture_HW4, frame_HW3, name)
    if ground:
        paint = _lifted(picture_HW4, frame_HW3, ground)
        if not paint[..., 3].any():
            raise _nothing(name)
        return paint
    if _has_transparency(picture_HW4):
        alpha = picture_HW4[..., 3]
    else:
        differs = picture_HW4[..., 0] != frame_HW3[..., 0]
        for channel in (1, 2):
            differs |= picture_HW4[..., channel] != frame_HW3[..., channel]
        alpha = differs * np.uint8(255)
    if not alpha.any():
        raise _nothing(name)
    colours = picture_HW4[..., :3] * (alpha > 0)[..., None]
    return np.concatenate([colours, alpha[..., None]], -1).astype(np.uint8)


def mask_over(
    picture_HW4: NDArray[np.uint8], frame_HW3: NDArray[np.uint8], name: str
) -> NDArray[np.uint8]:
    """Where the picture is painted on: uint8 [H,W,1] of 0 and 255; raises JobError for nowhere."""
    alpha = paint_over(picture_HW4, frame_HW3, name)[..., 3:]
    inside = (alpha > 127) * np.uint8(255)
    if not inside.any():
        raise _nothing(name)
    return inside.astype(np.uint8)


def _lifted(
    picture_HW4: NDArray[np.uint8], frame_HW3: NDArray[np.uint8], ground: int
) -> NDArray[np.uint8]:
    """The paint off a canvas: laid over the frame again, it looks as it does on the canvas.

    A brush lays its colour C at opacity a straight over the frame F of alpha g: the canvas has then
    alpha R = a + g (1 - a) and shows w C + (1 - w) F with w = a / R.
    """
    paint = np.zeros_like(picture_HW4)
    rows, columns = np.nonzero((picture_HW4 != canvas_of(frame_HW3, ground)).any(-1))
    seen = picture_HW4[rows, columns].astype(np.float32)
    below = frame_HW3[rows, columns].astype(np.float32)
    covered = (seen[:, 3:] - ground) / (255 - ground)
    much = np.clip(covered * 255 / np.maximum(seen[:, 3:], 1), 0, 1)
    colour = below + (seen[:, :3] - below) / np.maximum(much, 1e-3)
    # What no colour over this frame could show was erased in part: it keeps the colour it shows.
    outside = np.maximum(-colour, colour - 255).max(-1, keepdims=True) * much > _RETOUCHED
    smeared = (covered == 0) & (np.abs(seen[:, :3] - below).max(-1, keepdims=True) > _RETOUCHED)
    smeared &= ~_grown(picture_HW4[..., 3] < ground, _RIM)[rows, columns][:, None]
    colour = np.where(outside | smeared, seen[:, :3], colour)
    much = np.where(smeared, 1, much)
    colour = np.where(much > 0, colour, 0)
    lifted = np.concatenate([colour, much * 255], -1)
    paint[rows, columns] = np.rint(lifted.clip(0, 255)).astype(np.uint8)
    return paint


def _grown(inside_HW: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """A region and what lies within so many pixels of it, in squares."""
    for _axis in range(2):
        padded = np.pad(inside_HW, ((pixels, pixels), (0, 0)))
        shifted = [padded[step : step + len(inside_HW)] for step in range(2 * pixels + 1)]
        inside_HW = np.logical_or.reduce(shifted).T
    return inside_HW


def _has_transparency(picture_HW4: NDArray[np.uint8]) -> bool:
    return bool(picture_HW4[..., 3].min(initial=255) < 255)


def _check_size(picture: NDArray[np.uint8], frame: NDArray[np.uint8], name: str) -> None:
    if picture.shape[:2] != frame.shape[:2]:
        raise jobs.JobError(
            "paint_size_differs",
            f"The image {name} is {picture.shape[1]}x{picture.shape[0]}, the shot's frames are "
            f"{frame.shape[1]}x{frame.shape[0]}.",
            "Open the frame for painting again; Largest Side in the preferences may have changed.",
        )


def _nothing(name: str) -> jobs.JobError:
    return jobs.JobError(
        "nothing_painted",
        f"Nothing is painted on the image {name}.",
        "Paint on it in the Image Editor, then try again.",
    )
