"""What image files say about their pixels is followed, or a note or an error says what is not."""

from __future__ import annotations

import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from movies import numbered, write_movie
from test_media_images import BLUE_FIRST, PALETTE, RGB, encode, indexed

from backend import media
from backend.media.images import decode_image
from backend.media.metadata import read_metadata
from protocol.jobs import JobError

SHORT, LONG = 3, 4
EXIF_TURNS = {  # how an upright image is stored, by orientation
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a.swapaxes(0, 1), 2),
    8: lambda a: np.rot90(a, -1),
}


def tiff(image: np.ndarray, tags: dict[int, int] | None = None, pages: int = 1) -> bytes:
    """An uncompressed little-endian TIFF of an image [H,W,C], with further tags."""
    h, w, c = image.shape
    kind = {"u": 1, "i": 2, "f": 3}[image.dtype.kind]
    bits = struct.pack(f"<{c}H", *[8 * image.dtype.itemsize] * c)
    kinds = struct.pack(f"<{c}H", *[kind] * c)
    pixels = np.ascontiguousarray(image).tobytes()
    entries = {
        256: (LONG, 1, w), 257: (LONG, 1, h), 259: (SHORT, 1, 1),
        262: (SHORT, 1, 2 if c > 2 else 1),
        277: (SHORT, 1, c), 278: (LONG, 1, h), 279: (LONG, 1, len(pixels)),
    }  # fmt: skip
    entries |= {tag: (SHORT, 1, value) for tag, value in (tags or {}).items()}
    if c == 4:
        entries.setdefault(338, (SHORT, 1, 2))
    out = b"II*\0" + struct.pack("<I", 8)
    for page in range(pages):
        count = len({*entries, 258, 273, 339})
        after = len(out) + 2 + 12 * count + 4
        long_bits = len(bits) > 4
        entries[258] = (SHORT, c, after if long_bits else int.from_bytes(bits, "little"))
        entries[339] = (SHORT, c, after + 8 if long_bits else int.from_bytes(kinds, "little"))
        entries[273] = (LONG, 1, after + 16)
        fields = b"".join(
            struct.pack("<HHII", tag, *entry) for tag, entry in sorted(entries.items())
        )
        end = after + 16 + len(pixels)
        out += struct.pack("<H", count) + fields + struct.pack("<I", end if page < pages - 1 else 0)
        out += bits.ljust(8, b"\0") + kinds.ljust(8, b"\0") + pixels
    return out


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def with_chunk(png: bytes, name: bytes, data: bytes) -> bytes:
    """A PNG with another chunk after its header."""
    return png[:33] + chunk(name, data) + png[33:]


