"""Whether the end of a movie file is missing, by the way its container ends."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

GIF_END = b"\x3b"
JPEG_END = b"\xff\xd9"
Y4M_HEADER = 1024  # most bytes of a line of a YUV4MPEG2 file
CHROMA = {
    "420": (2, 2), "420jpeg": (2, 2), "420paldv": (2, 2), "420mpeg2": (2, 2), "422": (2, 1),
    "411": (4, 1), "444": (1, 1),
}  # fmt: skip
"""How many pixels across and down share a colour sample, by YUV4MPEG2's names."""


def is_cut_off(path: Path, container: str) -> bool:
    """Whether the end of a file is missing. container: FFmpeg's name of its format.

    False where the format cannot tell.
    """
    names = container.split(",")
    with path.open("rb") as file:
        if "gif" in names:
            return not _tail(file, path).rstrip(b"\0").endswith(GIF_END)
        if "mjpeg" in names:
            return JPEG_END not in _tail(file, path)
        if "mov" in names:
            return _box_is_cut(file, path.stat().st_size)
        return "yuv4mpegpipe" in names and _y4m_is_cut(file, path.stat().st_size)


def _tail(file: BinaryIO, path: Path) -> bytes:
    file.seek(max(0, path.stat().st_size - 64))
    return file.read()


def _box_is_cut(file: BinaryIO, size: int) -> bool:
    """Whether the last box of an MP4 or MOV is longer than what is left of the file."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:
            return False  # 0: the box goes on to the end of the file
        at += length
    return at > size


def _y4m_is_cut(file: BinaryIO, size: int) -> bool:
    """Whether the last frame of a YUV4MPEG2 file is not whole."""
    header = file.readline(Y4M_HEADER)
    words = {word[:1]: word[1:].decode("ascii", "replace") for word in header.split()[1:]}
    try:
        width, height = int(words[b"W"]), int(words[b"H"])
    except (KeyError, ValueError):
        return False
    named = words.get(b"C", "420")
    chroma, _, bits = (named, "", "") if named in CHROMA else named.partition("p")
    if chroma.startswith("mono"):
        colours, bits = 0, chroma.removeprefix("mono")
    elif chroma in CHROMA:
        across, down = CHROMA[chroma]
        colours = 2 * -(-width // across) * -(-height // down)
    else:
        return False
    frame = (width * height + colours) * (2 if bits.isdigit() and int(bits) > 8 else 1)
    marker = len(file.readline(Y4M_HEADER))  # FRAME, and the frame's own parameters
    return bool(marker) and (size - len(header)) % (frame + marker) != 0
