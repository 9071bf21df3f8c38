"""Images of every working format, and what is odd about a folder of them."""

from __future__ import annotations

import struct
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from backend import media
from protocol.jobs import JobError

RGB = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
ALPHA = np.where(np.arange(32) < 16, 128, 255).astype(np.uint8)[None].repeat(24, 0)[..., None]
BLUE_FIRST = [2, 1, 0]


def encode(file: Path, codec: str, pix_fmt: str, image: np.ndarray, **options: str) -> Path:
    """Write one image with one of FFmpeg's encoders."""
    kind = {1: "gray", 3: "rgb24", 4: "rgba"}[image.shape[2]] if image.dtype == np.uint8 else ""
    stored = image[..., 0] if image.shape[2] == 1 else image
    context: Any = av.CodecContext.create(codec, "w")
    context.height, context.width = image.shape[:2]
    context.pix_fmt, context.time_base, context.options = pix_fmt, Fraction(1, 25), options
    if kind:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(stored), format=kind)
        frame = frame.reformat(format=pix_fmt)
    else:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(stored), format=pix_fmt)
    frame.pts = 0
    packets = [*context.encode(frame), *context.encode(None)]
    file.write_bytes(b"".join(bytes(packet) for packet in packets))
    return file


@pytest.mark.parametrize("suffix", ["png", "tga", "tif", "bmp"])
def test_eight_bit_images_are_exact(tmp_path: Path, suffix: str) -> None:
    codec = {"tga": "targa", "tif": "tiff"}.get(suffix, suffix)
    kind = "rgb24" if suffix in ("png", "tif") else "bgr24"
    file = encode(tmp_path / f"0.{suffix}", codec, kind, RGB)
    np.testing.assert_array_equal(media.read_frames(file)[0], RGB)


@pytest.mark.parametrize("suffix", ["png", "tga", "tif", "webp"])
def test_alpha_stays_straight(tmp_path: Path, suffix: str) -> None:
    rgba = np.dstack([RGB, ALPHA])
    file = tmp_path / f"0.{suffix}"
    if suffix == "tga":
        encode(file, "targa", "bgra", rgba)
    elif suffix == "tif":
        encode(file, "tiff", "rgba", rgba)
    else:
        cv2.imwrite(str(file), rgba[..., [*BLUE_FIRST, 3]], [cv2.IMWRITE_WEBP_QUALITY, 101])
    np.testing.assert_array_equal(media.read_rgba(file), rgba)
    assert "alpha channel: 50%" in media.read_clip(file).notes[0]


def test_float_images_go_through_the_srgb_curve(tmp_path: Path) -> None:
    steps = np.array([0.0, 0.0031308, 0.18, 0.5, 1.0, 7.5], np.float32)
    linear = np.repeat(steps[None, :, None], 4, 0).repeat(3, 2)
    expected = [0, 10, 118, 188, 255, 255]
    cv2.imwrite(str(tmp_path / "f.tif"), linear[..., BLUE_FIRST])
    encode(tmp_path / "float.exr", "exr", "gbrpf32le", linear, format="float")
    encode(tmp_path / "half.exr", "exr", "gbrpf32le", linear, format="half")
    for name in ("f.tif", "float.exr", "half.exr"):
        clip = media.read_clip(tmp_path / name)
        np.testing.assert_allclose(clip.frames[0, 0, :, 1].astype(int), expected, atol=1)
        assert "scene-linear" in " ".join(clip.notes)


def test_a_palette_a_grey_and_a_cmyk_image_are_colours(tmp_path: Path) -> None:
    grey = RGB[..., :1]
    encode(tmp_path / "grey.png", "png", "gray", grey)
    np.testing.assert_array_equal(media.read_image(tmp_path / "grey.png"), grey.repeat(3, 2))
    (tmp_path / "pal.png").write_bytes(indexed(np.arange(4, dtype=np.uint8)[None], PALETTE))
    np.testing.assert_array_equal(media.read_image(tmp_path / "pal.png")[0], PALETTE)


def test_grey_is_black_where_an_image_is_transparent(tmp_path: Path) -> None:
    media.write_png(tmp_path / "a.png", np.dstack([np.full_like(RGB, 200), 0 * ALPHA + 127]))
    assert set(np.unique(media.read_grey(tmp_path / "a.png"))) == {100}


