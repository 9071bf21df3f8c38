"""Frames on their way out: read once from Blender, kept on disk until the backend has them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..wire import jobs
from . import png


class FrameStore:
    """A folder of arrays by digest. Written by one thread at a time, read on the client's thread.

    Call it with a digest to get the array back: uint8 [H,W,C].
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._masks: dict[str, NDArray[np.uint8]] = {}

    def add(self, image: NDArray[np.uint8]) -> jobs.ObjectRef:
        """Keep an array, uint8 [H,W,3] frame or [H,W,1] mask; the same pixels are kept once."""
        ref = jobs.reference(image)
        path = self.folder / f"{ref.digest}.png"
        if image.shape[2] == 1:
            self._masks[ref.digest] = image
        elif not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            png.write(path, image, level=1)
        return ref

    def __call__(self, digest: str) -> NDArray[np.uint8]:
        """The array of a digest; raises JobError when it is gone."""
        mask = self._masks.get(digest)
        if mask is not None:
            return mask
        try:
            return png.read(self.folder / f"{digest}.png")
        except (OSError, png.PngError) as error:
            raise jobs.JobError(
                "frames_gone",
                f"The frames read for this job are gone: {error}.",
                "Start the edit again.",
            ) from error

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def with_edges(image_HW4: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A frame whose outermost rows and columns, where wholly transparent, repeat the next ones."""
    filled = image_HW4.copy()
    for edge, inner in ((0, 1), (-1, -2)):
        if min(filled.shape[:2]) > 1:
            if not filled[edge, :, 3].any():
                filled[edge] = filled[inner]
            if not filled[:, edge, 3].any():
                filled[:, edge] = filled[:, inner]
    return filled


def flatten(image_HW4: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A rendered frame over black: uint8 [H,W,4] straight alpha -> [H,W,3]; exact where opaque."""
    alpha = image_HW4[..., 3:]
    if alpha.min(initial=255) == 255:
        return np.ascontiguousarray(image_HW4[..., :3])
    return ((image_HW4[..., :3].astype(np.uint16) * alpha + 127) // 255).astype(np.uint8)


def mask_of(
    picture_HWC: NDArray[np.float32], size: tuple[int, int], name: str
) -> NDArray[np.uint8]:
    """Mask from a picture: float [H,W,1..4] in 0..1 -> uint8 [H',W',1] of 0 and 255.

    Inside is what is brighter than half of the picture's brightest value and not transparent.
    size: (W', H') of the clip; a mask of the same shape in another size is resampled (nearest).
    Raises JobError for an empty mask and one of another shape.
    """
    channels = picture_HWC.shape[2]
    colours = picture_HWC[..., :3] if channels > 2 else picture_HWC[..., :1]
    value = colours.max(axis=2)
    if channels in (2, 4):
        value = value * picture_HWC[..., -1]
    brightest = float(value.max(initial=0.0))
    if brightest <= 1 / 255:
        raise jobs.JobError(
            "empty_mask",
            f"The mask {name} is black everywhere.",
            "Paint the object white on black, or choose another picture.",
        )
    height, width = value.shape
    if abs(width * size[1] - height * size[0]) > 0.01 * width * size[1] + max(width, height):
        raise jobs.JobError(
            "mask_shape",
            f"The mask {name} is {width}x{height}, the shot is {size[0]}x{size[1]}.",
            "Use a mask of the strip's own picture, uncropped.",
        )
    rows = (np.arange(size[1]) * 2 + 1) * height // (2 * size[1])
    columns = (np.arange(size[0]) * 2 + 1) * width // (2 * size[0])
    inside = value[rows[:, None], columns[None, :]] > brightest / 2
    return (inside * np.uint8(255)).astype(np.uint8)[..., None]
