"""Decoded frames as upright, progressive 8-bit RGB: FFmpeg's filters, set by what frames say."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import av.filter
import numpy as np

from backend.media.combing import CombDetector
from backend.media.compositing import Pixels
from backend.media.metadata import HDR_CURVES, turned
from protocol.jobs import JobError

MATRICES = {
    1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020nc",
    10: "bt2020nc",
}  # fmt: skip
"""FFmpeg's colour matrices by number."""
RGB, UNSPECIFIED = 0, 2
FULL = 2  # the number of the full range
SD_LINES, SD_COLUMNS = 576, 1280  # an unspecified matrix is BT.601 up to here, BT.709 above
CURVES = {
    8: "stores linear light: its values are used as they are and look dark.",
    9: "is log-encoded: its values are used as they are and look flat.",
    10: "is log-encoded: its values are used as they are and look flat.",
    **{number: f"is HDR ({name}): its values are used without tone mapping and look flat."
       for number, name in HDR_CURVES.items()},
}  # fmt: skip
"""What to say about a transfer curve, by FFmpeg's number."""
FIELDS = {2: "tff", 3: "bff", 4: "tff", 5: "bff"}
"""Which field is shown first, by FFmpeg's number of a stream's field order."""
CONVERT = "flags=accurate_rnd+full_chroma_int+bilinear:sws_dither=none:out_range=pc"


class Converter:
    """Turns a movie's decoded frames into upright RGB or RGBA, [H,W,C] uint8.

    notes: what was done to the frames, each a clause about the movie.
    """

    def __init__(self, first: av.VideoFrame, stream: Any) -> None:
        self.notes: list[str] = []
        self._stream = stream
        self._deinterlace = ""
        self._key: tuple[Any, ...] = ()
        self._graph: Any = None
        self._turn: tuple[int, bool] | None = None
        self._size = (first.width, first.height)
        self._combing = CombDetector()
        curve = CURVES.get(int(first.color_trc))
        if curve:
            self.notes.append(curve)

    def push(self, frame: av.VideoFrame | None) -> Iterator[Pixels]:
        """Give a frame, or None after the last; yields the frames that are ready.

        Raises JobError ``movie_colours``, ``frame_sizes_differ``.
        """
        try:
            if frame is not None:
                key = self._settings(frame)
                if key != self._key:
                    yield from self._pull(end=True)
                    self._start(frame, key)
                if self._turn is None:
                    self._turn = turn_of(frame)
                # Otherwise FFmpeg refuses some curves, though it does not convert any.
                frame.color_trc = frame.color_primaries = UNSPECIFIED
                self._graph.push(frame)
            yield from self._pull(end=frame is None)
        except av.error.FFmpegError as error:
            raise JobError(
                "movie_colours",
                f"The movie's frames cannot be converted: {error.strerror}.",
                "Export it again as MP4 (H.264), or as a folder of PNG frames.",
            ) from error
        if frame is None and self._combing.interlaced:
            self.notes.append(
                "looks interlaced, though the file does not say so: its frames are used as they "
                "are. Deinterlace it first if edges show combs."
            )

    def _settings(self, frame: av.VideoFrame) -> tuple[Any, ...]:
        """What the filters depend on. Raises JobError ``frame_sizes_differ``."""
        if (frame.width, frame.height) != self._size:
            raise JobError(
                "frame_sizes_differ",
                f"The movie changes its size from {self._size[0]}×{self._size[1]} to "
                f"{frame.width}×{frame.height}.",
                "Export it at one size, or split it.",
            )
        matrix = frame.colorspace
        if matrix in (UNSPECIFIED, RGB):
            small = frame.height <= SD_LINES and frame.width < SD_COLUMNS
            matrix = 6 if small else 1
        if matrix not in MATRICES:
            raise JobError(
                "movie_colours",
                f"The movie's colour matrix (number {matrix}) cannot be converted.",
                "Export it again in BT.709 or BT.2020 (non-constant luminance).",
            )
        full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
        return (frame.format.name, MATRICES[matrix], full, self._deinterlacing(frame))

    def _deinterlacing(self, frame: av.VideoFrame) -> str:
        """How bwdif treats the frames, '' if none was interlaced yet.

        By their own flags; if only the container names a field order, all of them.
        """
        if self._deinterlace or frame.interlaced_frame:
            return self._deinterlace or "mode=send_frame:parity=auto:deint=interlaced"
        first = FIELDS.get(int(self._stream.codec_context.field_order or 0))
        return f"mode=send_frame:parity={first}:deint=all" if first else ""

    def _start(self, frame: av.VideoFrame, key: tuple[Any, ...]) -> None:
        pixel_format, matrix, full, deinterlace = self._key = key
        unit = frame.time_base or Fraction(1, 1000)
        words = (
            f"video_size={frame.width}x{frame.height}:pix_fmt={pixel_format}"
            f":time_base={unit.numerator}/{unit.denominator}"
        )
        convert = CONVERT
        if not frame.format.is_rgb:
            level = "pc" if full else "tv"
            words += f":colorspace={matrix}:range={level}"
            convert += f":in_color_matrix={matrix}:in_range={level}"
        graph: Any = av.filter.Graph()
        chain = [graph.add("buffer", words)]
        if deinterlace:
            chain.append(graph.add("bwdif", deinterlace))
            if not self._deinterlace:
                self._deinterlace = deinterlace
                self.notes.append("is interlaced: every frame was deinterlaced.")
        chain.append(graph.add("scale", convert))
        kind = "rgba" if has_alpha(frame) else "rgb24"
        chain.append(graph.add("format", f"pix_fmts={kind}"))
        chain.append(graph.add("buffersink"))
        graph.link_nodes(*chain).configure()
        self._graph = graph

    def _pull(self, *, end: bool) -> Iterator[Pixels]:
        if self._graph is None:
            return
        if end:
            self._graph.push(None)
        while True:
            try:
                frame = self._graph.pull()
            except (BlockingIOError, EOFError):
                break
            pixels = np.asarray(frame.to_ndarray(), np.uint8)
            if not self._deinterlace:
                self._combing.add(pixels)
            yield turned(pixels, *(self._turn or (0, False)))
        if end:
            self._graph = None


def has_alpha(frame: av.VideoFrame) -> bool:
    """Whether a frame's format has an alpha channel."""
    return any(component.is_alpha for component in frame.format.components) or (
        frame.format.name == "pal8"
    )


def turn_of(frame: av.VideoFrame) -> tuple[int, bool]:
    """How a frame is turned upright by its display matrix.

    Quarter turns anticlockwise, after mirroring left and right if the second is true.
    """
    try:
        data: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # the frame has side data of a kind that PyAV does not know
        return round(frame.rotation / 90) % 4, False
    if data is None:
        return 0, False
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5] / 65536
    mirrored = bool(a * d - b * c < 0)
    if mirrored:  # the matrix mirrors first
        a, b = -a, -b
    return int(np.rint(np.degrees(np.arctan2(-b, a)) / 90)) % 4, mirrored