PALETTE = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]], np.uint8)


def indexed(indices: np.ndarray, palette: np.ndarray) -> bytes:
    """A PNG of palette indices [H,W], as DAVIS and trackers write masks."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    h, w = indices.shape
    rows = b"".join(b"\0" + row.tobytes() for row in indices.astype(np.uint8))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 3, 0, 0, 0))
        + chunk(b"PLTE", palette.astype(np.uint8).tobytes())
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def folder(path: Path, *names: str) -> Path:
    for k, name in enumerate(names):
        media.write_png(path / name, np.full((8, 8, 3), 10 * k, np.uint8))
    return path


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("00001.png", "00001.jpg", "00002.png"), "are both number 1"),
        (("frame_1.png", "frame_2.png", "mask_1.png", "mask_2.png"), "are both number 1"),
        (("00001.png", "00001_mask.png"), "are both number 1"),
        (("1.png", "2.png", "sheet.png"), "sheet.png has no number"),
    ],
)
def test_images_that_are_no_single_sequence_are_refused(
    tmp_path: Path, names: tuple[str, ...], words: str
) -> None:
    with pytest.raises(JobError, match=words) as caught:
        media.read_clip(folder(tmp_path, *names))
    assert caught.value.problem.code == "mixed_images"
    assert "move" in caught.value.problem.hint.lower()


def test_gaps_in_the_numbers_are_reported_and_the_numbers_kept(tmp_path: Path) -> None:
    clip = media.read_clip(folder(tmp_path, "s.1001.png", "s.1002.png", "s.1005.png", "s.1006.png"))
    assert clip.numbers == (1001, 1002, 1005, 1006)
    assert "no frame 1003, 1004 (after s.1002.png)" in " ".join(clip.notes)
    spaced = media.read_clip(folder(tmp_path / "b", "0.png", "5.png", "10.png"))
    assert "steps of 5" in " ".join(spaced.notes)
    far = media.read_clip(folder(tmp_path / "d", "img (1).png", "img (2).png", "img (10).png"))
    assert "no frame 3, 4, 5, 6, 7, … (after img (2).png)" in " ".join(far.notes)
    assert media.read_clip(folder(tmp_path / "c", "a.png", "b.png")).notes == ()


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (("0008_v2.png", "0009_v2.png", "0010_v2.png"), (8, 9, 10)),
        (("s_1920x1080_1.png", "s_1920x1080_2.png"), (1, 2)),
        (("f.-0001.png", "f.0000.png", "f.0001.png"), (-1, 0, 1)),
        (("sh-1.png", "sh-2.png"), (1, 2)),
        (("1²3.png", "1²4.png"), (3, 4)),
        (("a [1] 50%.png", "a [2] 50%.png"), (1, 2)),
        (("ё_1.PNG", "ё_2.PNG"), (1, 2)),
    ],
)
def test_the_number_that_counts_is_found_in_a_name(
    tmp_path: Path, names: tuple[str, ...], numbers: tuple[int, ...]
) -> None:
    clip = media.read_clip(folder(tmp_path, *names))
    assert clip.numbers == numbers
    assert [int(frame[0, 0, 0]) for frame in clip.frames] == [10 * k for k in range(len(names))]
    assert clip.notes == ()


def test_a_link_to_a_missing_file_is_no_gap(tmp_path: Path) -> None:
    folder(tmp_path, "1.png", "3.png")
    (tmp_path / "2.png").symlink_to(tmp_path / "lost.png")
    with pytest.raises(JobError, match=r"2\.png is a link to a file that does not exist"):
        media.read_clip(tmp_path)


def test_what_is_no_image_in_a_folder_is_ignored(tmp_path: Path) -> None:
    folder(tmp_path, "1.png", "2.png")
    for name in ("._1.png", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (tmp_path / name).write_bytes(b"junk")
    (tmp_path / "3.png").mkdir()
    assert media.read_clip(tmp_path).numbers == (1, 2)


def test_frames_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    clip = media.read_clip(folder(tmp_path, "b2.png", "a10.png", "c1.png"))
    assert clip.numbers == (1, 2, 10)
    assert [int(frame[0, 0, 0]) for frame in clip.frames] == [20, 0, 10]
