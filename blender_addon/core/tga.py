"""Reading the uncompressed Targa files Blender renders frames to: exact, and no codec to undo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_HEADER = 18
_TRUE_COLOUR = 2
_TOP_DOWN = 0x20


class TgaError(ValueError):
    """A file that is not an uncompressed 32-bit Targa."""


def decode(data: bytes) -> NDArray[np.uint8]:
    """Image of an uncompressed 32-bit Targa: uint8 [H,W,4] RGBA, straight alpha."""
    if len(data) < _HEADER or data[1] or data[2] != _TRUE_COLOUR or data[16] != 32:
        raise TgaError("not an uncompressed 32-bit Targa")
    width, height = int.from_bytes(data[12:14], "little"), int.from_bytes(data[14:16], "little")
    start = _HEADER + data[0]
    if len(data) < start + width * height * 4:
        raise TgaError("the file ends too early")
    bgra = np.frombuffer(data, np.uint8, width * height * 4, start).reshape(height, width, 4)
    rows = bgra if data[17] & _TOP_DOWN else bgra[::-1]
    return np.ascontiguousarray(rows[..., [2, 1, 0, 3]])


def read(path: Path) -> NDArray[np.uint8]:
    """Read an uncompressed 32-bit Targa: uint8 [H,W,4]; raises TgaError naming the file."""
    try:
        return decode(path.read_bytes())
    except TgaError as error:
        raise TgaError(f"{path.name}: {error}") from error
