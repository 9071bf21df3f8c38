"""Read a clip: a folder of images, one image, a movie or an animated image.

Limits are checked while reading, and frames go straight into one array, so that memory never holds
more than the clip.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from backend.media.compositing import Pixels
from backend.media.images import (
    Image,
    decode_image,
    image_kind,
)
from backend.media.movies import Movie, not_a_movie, open_movie
from backend.media.sequences import ImageSequence, image_sequence
from backend.media.webp import AnimatedWebp
from protocol.jobs import JobError
from protocol.limits import GIB, LIMITS, Limits

HEAD = 1 << 16  # bytes that tell an image from a movie
MOVIE_KINDS = ("", "gif", "apng", "animated webp")
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
    if not (path.is_dir() or path.is_file()):
        raise JobError("file_missing", f"{path} is neither a file nor a folder.", "Choose a clip.")
    if path.is_dir():
        return _read_images(image_sequence(path), limits)
    kind = kind_of_file(path)
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
    about = _ImageNotes()
    for file in files:
        image = decode_image(file)
        if image.pixels.dtype == np.int32:
            raise JobError(
                "not_an_image",
                f"{file.name} holds 32-bit integers, which have no defined white.",
                "Export it again with 8 or 16 bit, or as floating-point values.",
            )
        array.add(_pixels(image), name=file.name)
        about.add(file, image)
    notes = [*sequence.notes, *_alpha_notes(array), *about.notes()]
    numbers = sequence.numbers or tuple(range(len(files)))
    return SourceClip(array.frames, None, numbers, tuple(notes))


class _ImageNotes:
    """Collects what is worth a note about the colours of a clip's images."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}

    def add(self, file: Path, image: Image) -> None:
        if image.profile:
            self._add(
                file,
                f"has the colour profile “{image.profile}”, which is not applied: the values are "
                "used as sRGB.",
            )
        if image.curve:
            self._add(
                file, f"is HDR ({image.curve}): its values are used without tone mapping and look "
                "flat.",
            )  # fmt: skip
        if image.linear:
            self._add(
                file,
                "holds floating-point values: they are taken as scene-linear Rec.709 and shown "
                "through the sRGB curve; values below 0 and above 1 are clipped.",
            )
            if np.isnan(image.pixels).any():
                self._add(file, "holds values that are not numbers (NaN): they become black.")

    def _add(self, file: Path, text: str) -> None:
        self._found.setdefault(text, []).append(file.name)

    def notes(self) -> list[str]:
        """A note for each finding, with the first file it is about."""
        return [
            f"{names[0]} {text}" + (f" So do {len(names) - 1} more." if len(names) > 1 else "")
            for text, names in self._found.items()
        ]


def _pixels(image: Image) -> Pixels:
    return image.rgb if image.alpha is None else image.rgba


def _read_movie(path: Path, limits: Limits) -> SourceClip:
    movie = any_movie(path)
    array = FrameArray(movie.shown, limits, path.name)
    for pixels, times in movie.frames():
        array.add(pixels, times)
    if not array.count:
        raise not_a_movie(path)
    notes = (*movie.notes, *_alpha_notes(array))
    return SourceClip(array.frames, movie.rate, tuple(range(array.count)), notes)


def any_movie(path: Path) -> Movie | AnimatedWebp:
    """Open a movie or an animated image. Raises JobError ``not_a_movie``, ``file_missing``."""
    return AnimatedWebp(path) if kind_of_file(path) == "animated webp" else open_movie(path)


def _alpha_notes(array: FrameArray) -> list[str]:
    share = array.clear / max(1, array.count)
    if share < CLEAR:
        return []
    return [
        f"The frames have an alpha channel: {share:.0%} of their pixels are not opaque. It is not "
        "used; the colours under it become footage. To use it as the mask, give the same path "
        "to --masks."
    ]
