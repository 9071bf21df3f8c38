"""Read movies with FFmpeg (PyAV): every container and codec that it knows, and animated images.

Interlaced frames are deinterlaced, rotated ones turned upright, and colours converted by the
stream's own matrix and range. A variable frame rate is read at a constant one by the time stamps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av

from backend.media.compositing import Pixels
from backend.media.endings import is_cut_off
from backend.media.images import IMAGE_SUFFIXES, not_an_image
from backend.media.movie_pixels import Converter
from backend.media.timing import Timing, ends_early, timing_of
from protocol.jobs import JobError

WITH_DURATION = ("matroska", "flv", "asf", "mxf")
"""Containers whose header states their duration; in others FFmpeg takes it from what is there."""
SHORT = 0.9  # share of the stated duration below which a movie with sound counts as cut off
NO_MOVIES = ("tty", "bin", "xbin", "adf", "idf")
"""Text, which FFmpeg would draw as a movie."""
ATTACHED, DEPENDENT = 0x400, 0x80000  # bits of a stream's disposition: a cover, a tile


@dataclass
class Movie:
    """A movie to read once.

    rate, promised: of its header; promised is 0 if it states no count. shown: how many frames to
    expect. cut_off: whether the end of the file is missing, as far as its format can tell.
    After frames() has ended: read: frames in the file; damaged: how many of them are broken.
    notes: what was changed or may surprise.
    """

    path: Path
    rate: Fraction = Fraction(24)
    promised: int = 0
    shown: int = 0
    cut_off: bool = False
    read: int = 0
    damaged: int = 0
    notes: list[str] = field(default_factory=list)
    _timing: Timing = Timing(Fraction(24), {})  # noqa: RUF009  (frozen)

    def frames(self) -> Iterator[tuple[Pixels, int]]:
        """Frames as RGB or RGBA, uint8 [H,W,C], and how often each is shown, in order."""
        converter: Converter | None = None
        times: list[int] = []
        with _opened(self.path) as container:
            stream = container.streams.best("video")
            stream.thread_type = "AUTO"
            for frame in self._decoded(container, stream):
                if converter is None:
                    converter = Converter(frame, stream)
                times.append(self._repeats(frame))
                for pixels in converter.push(frame):
                    self.read += 1
                    yield pixels, times.pop(0)
            for pixels in [] if converter is None else converter.push(None):
                self.read += 1
                yield pixels, times.pop(0)
        self._sum_up(converter)

    def _repeats(self, frame: av.VideoFrame) -> int:
        if not self._timing.variable or frame.pts is None:
            return 1
        return self._timing.repeats.get(frame.pts, 1)

    def _decoded(self, container: Any, stream: Any) -> Iterator[av.VideoFrame]:
        decoder = _decoder_of(stream)
        for packet in chain(self.packets(container, stream), (None,)):
            try:
                found = decoder.decode(packet)
            except EOFError:
                break
            except av.error.FFmpegError:
                self.damaged += 1
                continue
            for frame in found:
                self.damaged += bool(frame.is_corrupt)
                yield frame

    def packets(self, container: Any, stream: Any) -> Iterator[Any]:
        """The stream's packets, until the end or to where the file cannot be read on."""
        found = container.demux(stream)
        while True:
            try:
                packet = next(found)
            except StopIteration:
                return
            except av.error.FFmpegError:
                self.cut_off = True
                return
            if packet.size:
                yield packet

    def _sum_up(self, converter: Converter | None) -> None:
        name = self.path.name
        if converter is not None:
            self.notes += [f"{name} {text}" for text in converter.notes]
        if self.damaged:
            are = "1 frame is" if self.damaged == 1 else f"{self.damaged} frames are"
            self.notes.append(f"{name}: {are} damaged and may look broken.")
        if self.read < self.promised or self.cut_off:
            self.notes.append(ends_early(name, self.read, self.promised))
        if self._timing.variable:
            self.notes.append(self._timing.note(name, self.read))


