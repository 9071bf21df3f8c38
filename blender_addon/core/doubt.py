"""What the confidence of a mask on every frame means for the artist."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp

from .quality import DOUBTFUL

LOST = 0.3  # confidence of a frame on which the object is lost rather than doubtful
HELPS = 10.0  # frames over which a further key frame helps, as in backend/masks/confidence.py


def doubtful_runs(confidence: Sequence[float]) -> list[tuple[int, int]]:
    """Frames below DOUBTFUL as runs, each its first and last frame."""
    runs: list[tuple[int, int]] = []
    for frame, value in enumerate(confidence):
        if value >= DOUBTFUL:
            continue
        if runs and runs[-1][1] == frame - 1:
            runs[-1] = (runs[-1][0], frame)
        else:
            runs.append((frame, frame))
    return runs


def most_helpful(confidence: Sequence[float]) -> int | None:
    """The frame on which a further key frame helps most; None if no frame is doubtful."""
    doubt = [max(0.0, DOUBTFUL - value) for value in confidence]
    if not any(doubt):
        return None

    def gain(frame: int) -> float:
        return sum(much * exp(-abs(other - frame) / HELPS) for other, much in enumerate(doubt))

    return max(range(len(doubt)), key=lambda frame: (gain(frame), -frame))


def neighbour(frames: Sequence[int], frame: int, step: int) -> int | None:
    """The next of ascending frames after a frame, or the previous one if step is negative."""
    later = [one for one in frames if (one - frame) * step > 0]
    return (min(later) if step > 0 else max(later)) if later else None


def verdict(confidence: Sequence[float], start: int) -> tuple[bool, str]:
    """Whether the mask is good on every frame, and a sentence. start: the first timeline frame."""
    runs = doubtful_runs(confidence)
    if not runs:
        return True, f"Object mask: good on every frame (at least {min(confidence):.0%} confident)."
    first, last = runs[-1]
    if last == len(confidence) - 1 and max(confidence[first:]) < LOST:
        return False, f"The object is lost from frame {start + first}."
    count = sum(end - begin + 1 for begin, end in runs)
    return False, f"The mask is doubtful on {count} of {len(confidence)} frames."
