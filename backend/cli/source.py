"""The clip that a command works on: read, checked and described before a backend is started."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from fractions import Fraction

from backend import media
from backend.media import SourceClip
from backend.motion.flow import MIN_SIDE
from protocol.jobs import JobError

DEFAULT_FPS = 24


def read_source(args: argparse.Namespace) -> SourceClip:
    """The clip of a command line, its rate and numbers by the options. Prints its notes.

    Raises JobError.
    """
    clip = media.read_clip(args.frames)
    print_notes(clip.notes)
    count, height, width = clip.frames.shape[:3]
    if count > 1 and min(height, width) < MIN_SIDE:
        raise JobError(
            "clip_too_small",
            f"Frames of {width}×{height} are too small.",
            f"Use frames of at least {MIN_SIDE} pixels on each side, or edit one frame alone.",
        )
    numbers = clip.numbers
    if args.start_number is not None:
        if args.start_number < 0:
            raise JobError(
                "bad_start_number",
                f"--start-number {args.start_number} is negative.",
                "Use 0 or more.",
            )
        numbers = tuple(range(args.start_number, args.start_number + count))
    fps: Fraction = args.fps or clip.fps or Fraction(DEFAULT_FPS)
    return SourceClip(clip.frames, fps, numbers, clip.notes)


def print_notes(notes: Iterable[str]) -> None:
    """Print notes on the input as the job's own notes are printed."""
    for note in notes:
        print(f"  {note}", flush=True)


def one_line(texts: list[str]) -> tuple[str, ...]:
    """Texts of the command line without line breaks and doubled spaces."""
    return tuple(" ".join(text.split()) for text in texts)