def open_movie(path: Path) -> Movie:
    """Look through a movie without decoding it. Raises JobError ``not_a_movie``."""
    with _opened(path) as container:
        stream = container.streams.best("video")
        _check_stream(path, stream)
        movie = Movie(path)
        stamps: list[int] = []
        durations: dict[int, int] = {}
        discarded = 0
        for packet in movie.packets(container, stream):
            if packet.pts is None:
                continue
            if packet.is_discard:
                discarded += 1
                continue
            stamps.append(packet.pts)
            durations[packet.pts] = packet.duration or 0
        stated = [rate for rate in (stream.average_rate, stream.guessed_rate) if rate]
        stamps = sorted(set(stamps))
        last = durations[stamps[-1]] if stamps else 0
        timing = timing_of(stamps, last, stream.time_base or Fraction(1), stated)
        movie._timing, movie.rate = timing, timing.rate
        movie.promised = _promised(container, stream, len(stamps), discarded, timing.rate)
        movie.shown = timing.shown or max(movie.promised, len(stamps))
        movie.cut_off = movie.cut_off or is_cut_off(path, container.format.name)
        videos = [one for one in container.streams.video if not int(one.disposition) & ATTACHED]
        if len(videos) > 1:
            movie.notes.append(
                f"{path.name} has {len(videos)} video streams: only stream {stream.index}, "
                f"{stream.width}×{stream.height}, is read."
            )
        aspect = stream.sample_aspect_ratio
        if aspect and aspect != 1:
            movie.notes.append(
                f"{path.name} has pixels of {aspect.numerator}:{aspect.denominator}, not square "
                f"ones: its frames are used as they are stored, {stream.width}×{stream.height}."
            )
    return movie


def _check_stream(path: Path, stream: Any) -> None:
    """Raise JobError ``not_a_movie`` if a movie's best video stream cannot be read."""
    if stream is None:
        raise JobError(
            "not_a_movie",
            f"{path.name} has no video, only sound or data.",
            "Choose a movie or a folder of images.",
        )
    if stream.codec_context is None:
        raise JobError(
            "not_a_movie",
            f"There is no decoder for the video of {path.name}.",
            "Export it again as MP4 (H.264), or as a folder of PNG frames.",
        )
    if int(stream.disposition) & DEPENDENT:
        raise JobError(
            "not_a_movie",
            f"{path.name} is made of tiles, as HEIC photographs are; they cannot be joined.",
            "Export it again as PNG or JPEG.",
        )


def _promised(container: Any, stream: Any, found: int, discarded: int, rate: Fraction) -> int:
    """How many frames the header states, 0 if it states none or the difference means nothing."""
    if container.format.name == "apng":
        return _apng_count(Path(container.name.removeprefix("file:")))
    if stream.frames:
        return max(0, int(stream.frames) - discarded)
    if not any(name in container.format.name for name in WITH_DURATION):
        return 0
    if stream.duration:
        expected = round(stream.duration * stream.time_base * rate)
    elif container.duration:
        expected = round(container.duration * rate / av.time_base)
    else:
        return 0
    # Sound may go on for longer than the frames.
    short = SHORT * expected if len(container.streams) > 1 else expected - 1
    return expected if found < short else 0


def _apng_count(path: Path) -> int:
    """How many frames an animated PNG states."""
    with path.open("rb") as file:
        _, mark, rest = file.read(1 << 16).partition(b"acTL")
    return int.from_bytes(rest[:4], "big") if mark else 0


def _opened(path: Path) -> Any:
    """Open a container, without using the network. Raises JobError ``not_a_movie``."""
    try:
        container = av.open(
            f"file:{path}",
            options={"protocol_whitelist": "file", "pattern_type": "none"},
            metadata_errors="replace",
        )
    except (av.error.FFmpegError, ValueError, IndexError) as error:
        raise not_a_movie(path) from error
    if container.format.name in NO_MOVIES:
        container.close()
        raise not_a_movie(path)
    return container


def not_a_movie(path: Path) -> JobError:
    """The error about a file that is no readable movie, or no image if it is named like one."""
    named_image = path.suffix.lower() in IMAGE_SUFFIXES
    if path.stat().st_size == 0:
        kind = "an image" if named_image else "a movie"
        return JobError(
            "not_an_image" if named_image else "not_a_movie",
            f"{path.name} cannot be read as {kind}: it is empty (0 bytes).",
            "Copy or export it again.",
        )
    if named_image:
        return not_an_image(path)
    return JobError(
        "not_a_movie",
        f"{path.name} cannot be read as a movie.",
        "It may be damaged or cut off. Export it again as MP4 (H.264), or as a folder of PNG "
        "frames.",
    )


def _decoder_of(stream: Any) -> Any:
    """The stream's decoder; libvpx for VP8 and VP9 with alpha, which FFmpeg's own drops."""
    codec = stream.codec_context.name
    if codec in ("vp8", "vp9") and stream.metadata.get("alpha_mode") == "1":
        name = "libvpx-vp9" if codec == "vp9" else "libvpx"
        return av.CodecContext.create(name, "r")
    return stream.codec_context
