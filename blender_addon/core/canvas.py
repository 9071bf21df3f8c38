"""What an artist painted by hand: over a copy of a frame, or as a picture with transparency.

A copy of a frame that was painted on is compared with the frame: what differs is paint, as the
artist sees it there. A picture that has transparency of its own is taken as it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..wire import jobs


def paint_over(
    picture_HW4: NDArray[np.uint8], frame_HW3: NDArray[np.uint8], name: str
) -> NDArray[np.uint8]:
    """The paint alone: uint8 [H,W,4] straight alpha; raises JobError when there is none."""
    _check_size(picture_HW4, frame_HW3, name)
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
