"""Images among a painter's settings: edited frames, and which frame of the clip each one shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.cli.arrays import JobArrays
from backend.cli.source import print_notes
from backend.media import Pixels, SourceClip, image_sequence, read_image, read_rgba
from backend.media.clips import any_movie, is_movie, kind_of_file
from backend.media.sequences import numbers_of
from protocol.jobs import JobError, ObjectRef
from protocol.painters import PaintedFrame


@dataclass(frozen=True)
class JobFiles:
    """Reads images for an edit of a clip, and adds them to the job's arrays."""

    clip: SourceClip
    arrays: JobArrays

    def frames(self, path: Path) -> tuple[PaintedFrame, ...]:
        """Edited frames, see read_painted_frames."""
        return read_painted_frames(path, self.clip, self.arrays)

    def image(self, path: Path) -> ObjectRef:
        """One image, as RGB."""
        return self.arrays.add(read_image(path))


def read_painted_frames(
    path: Path, clip: SourceClip, arrays: JobArrays
) -> tuple[PaintedFrame, ...]:
    """The edited frames in a folder, an image or a movie, added to a job's arrays.

    Images are matched with the clip's frames by their numbers; as many images as the clip has
    frames, or a movie, by their order. Raises JobError ``file_missing``,
    ``painted_length_differs``, ``painted_frame_unknown``, and those of reading.
    """
    if not path.exists():
        raise JobError("file_missing", f"{path} does not exist.", "Check the path's spelling.")
    if not path.is_dir():
        kind = kind_of_file(path)
        if kind == "animated webp" or is_movie(kind, path):
            images = _movie(path, len(clip.numbers))
            return _painted(range(len(images)), images, arrays)
    files, numbers, notes = _files(path)
    print_notes(notes)
    places = _places(path, numbers, clip)
    return _painted(places, [_opaque(read_rgba(file)) for file in files], arrays)


def _painted(
    places: Sequence[int], images: Sequence[Pixels], arrays: JobArrays
) -> tuple[PaintedFrame, ...]:
    return tuple(
        PaintedFrame(frame=place, image=arrays.add(image))
        for place, image in zip(places, images, strict=True)
    )


def _files(path: Path) -> tuple[Sequence[Path], Sequence[int | None], Sequence[str]]:
    """The image files, the number in each one's name, and notes on them."""
    if not path.is_dir():
        return (path,), numbers_of([path]), ()
    sequence = image_sequence(path)
    numbers = sequence.numbers or (None,) * len(sequence.files)
    return sequence.files, numbers, ()


def _places(path: Path, numbers: Sequence[int | None], clip: SourceClip) -> Sequence[int]:
    """The frame of the clip that each image shows, counted from 0."""
    count = len(clip.numbers)
    if len(numbers) == count:
        if count > 1 and tuple(numbers) != clip.numbers and None not in numbers:
            print_notes(
                [
                    f"The edited frames are numbered {numbers[0]} to {numbers[-1]}, the clip's "
                    f"{clip.numbers[0]} to {clip.numbers[-1]}: they are matched in order."
                ]
            )
        return range(count)
    known = {number: place for place, number in enumerate(clip.numbers)}
    for number in numbers:
        if number is None or number not in known:
            named = "has no number" if number is None else f"is number {number}"
            raise JobError(
                "painted_frame_unknown",
                f"An edited frame in {path.name} {named}, but the clip's frames are "
                f"{clip.numbers[0]} to {clip.numbers[-1]}.",
                "Name each edited frame by the number of its own frame, for example "
                f"{clip.numbers[-1]:05d}.png, or edit every frame of the clip.",
            )
    return [known[number] for number in numbers if number is not None]


def _movie(path: Path, count: int) -> list[Pixels]:
    """The frames of a movie, which must be as many as the clip's."""
    images: list[Pixels] = []
    movie = any_movie(path)
    for pixels, times in movie.frames():
        images += [_opaque(pixels)] * times
        if len(images) > count:
            raise _length(path, f"more than {count}", count)
    print_notes(movie.notes)
    if len(images) != count:
        raise _length(path, str(len(images)), count)
    return images


def _length(path: Path, found: str, count: int) -> JobError:
    return JobError(
        "painted_length_differs",
        f"{path.name} has {found} frames, but the clip has {count}.",
        "Export the edited movie with the length and frame rate of the clip, or give single "
        "frames, each named by its frame's number.",
    )


def _opaque(image: Pixels) -> Pixels:
    """Without an alpha that is opaque everywhere."""
    if image.shape[2] == 4 and bool((image[..., 3] == 255).all()):
        return np.ascontiguousarray(image[..., :3])
    return np.ascontiguousarray(image)
