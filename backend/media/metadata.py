"""What an image file says about its pixels: orientation, colour profile, number of images."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PNG_START = 8  # bytes of a PNG's signature
REDUCED, MASK = 1, 4  # bits of a TIFF's kind of page: a thumbnail, a mask
SUBFILE, PHOTOMETRIC, COMPRESSION, ORIENTATION, EXTRA, PROFILE = 254, 262, 259, 274, 338, 34675
PREMULTIPLIED = 1
COLOUR_SPACES = {8: "L*a*b*", 9: "L*a*b*", 10: "L*a*b*", 32844: "LogL", 32845: "LogLuv"}
"""TIFF's colour spaces that no installed decoder converts."""
JPEG_IN_TIFF = (6, 7)
HDR_CURVES = {16: "PQ", 18: "HLG"}
"""HDR curves by their number in ITU-T H.273."""
TURNS = {
    2: (0, True), 3: (2, False), 4: (2, True), 5: (1, True), 6: (3, False), 7: (3, True),
    8: (1, False),
}  # fmt: skip
"""Quarter turns anticlockwise, and whether to mirror first, by EXIF orientation."""
BEAUTY = ("combined", "rgba", "beauty")
"""Layers of an OpenEXR file that hold the image itself."""
NAMED = 6  # most layers or channels that an error names
MOST = 10_000  # most directories of a file that are looked at, and entries of each
MOST_ENTRIES = 500_000  # most entries of a file: directories may share their bytes
MAX_PROFILE = 2**23  # bytes of a colour profile that are read; the largest in use have 2 MB
SIZES = {1: "B", 3: "H", 4: "I", 7: "B", 13: "I", 16: "Q"}  # of TIFF's types of integers and bytes


@dataclass(frozen=True)
class Metadata:
    """What a file says about its pixels.

    orientation: EXIF's, 1 to 8. profile: name of the ICC profile; '' without one, or for sRGB.
    images: in the file. colours: name of a TIFF's colour space that cannot be converted.
    premultiplied: whether the colours are stored times alpha. jpeg: whether a TIFF's pixels are
    JPEG. curve: of HDR, ``PQ`` or ``HLG``. durations: of an animated WebP's frames, in ms.
    """

    orientation: int = 1
    profile: str = ""
    images: int = 1
    colours: str = ""
    premultiplied: bool = False
    jpeg: bool = False
    curve: str = ""
    durations: tuple[int, ...] = ()


def read_metadata(data: bytes, kind: str) -> Metadata:
    """The metadata of an image file. kind: as image_kind names it. Never raises."""
    if kind == "tiff":
        return _of_tiff(data)
    if kind in ("png", "palette", "apng"):
        return _of_png(data)
    if kind in ("webp", "animated webp"):
        return _of_webp(data)
    return Metadata(profile=_profile_name(_jpeg_profile(data))) if kind == "jpeg" else Metadata()


def turned(pixels: NDArray[Any], quarter: int, mirrored: bool) -> NDArray[Any]:
    """An image [H,W,...] mirrored left and right if asked, then turned anticlockwise."""
    return np.ascontiguousarray(np.rot90(pixels[:, ::-1] if mirrored else pixels, quarter))


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """An image [H,W,...] turned upright by its EXIF orientation."""
    turn = TURNS.get(orientation)
    return pixels if turn is None else turned(pixels, *turn)


def exr_layer(data: bytes) -> str:
    """The layer of an OpenEXR file to read: '' if it has a plain R, G and B, or grey.

    Otherwise the one named Combined, as Blender's, or the only one with R, G and B. Raises
    ValueError with a clause about the file if there is no such layer.
    """
    start = data.find(b"channels\0chlist\0")
    names: list[str] = []
    at = start + 20
    while start > 0 and data[at : at + 1] not in (b"", b"\0"):
        end = data.index(b"\0", at)
        names.append(data[at:end].decode("utf-8", "replace"))
        at = end + 17
    if not names or {"R", "G", "B"} <= {*names} or "Y" in names:
        return ""
    layers = sorted(
        name.removesuffix(".R")
        for name in names
        if name.endswith(".R") and {f"{name[:-1]}G", f"{name[:-1]}B"} <= {*names}
    )
    beauty = [one for one in layers if one.rpartition(".")[2].lower() in BEAUTY] or layers
    if len(beauty) == 1:
        return beauty[0]
    if layers:
        raise ValueError(f"has several layers ({', '.join(layers[:NAMED])}) and no plain R, G, B")
    raise ValueError(f"has no channels R, G and B, only {', '.join(names[:NAMED])}")


def _of_tiff(data: bytes) -> Metadata:
    pages = _directories(data)
    if not pages:
        return Metadata()
    first = pages[0]
    images = sum(not _number(page, SUBFILE, 0) & (REDUCED | MASK) for page in pages)
    return Metadata(
        orientation=_number(first, ORIENTATION, 1),
        profile=_profile_name(bytes(first.get(PROFILE, ()))),
        images=max(1, images),
        colours=COLOUR_SPACES.get(_number(first, PHOTOMETRIC, 2), ""),
        premultiplied=_number(first, EXTRA, 0) == PREMULTIPLIED,
        jpeg=_number(first, COMPRESSION, 1) in JPEG_IN_TIFF,
    )


