"""PNG in numpy: Blender's Python has neither OpenCV nor Pillow.

Reads 8-bit grey (0), RGB (2), grey+alpha (4) and RGBA (6), not interlaced, every filter type;
writes RGB and RGBA with straight alpha. Source: PNG specification, third edition, 9 and 10.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
_UP = 2


class PngError(ValueError):
    """A file that is not a PNG, is damaged, or is of a kind not read here."""


def encode(image: NDArray[np.uint8], level: int = 2) -> bytes:
    """PNG bytes of an image: uint8 [H,W,3] or [H,W,4] sRGB; level is zlib's 0..9.

    Every row uses the Up filter: it costs one subtraction and is undone by one running sum.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (3, 4):
        raise PngError(f"an image is uint8 [H,W,3|4], not {image.dtype} {list(image.shape)}")
    height, width, channels = image.shape
    rows = np.empty((height, 1 + width * channels), np.uint8)
    flat = np.ascontiguousarray(image).reshape(height, width * channels)
    rows[:, 0] = _UP
    rows[0, 1:] = flat[0]
    np.subtract(flat[1:], flat[:-1], out=rows[1:, 1:])
    colour = 2 if channels == 3 else 6
    return b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)),
            _chunk(b"sRGB", b"\x00"),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), level)),
            _chunk(b"IEND", b""),
        )
    )


def decode(data: bytes) -> NDArray[np.uint8]:
    """Image of a PNG: uint8 [H,W,C], C as stored (1, 2, 3 or 4); raises PngError."""
    header, body = _chunks(data)
    width, height, depth, colour, compression, filtering, interlace = header
    if depth != 8 or colour not in _CHANNELS:
        raise PngError(f"only 8-bit grey and colour is read, not depth {depth} colour {colour}")
    if interlace or compression or filtering:
        raise PngError("interlaced PNG is not read")
    channels = _CHANNELS[colour]
    try:
        raw = zlib.decompress(body)
    except zlib.error as damage:
        raise PngError(f"the pixels are damaged: {damage}") from damage
    if len(raw) != height * (1 + width * channels):
        raise PngError(f"{len(raw)} bytes of pixels do not fill {width}x{height}x{channels}")
    rows = np.frombuffer(raw, np.uint8).reshape(height, 1 + width * channels)
    return _unfilter(rows[:, 0], rows[:, 1:].reshape(height, width, channels))


def write(path: Path, image: NDArray[np.uint8], level: int = 2) -> None:
    """Write a PNG so that the name only ever holds a whole file."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(encode(image, level))
    os.replace(part, path)


def read(path: Path) -> NDArray[np.uint8]:
    """Read a PNG: uint8 [H,W,C]; raises PngError naming the file, or OSError."""
    try:
        return decode(path.read_bytes())
    except PngError as error:
        raise PngError(f"{path.name}: {error}") from error


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _chunks(data: bytes) -> tuple[tuple[int, ...], bytes]:
    """Header fields and joined pixel data, with every checksum checked."""
    if not data.startswith(SIGNATURE):
        raise PngError("not a PNG")
    header: tuple[int, ...] | None = None
    body = bytearray()
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        kind, chunk = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        if len(chunk) < size or at + 12 + size > len(data):
            break
        if struct.unpack_from(">I", data, at + 8 + size)[0] != zlib.crc32(kind + chunk):
            raise PngError(f"the checksum of {kind!r} is wrong")
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", chunk)
        elif kind == b"IDAT":
            body += chunk
        elif kind == b"IEND":
            if header is None:
                break
            return header, bytes(body)
        at += 12 + size
    raise PngError("the file ends too early")


def _unfilter(kinds: NDArray[np.uint8], filtered: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Undo the row filters: kinds uint8 [H], filtered uint8 [H,W,C] -> [H,W,C]."""
    if kinds.max(initial=0) > 4:
        raise PngError(f"unknown row filter {int(kinds.max())}")
    if not kinds.any():
        return filtered.copy()
    if (kinds == _UP).all():
        return np.add.accumulate(filtered, axis=0, dtype=np.uint8)
    return _unfilter_diagonals(kinds, filtered)


def _unfilter_diagonals(kinds: NDArray[np.uint8], filtered: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Undo mixed filters one anti-diagonal at a time.

    A pixel needs its left, upper and upper-left neighbours, and those lie on the two diagonals
    before its own: all pixels of a diagonal are undone at once, in H+W numpy steps.
    """
    height, width, channels = filtered.shape
    # skew[d, y] is pixel (y, d - y); row 0 and the first two diagonals are the border of zeros.
    skew = np.zeros((height + width + 1, height + 1, channels), np.int16)
    step, line = np.arange(width)[None, :], np.arange(height)[:, None]
    skew[step + line + 2, line + 1] = filtered
    kind = kinds[:, None]
    for d in range(2, height + width + 1):
        first, last = max(0, d - 1 - width), min(height, d - 1)
        here, up_rows = slice(first + 1, last + 1), slice(first, last)
        left, up, corner = skew[d - 1, here], skew[d - 1, up_rows], skew[d - 2, up_rows]
        k = kind[first:last]
        estimate = left + up - corner
        to_left, to_up = abs(estimate - left), abs(estimate - up)
        to_corner = abs(estimate - corner)
        paeth = np.where(
            (to_left <= to_up) & (to_left <= to_corner),
            left,
            np.where(to_up <= to_corner, up, corner),
        )
        guess = np.choose(k, [np.zeros_like(left), left, up, (left + up) >> 1, paeth])
        skew[d, here] = (skew[d, here] + guess) & 255
    pixels: NDArray[np.uint8] = skew[step + line + 2, line + 1].astype(np.uint8)
    return pixels
