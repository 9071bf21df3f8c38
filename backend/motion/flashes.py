"""Bridge flashes: masks and motion are followed over them, not through them.

A frame that is white, black or broken shows nothing that flow or looks could follow, and whatever
is carried through it arrives displaced. Where the shot goes on after a few such frames as before,
in-betweens of the frames around them take their place for tracking and fitting.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.motion import fields
from backend.motion.flow import F32, dis_flow, pull
from backend.motion.likeness import distance, histogram, thumbnail, unexplained
from backend.progress import Reporter

LONGEST = 3  # frames of a flash, at most
OTHER = 0.25  # least distance of a flash's colours from those around it, 0..1; a bump keeps them
SAME = 0.1  # largest distance between the colours before and after it
LEFT = 0.08  # least difference that flow leaves at its start, share of the grey range
BACK = 0.6  # largest difference across it, share of that


@dataclass(frozen=True)
class Bridged:
    """frames: uint8 [T,h,w,3], in-betweens instead of flashes. flashes: the frames replaced."""

    frames: NDArray[np.uint8]
    flashes: frozenset[int]


def bridge_flashes(frames: NDArray[np.uint8], report: Reporter, first_frame: int = 0) -> Bridged:
    """Replace the flashes of a shot, uint8 [T,h,w,3], by in-betweens. A note names them.

    first_frame: the artist's number of the first of these frames, minus 1.
    """
    found = find_flashes(frames)
    out = frames.copy() if found else frames
    for first, last in found:
        before, after = frames[first - 1], frames[last + 1]
        there, back = _flow(before, after), _flow(after, before)
        for t in range(first, last + 1):
            share = (t - first + 1) / (last - first + 2)
            out[t] = _between(before, after, there, back, share)
        a, b = first_frame + first + 1, first_frame + last + 1
        named = f"Frame {a} shows" if a == b else f"Frames {a} to {b} show"
        report.note(
            f"{named} a flash, or nothing of the shot: the motion and the mask are carried over "
            f"from frame {a - 1} to frame {b + 1}."
        )
    return Bridged(out, frozenset(t for a, b in found for t in range(a, b + 1)))


def find_flashes(frames: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """First and last frame of each flash of a shot. frames: uint8 [T,H,W,3]."""
    small = [thumbnail(frame) for frame in frames]
    colours = [histogram(one) for one in small]
    usual = np.asarray(np.mean(colours, axis=0), np.float32)
    found: list[tuple[int, int]] = []
    t = 1
    while t < len(frames) - 1:
        last = _end_of_flash(small, colours, t)
        if last is None or distance(colours[t], usual) < distance(colours[t - 1], usual):
            t += 1  # the second: a glimpse of the shot between two flashes
            continue
        found.append((t, last))
        t = last + 2
    return found


def _end_of_flash(small: list[NDArray[np.uint8]], colours: list[F32], first: int) -> int | None:
    """The last frame of the flash that begins at `first`; None if none does."""
    before = first - 1
    for last in range(first, min(first + LONGEST, len(small) - 1)):
        if distance(colours[before], colours[last]) < OTHER:
            return None
        after = last + 1
        if distance(colours[before], colours[after]) > SAME:
            continue
        if any(distance(colours[t], colours[after]) < OTHER for t in range(first, after)):
            return None
        left = unexplained(small[before], small[first])
        same = left >= LEFT and unexplained(small[before], small[after]) < BACK * left
        return last if same else None
    return None


def _flow(here: NDArray[np.uint8], there: NDArray[np.uint8]) -> F32:
    one, other = (np.asarray(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), np.uint8) for f in (here, there))
    return dis_flow(one, other)


def _between(
    before: NDArray[np.uint8], after: NDArray[np.uint8], there: F32, back: F32, share: float
) -> NDArray[np.uint8]:
    """The image at a share of the way from one frame to another, along the flow both ways."""
    one = pull(before.astype(np.float32), fields.inverse(np.float32(share) * there))
    other = pull(after.astype(np.float32), fields.inverse(np.float32(1 - share) * back))
    return np.asarray(np.rint((1 - share) * one + share * other), np.uint8)