def _number(page: dict[int, tuple[int, ...]], tag: int, default: int) -> int:
    return next(iter(page.get(tag, ())), default)


def _directories(data: bytes) -> list[dict[int, tuple[int, ...]]]:
    """What a TIFF's directories say, by tag; until they make no sense. Lists: the profile alone."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2], "")
    pages: list[dict[int, tuple[int, ...]]] = []
    if not order:
        return pages
    seen: set[int] = set()
    left = MOST_ENTRIES
    with suppress(struct.error):
        big = struct.unpack_from(order + "H", data, 2)[0] == 43
        head, step, offset = ("Q", 20, "Q") if big else ("H", 12, "I")
        (at,) = struct.unpack_from(order + offset, data, 8 if big else 4)
        while at and at not in seen and len(pages) < MOST and left > 0:
            seen.add(at)
            (count,) = struct.unpack_from(order + head, data, at)
            start = at + struct.calcsize(head)
            left -= (looked := min(count, MOST))
            page = {}
            for k in range(looked):
                tag, values = _entry(data, start + k * step, order, offset, profile=not pages)
                page[tag] = values
            pages.append(page)
            (at,) = struct.unpack_from(order + offset, data, start + count * step)
    return pages


def _entry(
    data: bytes, at: int, order: str, offset: str, *, profile: bool
) -> tuple[int, tuple[int, ...]]:
    """One entry of a directory: its tag, and its first value if it is a whole number or bytes.

    profile: read all of a colour profile.
    """
    tag, kind, count = struct.unpack_from(f"{order}HH{offset}", data, at)
    size = SIZES.get(kind)
    if size is None or not count or count * struct.calcsize(size) > len(data):
        return tag, ()
    place = at + 4 + struct.calcsize(offset)
    if count * struct.calcsize(size) > struct.calcsize(offset):
        (place,) = struct.unpack_from(order + offset, data, place)
    wanted = min(count, MAX_PROFILE) if profile and tag == PROFILE else 1
    return tag, struct.unpack_from(f"{order}{wanted}{size}", data, place)


def _of_png(data: bytes) -> Metadata:
    found: dict[bytes, bytes] = {}
    for name, body in _png_chunks(data):
        if name in (b"eXIf", b"iCCP", b"cICP", b"acTL"):
            found.setdefault(name, body)
    profile = b""
    with suppress(zlib.error):
        packed = found.get(b"iCCP", b"").partition(b"\0")[2][1:]
        profile = zlib.decompressobj().decompress(packed, MAX_PROFILE)
    return Metadata(
        orientation=_exif_orientation(found.get(b"eXIf", b"")),
        profile=_profile_name(profile),
        images=int.from_bytes(found.get(b"acTL", b"")[:4], "big") or 1,
        curve=HDR_CURVES.get(int.from_bytes(found.get(b"cICP", b"")[1:2], "big"), ""),
    )


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = PNG_START
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        at += 12 + size


def _of_webp(data: bytes) -> Metadata:
    orientation, profile, at = 1, b"", 12
    durations: list[int] = []
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = data[at + 8 : at + 8 + size]
        if name == b"ANMF":
            durations.append(int.from_bytes(body[12:15], "little"))
        elif name == b"EXIF":
            orientation = _exif_orientation(body.removeprefix(b"Exif\0\0"))
        elif name == b"ICCP":
            profile = body
        at += 8 + size + size % 2
    return Metadata(
        orientation=orientation,
        profile=_profile_name(profile),
        images=max(1, len(durations)),
        durations=tuple(durations),
    )


def _exif_orientation(exif: bytes) -> int:
    pages = _directories(exif)
    return _number(pages[0], ORIENTATION, 1) if pages else 1


def _jpeg_profile(data: bytes) -> bytes:
    """The ICC profile of a JPEG, in pieces in its APP2 segments."""
    profile, at = bytearray(), 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + size]
        more = len(profile) < MAX_PROFILE
        if more and data[at + 1] == 0xE2 and body.startswith(b"ICC_PROFILE\0"):
            profile += body[14:]
        at += 2 + size
    return bytes(profile)


def _profile_name(profile: bytes) -> str:
    """The description in an ICC profile; '' for sRGB, or without a profile."""
    name = ""
    if profile[36:40] == b"acsp":
        name = "without a name"
        with suppress(struct.error, UnicodeDecodeError):
            (count,) = struct.unpack_from(">I", profile, 128)
            for k in range(min(count, MOST)):
                tag, start, size = struct.unpack_from(">4sII", profile, 132 + 12 * k)
                if tag == b"desc":
                    name = _text(profile[start : start + size]) or name
    return "" if "srgb" in name.lower() else name


def _text(tag: bytes) -> str:
    """The text of an ICC profile's tag: ASCII, or the first of several languages."""
    if tag[:4] == b"mluc":
        length, start = struct.unpack_from(">II", tag, 20)
        return tag[start : start + length].decode("utf-16-be").strip("\0 ")
    length = int.from_bytes(tag[8:12], "big")
    return tag[12 : 12 + length].decode("ascii", "replace").strip("\0 ")
