"""The images of a folder as a sequence: their order, their numbers, and what is odd about them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from backend.media.images import IMAGE_SUFFIXES
from protocol.jobs import JobError

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
        files = [p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")]
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
    return sorted(images, key=_natural)


def image_sequence(folder: Path) -> ImageSequence:
    """The images of a folder as one sequence.

    Raises JobError ``file_missing``, ``no_frames``; ``mixed_images`` if the folder holds two images
    with one number, or one without a number among numbered ones.
    """
    files = image_files(folder)
    numbers = [_number(file) for file in files]
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
    usual = sorted(steps)[len(steps) // 2]
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


def _number(file: Path) -> int | None:
    """The last number in a file's name, without its suffix."""
    found = re.findall(r"\d+", file.stem)
    return int(found[-1]) if found else None


def _natural(path: Path) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(p), "") if p.isdigit() else (1, 0, p.lower()) for p in parts]
