"""Frames and masks read from Blender, kept on disk until the backend has them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..wire import jobs
from . import png

_TGA_HEADER = 18
_TGA_TRUE_COLOUR = 2
_TGA_TOP_DOWN = 0x20


class TgaError(ValueError):
    """A file that is not an uncompressed 32-bit Targa."""


def read_targa(path: Path) -> NDArray[np.uint8]:
    """Read a frame that Blender rendered: uint8 [H,W,4]; raises TgaError naming the file."""
    try:
        return decode_targa(path.read_bytes())
    except TgaError as error:
        raise TgaError(f"{path.name}: {error}") from error


def decode_targa(data: bytes) -> NDArray[np.uint8]:
    """Image of an uncompressed 32-bit Targa: uint8 [H,W,4] RGBA, straight alpha."""
    if len(data) < _TGA_HEADER or data[1] or data[2] != _TGA_TRUE_COLOUR or data[16] != 32:
        raise TgaError("not an uncompressed 32-bit Targa")
    width, height = int.from_bytes(data[12:14], "little"), int.from_bytes(data[14:16], "little")
    start = _TGA_HEADER + data[0]
    if len(data) < start + width * height * 4:
        raise TgaError("the file ends too early")
    bgra = np.frombuffer(data, np.uint8, width * height * 4, start).reshape(height, width, 4)
    rows = bgra if data[17] & _TGA_TOP_DOWN else bgra[::-1]
    return np.ascontiguousarray(rows[..., [2, 1, 0, 3]])


class FrameStore:
    """A folder of arrays by digest; call it with a digest to get an array back: uint8 [H,W,C].

    One thread at a time writes to it; the client's thread reads from it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._masks: dict[str, NDArray[np.uint8]] = {}

    def add(self, image: NDArray[np.uint8]) -> jobs.ObjectRef:
        """Store a frame, uint8 [H,W,3|4], or a mask, uint8 [H,W,1]; equal pixels share a file."""
        ref = jobs.reference(image)
        path = self.folder / f"{ref.digest}.png"
        if image.shape[2] == 1:
            self._masks[ref.digest] = image
        elif not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            png.write(path, image, level=1)
        return ref

    def __call__(self, digest: str) -> NDArray[np.uint8]:
        """The array with this digest; raises JobError when it is gone."""
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


def fill_edges(image_HW4: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Fill fully transparent outermost rows and columns with their neighbours."""
    filled = image_HW4.copy()
    for edge, inner in ((0, 1), (-1, -2)):
        if min(filled.shape[:2]) > 1:
            if not filled[edge, :, 3].any():
                filled[edge] = filled[inner]
            if not filled[:, edge, 3].any():
                filled[:, edge] = filled[:, inner]
    return filled


def flatten(image_HW4: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A rendered frame over black: uint8 [H,W,4] straight alpha -> [H,W,3]; exact if opaque."""
    alpha = image_HW4[..., 3:]
    if alpha.min(initial=255) == 255:
        return np.ascontiguousarray(image_HW4[..., :3])
    return ((image_HW4[..., :3].astype(np.uint16) * alpha + 127) // 255).astype(np.uint8)


def mask_from_image(
    image_HWC: NDArray[np.float32], size: tuple[int, int], name: str
) -> NDArray[np.uint8]:
    """Mask from an image: float [H,W,1..4] in 0..1 -> uint8 [H',W',1] of 0 and 255.

    Inside are the opaque pixels brighter than half of the image's brightest value. size: (W', H')
    of the clip; an image of the same aspect ratio is resampled (nearest). Raises JobError for an
    empty mask and for another aspect ratio.
    """
    channels = image_HWC.shape[2]
    colours = image_HWC[..., :3] if channels > 2 else image_HWC[..., :1]
    value = colours.max(axis=2)
    if channels in (2, 4):
        value = value * image_HWC[..., -1]
    brightest = float(value.max(initial=0.0))
    if brightest <= 1 / 255:
        raise jobs.JobError(
            "empty_mask",
            f"The mask {name} is black everywhere.",
            "Paint the object white on black, or choose another image.",
        )
    height, width = value.shape
    if abs(width * size[1] - height * size[0]) > 0.01 * width * size[1] + max(width, height):
        raise jobs.JobError(
            "mask_shape",
            f"The mask {name} is {width}x{height}, but the shot is {size[0]}x{size[1]}.",
            "Use a mask that covers the strip's whole frame, uncropped.",
        )
    rows = (np.arange(size[1]) * 2 + 1) * height // (2 * size[1])
    columns = (np.arange(size[0]) * 2 + 1) * width // (2 * size[0])
    inside = value[rows[:, None], columns[None, :]] > brightest / 2
    mask: NDArray[np.uint8] = (inside * np.uint8(255)).astype(np.uint8)[..., None]
    return mask
