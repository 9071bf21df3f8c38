"""The images of a folder as a sequence: their order, their numbers, and what is odd about them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from backend.media.images import IMAGE_SUFFIXES
from protocol.jobs import JobError

NUMBER = re.compile(r"(?:(?<=[._])|^)-\d+|\d+")
"""A number in a name. A minus sign counts after a full stop or an underscore only."""
NAMED = 5  # most missing numbers that a note names


@dataclass(frozen=True)
class ImageSequence:
    """The images of a folder in order. numbers: of their names, None if they are not numbered."""

    files: tuple[Path, ...]
    numbers: tuple[int, ...] | None
    notes: tuple[str, ...] = ()


def image_files(folder: Path) -> list[Path]:
    """The images of a folder in natural order (frame2 before frame10), without hidden files."""
    try:
        files = [p for p in folder.iterdir() if not (p.is_dir() or p.name.startswith("."))]
    except OSError as error:
        raise JobError(
            "file_missing",
            f"The folder {folder} cannot be read: {error.strerror}.",
            "Check the path's spelling.",
        ) from error
    images = [p for p in files if p.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        kinds = ", ".join(sorted(IMAGE_SUFFIXES))
        raise JobError(
            "no_frames",
            f"There are no images in {folder}.",
            f"Image files end in: {kinds}. To read a movie, name the file itself.",
        )
    missing = [p for p in images if not p.exists()]
    if missing:
        raise JobError(
            "file_missing",
            f"{missing[0]} is a link to a file that does not exist.",
            "Restore the file, or remove the link.",
        )
    return sorted(images, key=_natural)


def image_sequence(folder: Path) -> ImageSequence:
    """The images of a folder as one sequence.

    Raises JobError ``file_missing``, ``no_frames``; ``mixed_images`` if the folder holds two images
    with one number, or one without a number among numbered ones.
    """
    files = image_files(folder)
    numbers = numbers_of(files)
    if len(files) == 1 or not any(number is not None for number in numbers):
        alone = None if numbers[0] is None else (numbers[0],)
        return ImageSequence(tuple(files), alone)
    by_number: dict[int, Path] = {}
    for file, number in zip(files, numbers, strict=True):
        if number is None:
            raise JobError(
                "mixed_images",
                f"{file.name} has no number in its name, but other images in {folder} have one.",
                "Move what is not a frame to another folder.",
            )
        if number in by_number:
            raise JobError(
                "mixed_images",
                f"{by_number[number].name} and {file.name} are both number {number} of {folder}.",
                "Keep one image for each frame: move masks and copies to another folder.",
            )
        by_number[number] = file
    # One sequence is in order by its numbers, whatever else its names hold.
    order = sorted(by_number)
    return ImageSequence(
        tuple(by_number[number] for number in order),
        tuple(order),
        tuple(_gaps(order, by_number)),
    )


def _gaps(numbers: Sequence[int], files: dict[int, Path]) -> list[str]:
    """Notes on numbers that are missing."""
    steps = [b - a for a, b in pairwise(numbers)]
    usual = min(set(steps), key=lambda step: (-steps.count(step), step))
    notes = []
    if usual > 1:
        notes.append(
            f"The frames are numbered in steps of {usual}; they are used one after another."
        )
    missing = [
        number
        for a, b in pairwise(numbers)
        for number in range(a + usual, min(b, a + usual * (NAMED + 2)), usual)
        if b - a > usual
    ]
    if missing:
        named = ", ".join(map(str, missing[:NAMED])) + (", …" if len(missing) > NAMED else "")
        after = files[max(number for number in numbers if number < missing[0])].name
        notes.append(
            f"The numbering has gaps: there is no frame {named} (after {after}). The frames around "
            "a gap are used one after another; motion jumps there."
        )
    return notes


def numbers_of(files: Sequence[Path]) -> list[int | None]:
    """The frame numbers in the files' names: the one number that differs, or else the last one."""
    found = [list(NUMBER.finditer(file.stem)) for file in files]
    if len({NUMBER.sub("#", file.stem) for file in files}) == 1:
        columns = list(zip(*([int(one[0]) for one in each] for each in found), strict=True))
        differing = [column for column in columns if len(set(column)) > 1]
        if len(differing) == 1:
            return list(differing[0])
    return [int(each[-1][0]) if each else None for each in found]


def _natural(path: Path) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p.lower()) for p in parts]
