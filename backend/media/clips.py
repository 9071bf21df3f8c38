"""Read a clip: a folder of images, one image, a movie or an animated image.

Limits are checked while reading, and frames go straight into one array, so that memory never holds
more than the clip.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from backend.media.compositing import Pixels
from backend.media.images import Image, decode_image, image_kind, read_bytes
from backend.media.movies import Movie, animated_webp, not_a_movie, open_movie
from backend.media.sequences import ImageSequence, image_sequence
from protocol.jobs import JobError
from protocol.limits import GIB, LIMITS, Limits

HEAD = 1 << 16  # bytes that tell an image from a movie
MOVIE_KINDS = ("", "gif", "apng")
JPEG_MOVIES = (".mjpeg", ".mjpg")
CLEAR = 0.001  # share of pixels that are not opaque from which alpha is worth a note


@dataclass(frozen=True)
class SourceClip:
    """A clip as read from files.

    frames: [T,H,W,3] uint8 sRGB. fps: its own frame rate, None for images. numbers: of the frames'
    files, or 0, 1, …. notes: what was changed while reading, or may surprise.
    """

    frames: Pixels
    fps: Fraction | None
    numbers: tuple[int, ...]
    notes: tuple[str, ...] = ()


def read_frames(path: Path) -> Pixels:
    """The frames of a clip, [T,H,W,3] uint8 sRGB. Raises JobError as read_clip does."""
    return read_clip(path).frames


def read_clip(path: Path, limits: Limits = LIMITS) -> SourceClip:
    """Read a clip: a folder of images in the order of their numbers, one image, or a movie.

    Raises JobError ``file_missing``, ``no_frames``, ``not_an_image``, ``not_a_movie``,
    ``mixed_images``, ``frame_sizes_differ``, ``too_many_frames``, ``frame_too_large`` or
    ``job_too_large``, naming the file.
    """
    if not path.exists():
        raise JobError("file_missing", f"{path} does not exist.", "Check the path's spelling.")
    if path.is_dir():
        return _read_images(image_sequence(path), limits)
    kind = kind_of_file(path)
    if kind == "animated webp":
        return _read_webp(path, limits)
    if is_movie(kind, path):
        return _read_movie(path, limits)
    return _read_images(ImageSequence((path,), None), limits)


def is_movie(kind: str, path: Path) -> bool:
    """Whether a file of this kind is read as a movie."""
    return kind in MOVIE_KINDS or (kind == "jpeg" and path.suffix.lower() in JPEG_MOVIES)


def kind_of_file(path: Path) -> str:
    """What a file is by its content, see image_kind; '' for what may be a movie."""
    try:
        with path.open("rb") as file:
            return image_kind(file.read(HEAD), path.suffix)
    except OSError as error:
        raise JobError(
            "file_missing", f"Could not read {path}: {error.strerror}.", "Check the path."
        ) from error


class FrameArray:
    """Collects frames of one size in one array, within the limits.

    expected: how many there will be, if known. name: of the clip, for errors.
    """

    def __init__(self, expected: int, limits: Limits, name: str) -> None:
        self._limits = limits
        self._name = name
        self._expected = expected
        self._frames: Pixels | None = None
        self._first = ""
        self.count = 0
        self.clear = 0.0  # pixels that are not opaque, in frames
        if expected > limits.frames:
            raise self._too_many(expected)

    def add(self, pixels: Pixels, times: int = 1, name: str = "") -> None:
        """Append a frame [H,W,3] or [H,W,4], several times if it is shown for longer."""
        rgb = pixels[..., :3]
        if self._frames is None:
            self._first = name
            self._frames = self._room(rgb.shape)
        if rgb.shape != self._frames.shape[1:]:
            (h, w), (h0, w0) = rgb.shape[:2], self._frames.shape[1:3]
            raise JobError(
                "frame_sizes_differ",
                f"{name} is {w}×{h}, but {self._first} is {w0}×{h0}.",
                "All frames of a clip must have the same size: scale or remove the odd ones.",
            )
        if pixels.shape[2] == 4:
            self.clear += times * float((pixels[..., 3] < 255).mean())
        if self.count + times > self._limits.frames:
            raise self._too_many(max(self.count + times, self._expected))
        if self.count + times > len(self._frames):
            self._frames = self._grown(self.count + times)
        self._frames[self.count : self.count + times] = rgb
        self.count += times

    @property
    def frames(self) -> Pixels:
        """The frames so far: [T,H,W,3]."""
        if self._frames is None:
            return np.empty((0, 0, 0, 3), np.uint8)
        return self._frames[: self.count]

    def _room(self, shape: tuple[int, ...]) -> Pixels:
        if max(shape) > self._limits.side:
            raise JobError(
                "frame_too_large",
                f"The frames of {self._name} are {shape[1]}×{shape[0]}; the maximum is "
                f"{self._limits.side}×{self._limits.side}.",
                "Work at a smaller size.",
            )
        self._check_bytes(self._expected * int(np.prod(shape)))
        return np.empty((self._expected or self._most(shape), *shape), np.uint8)

    def _grown(self, count: int) -> Pixels:
        """A larger array, if the clip has more frames than expected."""
        assert self._frames is not None
        shape = self._frames.shape[1:]
        self._check_bytes(count * int(np.prod(shape)))
        larger = np.empty((self._most(shape), *shape), np.uint8)
        larger[: self.count] = self._frames[: self.count]
        return larger

    def _most(self, shape: tuple[int, ...]) -> int:
        """How many frames the limits allow. Memory is only taken once frames are written to it."""
        return min(self._limits.frames, max(1, self._limits.job_bytes // int(np.prod(shape))))

    def _check_bytes(self, nbytes: int) -> None:
        if nbytes > self._limits.job_bytes:
            raise JobError(
                "job_too_large",
                f"The frames of {self._name} take {nbytes / GIB:.1f} GiB; a job can have "
                f"{self._limits.job_bytes / GIB:.1f} GiB.",
                "Use fewer or smaller frames.",
            )

    def _too_many(self, count: int) -> JobError:
        known = count == self._expected
        return JobError(
            "too_many_frames",
            f"The clip has {count if known else f'more than {self._limits.frames}'} frames; at "
            f"most {self._limits.frames} are accepted.",
            "Trim it, or split it and work on the parts.",
        )


def _read_images(sequence: ImageSequence, limits: Limits) -> SourceClip:
    files = sequence.files
    array = FrameArray(len(files), limits, files[0].parent.name or str(files[0].parent))
    linear: list[Path] = []
    for file in files:
        image = decode_image(file)
        array.add(_pixels(image), name=file.name)
        if image.linear:
            linear.append(file)
    notes = [*sequence.notes, *_alpha_notes(array)]
    if linear:
        notes.append(
            f"{linear[0].name} holds floating-point values: they are taken as scene-linear "
            "Rec.709 and shown through the sRGB curve; values above 1 are clipped."
        )
    numbers = sequence.numbers or tuple(range(len(files)))
    return SourceClip(array.frames, None, numbers, tuple(notes))


def _pixels(image: Image) -> Pixels:
    return image.rgb if image.alpha is None else image.rgba


def _read_movie(path: Path, limits: Limits) -> SourceClip:
    movie = open_movie(path)
    array = FrameArray(movie.shown, limits, path.name)
    for pixels, times in movie.frames():
        array.add(pixels, times)
    if not array.count:
        raise not_a_movie(path)
    return _whole(array, movie.rate, [*movie.notes, *_alpha_notes(array)])


def _read_webp(path: Path, limits: Limits) -> SourceClip:
    array = FrameArray(0, limits, path.name)
    total = 0
    for pixels, duration in animated_webp(read_bytes(path), limits.frames + 1):
        array.add(pixels)
        total += duration
    if not array.count:
        raise not_a_movie(path)
    rate = Fraction(1000 * array.count, total) if total else Fraction(10)
    return _whole(array, rate.limit_denominator(1001), _alpha_notes(array))


def _whole(array: FrameArray, rate: Fraction, notes: list[str]) -> SourceClip:
    return SourceClip(array.frames, rate, tuple(range(array.count)), tuple(notes))


def _alpha_notes(array: FrameArray) -> list[str]:
    share = array.clear / max(1, array.count)
    if share < CLEAR:
        return []
    return [
        f"The frames have an alpha channel: {share:.0%} of their pixels are not opaque. It is not "
        "used; the colours under it become footage. To use it as the mask, give the same path "
        "to --masks."
    ]


def movie_frames(path: Path) -> Iterable[Pixels]:
    """The frames of a movie or an animated image one by one, RGB or RGBA, uint8 [H,W,C]."""
    if kind_of_file(path) == "animated webp":
        return (pixels for pixels, _ in animated_webp(read_bytes(path), LIMITS.frames + 1))
    return _shown(open_movie(path))


def _shown(movie: Movie) -> Iterator[Pixels]:
    for pixels, times in movie.frames():
        for _ in range(times):
            yield pixels
