"""PNG and Targa as the add-on reads and writes them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from blender_addon.core import png
from blender_addon.core.frames import TgaError, decode_targa

# 2x1 RGBA, row filter 0: a half transparent red pixel, an opaque (1, 2, 3).
KNOWN = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000002000000010806000000f4227f8a00000011494441"
    "5478da63f8cfc0d0c0c8c4fc1f000b900285ae89d0a80000000049454e44ae426082"
)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def filtered_png(image: NDArray[np.uint8], kinds: list[int], splits: int = 1) -> bytes:
    """A PNG with the given row filters, written pixel by pixel as the specification says."""
    height, width, channels = image.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = bytearray()
    flat = image.reshape(height, width * channels).astype(int)
    for y in range(height):
        kind = kinds[y % len(kinds)]
        rows.append(kind)
        for x in range(width * channels):
            left = flat[y, x - channels] if x >= channels else 0
            up = flat[y - 1, x] if y else 0
            corner = flat[y - 1, x - channels] if y and x >= channels else 0
            guess = [0, left, up, (left + up) // 2, paeth(left, up, corner)][kind]
            rows.append((flat[y, x] - guess) % 256)
    data = zlib.compress(bytes(rows))
    cut = -(-len(data) // splits)
    return b"".join(
        [
            png.SIGNATURE,
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)),
            *(chunk(b"IDAT", data[i : i + cut]) for i in range(0, len(data), cut)),
            chunk(b"IEND", b""),
        ]
    )


def paeth(left: int, up: int, corner: int) -> int:
    estimate = left + up - corner
    distances = [(abs(estimate - v), order) for order, v in enumerate((left, up, corner))]
    return (left, up, corner)[min(distances)[1]]


def smooth_and_noise(height: int, width: int, channels: int) -> NDArray[np.uint8]:
    random = np.random.default_rng(height * width * channels)
    ramp = np.add.outer(np.arange(height) * 3, np.arange(width) * 5)[..., None]
    noise = random.integers(0, 256, (height, width, channels))
    return np.where(random.random((height, width, 1)) < 0.5, ramp, noise).astype(np.uint8)


def test_png_of_known_bytes() -> None:
    assert png.decode(KNOWN).tolist() == [[[255, 0, 0, 128], [1, 2, 3, 255]]]


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (36, 64)])
def test_png_comes_back_as_written(channels: int, size: tuple[int, int]) -> None:
    image = smooth_and_noise(*size, channels)
    assert np.array_equal(png.decode(png.encode(image)), image)


def test_png_keeps_colour_under_full_transparency() -> None:
    image = smooth_and_noise(8, 8, 4)
    image[..., 3] = 0
    assert np.array_equal(png.decode(png.encode(image)), image)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kinds", [[0], [1], [2], [3], [4], [0, 1, 2, 3, 4], [4, 3]])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (13, 9), (9, 13)])
def test_png_undoes_every_row_filter(
    channels: int, kinds: list[int], size: tuple[int, int]
) -> None:
    image = smooth_and_noise(*size, channels)
    assert np.array_equal(png.decode(filtered_png(image, kinds, splits=3)), image)


def test_png_written_is_what_another_reader_sees(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    image = smooth_and_noise(20, 30, 4)
    path = tmp_path / "a.png"
    png.write(path, image)
    seen = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(seen[..., [2, 1, 0, 3]], image)


def test_png_of_another_writer_is_read(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    image = smooth_and_noise(40, 50, 3)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    assert np.array_equal(png.read(tmp_path / "a.png"), image)


def test_png_leaves_no_part_behind(tmp_path: Path) -> None:
    png.write(tmp_path / "a.png", smooth_and_noise(4, 4, 3))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: b"GIF" + data, "not a PNG"),
        (lambda data: data[:60], "ends too early"),
        (lambda data: data.replace(b"IDAT", b"IDAX"), "checksum"),
        (lambda data: data[:50] + bytes([data[50] ^ 1]) + data[51:], "checksum"),
    ],
)
def test_png_damage_is_named(damage, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(png.PngError, match=said):
        png.decode(damage(png.encode(smooth_and_noise(16, 16, 3))))


@pytest.mark.parametrize(
    ("fields", "said"),
    [((16, 2, 0), "8-bit"), ((8, 3, 0), "8-bit"), ((8, 2, 1), "interlaced")],
)
def test_png_kinds_not_read_are_named(fields: tuple[int, int, int], said: str) -> None:
    depth, colour, interlace = fields
    header = struct.pack(">IIBBBBB", 1, 1, depth, colour, 0, 0, interlace)
    data = png.SIGNATURE + chunk(b"IHDR", header) + chunk(b"IEND", b"")
    with pytest.raises(png.PngError, match=said):
        png.decode(data)


def test_png_with_too_few_pixels_is_refused() -> None:
    header = struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 10)
    data = png.SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    with pytest.raises(png.PngError, match="do not fill 4x4x3"):
        png.decode(data)


@pytest.mark.parametrize("bad", [np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3), np.float32)])
def test_png_refuses_other_arrays(bad: NDArray[np.uint8]) -> None:
    with pytest.raises(png.PngError, match="uint8"):
        png.encode(bad)


def targa(image: NDArray[np.uint8], top_down: bool) -> bytes:
    height, width = image.shape[:2]
    header = bytearray(18)
    header[2], header[16], header[17] = 2, 32, 0x28 if top_down else 8
    header[12:16] = struct.pack("<HH", width, height)
    rows = image if top_down else image[::-1]
    return bytes(header) + rows[..., [2, 1, 0, 3]].tobytes()


@pytest.mark.parametrize("top_down", [True, False])
def test_targa_is_read_upright(top_down: bool) -> None:
    image = smooth_and_noise(5, 7, 4)
    assert np.array_equal(decode_targa(targa(image, top_down)), image)


def test_targa_that_is_cut_or_compressed_is_refused() -> None:
    data = targa(smooth_and_noise(5, 7, 4), True)
    with pytest.raises(TgaError, match="too early"):
        decode_targa(data[:-1])
    with pytest.raises(TgaError, match="uncompressed"):
        decode_targa(data[:2] + b"\x0a" + data[3:])