def exif(orientation: int) -> bytes:
    """EXIF data that names an orientation."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 274, SHORT, 1, orientation, 0, 0)


def png(image: np.ndarray) -> bytes:
    order = {1: [0], 3: BLUE_FIRST, 4: [*BLUE_FIRST, 3]}[image.shape[2]]
    return cv2.imencode(".png", np.ascontiguousarray(image[..., order]))[1].tobytes()


@pytest.mark.parametrize("orientation", list(EXIF_TURNS))
def test_images_are_turned_upright_whatever_their_format(tmp_path: Path, orientation: int) -> None:
    stored = np.ascontiguousarray(EXIF_TURNS[orientation](RGB))
    rgba = np.dstack([stored, np.full(stored.shape[:2], 200, np.uint8)])
    (tmp_path / "a.tif").write_bytes(tiff(stored, {274: orientation}))
    (tmp_path / "a.png").write_bytes(with_chunk(png(rgba), b"eXIf", exif(orientation)))
    for name in ("a.tif", "a.png"):
        np.testing.assert_array_equal(media.read_image(tmp_path / name), RGB, name)
    assert media.read_rgba(tmp_path / "a.png")[0, 0, 3] == 200
    indices = np.arange(RGB.shape[0] * RGB.shape[1]).reshape(RGB.shape[:2]) % 4
    palette = indexed(np.ascontiguousarray(EXIF_TURNS[orientation](indices)), PALETTE)
    (tmp_path / "p.png").write_bytes(with_chunk(palette, b"eXIf", exif(orientation)))
    np.testing.assert_array_equal(decode_image(tmp_path / "p.png").indices, indices)


def test_a_grey_image_with_a_transparent_value_has_alpha(tmp_path: Path) -> None:
    grey = np.where(np.arange(8) < 4, 30, 200).astype(np.uint8)[None].repeat(6, 0)
    (tmp_path / "g.png").write_bytes(with_chunk(png(grey[..., None]), b"tRNS", b"\0\x1e"))
    clip = media.read_clip(tmp_path / "g.png")
    np.testing.assert_array_equal(clip.frames[0, ..., 1], grey)
    assert "alpha channel: 50%" in clip.notes[0]


def test_premultiplied_tiff_becomes_straight(tmp_path: Path) -> None:
    image = np.full((4, 4, 4), (50, 100, 20, 128), np.uint8)
    for extra, colour in ((2, [50, 100, 20]), (1, [100, 199, 40])):
        (tmp_path / "a.tif").write_bytes(tiff(image, {338: extra}))
        np.testing.assert_allclose(media.read_image(tmp_path / "a.tif")[0, 0], colour, atol=1)


def test_several_images_in_one_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pages.tif").write_bytes(tiff(RGB, pages=3))
    with pytest.raises(JobError, match=r"pages\.tif holds 3 images") as caught:
        media.read_clip(tmp_path / "pages.tif")
    assert caught.value.problem.code == "mixed_images"
    folder = tmp_path / "folder"
    folder.mkdir()
    for k in range(2):
        write_movie(folder / f"{k}.png", numbered(3), "apng", "rgb24", format="apng")
    with pytest.raises(JobError, match=r"0\.png holds 3 images"):
        media.read_clip(folder)
    (tmp_path / "one.tif").write_bytes(tiff(RGB))
    assert len(media.read_clip(tmp_path / "one.tif").frames) == 1


def test_thirty_two_bit_integers_are_masks_but_no_frames(tmp_path: Path) -> None:
    labels = np.zeros((20, 30, 1), np.int32)
    labels[5:9], labels[9:15] = 1, 7
    (tmp_path / "labels.tif").write_bytes(tiff(labels))
    with pytest.raises(JobError, match="32-bit integers"):
        media.read_clip(tmp_path / "labels.tif")
    found = media.read_mask_source(tmp_path / "labels.tif")
    np.testing.assert_array_equal(found.masks[0] > 0, labels[..., 0] > 0)
    assert "everything that is not black" in " ".join(found.notes)


def test_colours_that_cannot_be_converted_are_refused(tmp_path: Path) -> None:
    (tmp_path / "lab.tif").write_bytes(tiff(RGB, {262: 8}))
    with pytest.raises(JobError, match=r"lab\.tif stores its colours as L\*a\*b\*"):
        media.read_clip(tmp_path / "lab.tif")


def test_radiance_and_pfm_are_scene_linear(tmp_path: Path) -> None:
    grey = np.full((8, 8, 3), 0.18, np.float32)
    for name in ("a.hdr", "a.pfm"):
        cv2.imwrite(str(tmp_path / name), grey)
        clip = media.read_clip(tmp_path / name)
        np.testing.assert_allclose(clip.frames.astype(int), 118, atol=1)
        assert "scene-linear" in " ".join(clip.notes)


def test_values_that_are_no_numbers_are_noted(tmp_path: Path) -> None:
    values = np.full((8, 8, 3), 0.5, np.float32)
    values[0, 0], values[0, 1], values[0, 2] = np.nan, -2, np.inf
    (tmp_path / "n.tif").write_bytes(tiff(values))
    clip = media.read_clip(tmp_path / "n.tif")
    assert clip.frames[0, 0, :4, 0].tolist() == [0, 0, 255, 188]
    assert "n.tif holds values that are not numbers" in " ".join(clip.notes)
    (tmp_path / "m.tif").write_bytes(tiff(np.where(np.arange(8)[:, None] < 4, np.nan, values)))
    assert (media.read_mask_source(tmp_path / "m.tif").masks[0] > 0).any()


def profile(name: str) -> bytes:
    """An ICC profile that holds nothing but its name."""
    text = b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name.encode() + b"\0"
    head = bytes(36) + b"acsp" + bytes(88) + struct.pack(">I4sII", 1, b"desc", 144, len(text))
    return head + text


def test_a_colour_profile_other_than_srgb_is_noted(tmp_path: Path) -> None:
    for name in ("Display P3", "sRGB IEC61966-2.1"):
        icc = profile(name)
        body = b"icc\0\0" + zlib.compress(icc)
        (tmp_path / "a.png").write_bytes(with_chunk(png(RGB), b"iCCP", body))
        jpeg = cv2.imencode(".jpg", RGB)[1].tobytes()
        marker = b"ICC_PROFILE\0\1\1" + icc
        segment = b"\xff\xe2" + struct.pack(">H", len(marker) + 2) + marker
        (tmp_path / "a.jpg").write_bytes(jpeg[:2] + segment + jpeg[2:])
        for file in ("a.png", "a.jpg"):
            notes = media.read_clip(tmp_path / file).notes
            assert ("“Display P3”, which is not applied" in " ".join(notes)) == (name[0] == "D")


def test_an_hdr_png_is_noted(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(with_chunk(png(RGB), b"cICP", bytes([9, 16, 0, 1])))
    assert "is HDR (PQ)" in " ".join(media.read_clip(tmp_path / "a.png").notes)


def exr(channels: dict[str, np.ndarray]) -> bytes:
    """An uncompressed OpenEXR file of channels [H,W], float32 or uint32."""

    def attribute(name: str, kind: str, value: bytes) -> bytes:
        return b"\0".join([name.encode(), kind.encode(), struct.pack("<I", len(value)) + value])

    names = sorted(channels)
    h, w = channels[names[0]].shape
    listed = b"".join(
        name.encode() + struct.pack("<xiBxxxii", 2 * (channels[name].dtype.kind == "f"), 0, 1, 1)
        for name in names
    )
    window = struct.pack("<4i", 0, 0, w - 1, h - 1)
    head = struct.pack("<II", 20000630, 2) + b"".join(
        [
            attribute("channels", "chlist", listed + b"\0"),
            attribute("compression", "compression", b"\0"),
            attribute("dataWindow", "box2i", window),
            attribute("displayWindow", "box2i", window),
            attribute("lineOrder", "lineOrder", b"\0"),
            attribute("pixelAspectRatio", "float", struct.pack("<f", 1)),
            attribute("screenWindowCenter", "v2f", bytes(8)),
            attribute("screenWindowWidth", "float", struct.pack("<f", 1)),
            b"\0",
        ]
    )
    rows = [b"".join(channels[name][y].tobytes() for name in names) for y in range(h)]
    lines = [struct.pack("<iI", y, len(row)) + row for y, row in enumerate(rows)]
    start = len(head) + 8 * h
    table = struct.pack(f"<{h}Q", *(start + y * len(lines[0]) for y in range(h)))
    return head + table + b"".join(lines)


def test_the_layer_that_holds_the_image_is_read_from_an_exr(tmp_path: Path) -> None:
    def one(value: float) -> np.ndarray:
        return np.full((6, 8), value, np.float32)

    def read(channels: dict[str, np.ndarray]) -> list[int]:
        (tmp_path / "a.exr").write_bytes(exr(channels))
        return media.read_image(tmp_path / "a.exr")[3, 3].tolist()

    plain = {"R": one(0.5), "G": one(0.2), "B": one(0.05)}
    seen = [188, 124, 63]
    assert read({**plain, "Z": one(9), "diffuse.R": one(1)}) == seen
    named = {f"ViewLayer.Combined.{name}": values for name, values in plain.items()}
    passes = {f"ViewLayer.Normal.{name}": one(1) for name in "RGB"}
    assert read(named | passes | {"ViewLayer.Depth.Z": one(9)}) == seen
    with pytest.raises(JobError, match=r"no channels R, G and B, only Z"):
        read({"Z": one(3)})
    with pytest.raises(JobError, match=r"several layers \(a, b\)"):
        read({f"{layer}.{name}": one(1) for layer in "ab" for name in "RGB"})
    with pytest.raises(JobError, match="cannot be read"):
        read({name: np.full((6, 8), 3, np.uint32) for name in "RGB"})


def test_an_empty_file_and_a_wrong_suffix_are_called_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "a.mp4").write_bytes(b"")
    (tmp_path / "b.png").write_text("version https://git-lfs.github.com/spec/v1\n")
    for name, words in (("a.png", "empty"), ("a.mp4", "empty"),
                        ("b.png", "cannot be read as an image")):  # fmt: skip
        with pytest.raises(JobError, match=words):
            media.read_clip(tmp_path / name)


def test_broken_metadata_is_no_error(tmp_path: Path) -> None:
    for k, junk in enumerate((b"", b"II", b"II*\0\xff\xff\xff\xff", exif(6)[:-9], bytes(64))):
        data = with_chunk(with_chunk(png(RGB), b"eXIf", junk), b"iCCP", b"x\0\0" + junk)
        (tmp_path / f"{k}.png").write_bytes(data)
        np.testing.assert_array_equal(media.read_image(tmp_path / f"{k}.png"), RGB)
    encode(tmp_path / "t.tga", "targa", "bgr24", RGB)
    np.testing.assert_array_equal(media.read_image(tmp_path / "t.tga"), RGB)


def test_metadata_takes_no_more_memory_than_a_profile_needs() -> None:
    zeros = zlib.compress(bytes(2**26), 9)
    packed = with_chunk(png(np.zeros((8, 8, 3), np.uint8)), b"iCCP", b"name\0\0" + zeros)
    tracemalloc.start()
    try:
        read_metadata(packed, "png")
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()


def test_directories_that_share_their_bytes_take_no_more_time_than_others() -> None:
    """Every page of this TIFF has 10,000 entries of 100,000 values, all of the same bytes."""
    entry = struct.pack("<HHII", 700, 1, 100_000, 8)
    page = struct.pack("<H", 10_000) + entry * 10_000
    nexts = struct.pack("<I", 8)
    began = time.process_time()
    read_metadata(b"II*\0" + nexts + page + nexts, "tiff")
    assert time.process_time() - began < 2
