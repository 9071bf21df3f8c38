"""How bright the frames of a shot are compared with each other: fades, flashes, exposure changes.

Neighbouring frames are compared where the same point of the scene is seen, along a rough flow, so
that a pan to something brighter is no change. Layers do not follow such changes; a note says so.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.motion.flow import F32, dis_flow, grid, working_size
from backend.progress import Reporter

PHASE = "Measuring the exposure"

SMALL = 96  # long side at which frames are compared, pixels; more if flow needs it
FLOOR = 1.0  # grey levels added to both sides of a ratio, so that black can be compared
ALIKE = 0.1  # difference of two frames of about the same brightness, of its logarithm
CHANGED = 1.3  # ratio to the usual brightness from which a frame counts as changed
FLASH = 3  # most frames of a flash


def levels(frames: NDArray[np.uint8], report: Reporter) -> F32:
    """Brightness of each frame of a shot as a multiple of its usual one: float32 [T].

    frames: uint8 [T,H,W,3] sRGB. The ratio is of code values, as seen. The usual brightness is the
    one that most frames are close to, of several the brightest.
    """
    size = working_size(frames.shape[1], frames.shape[2], SMALL)
    level = np.ones(len(frames), np.float32)
    before: NDArray[np.uint8] | None = None
    for t, frame in enumerate(frames):
        if t % 16 == 1:
            report.step(PHASE, t, len(frames))
        small = cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        if before is not None:
            level[t] = level[t - 1] * _step(before, grey)
        before = grey
    alike = (np.abs(np.log(level[:, None] / level)) < ALIKE).sum(1)
    return np.asarray(level / level[alike == alike.max()].max(), np.float32)


def _step(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """How much brighter the same points are in the second image."""
    at = grid((after.shape[0], after.shape[1])) + dis_flow(after, before, fast=True)
    moved = cv2.remap(
        before.astype(np.float32), at[..., 0], at[..., 1], cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return float(np.median((after + FLOOR) / (moved + FLOOR)))


def report_exposure(frames: NDArray[np.uint8], report: Reporter, first_frame: int = 0) -> None:
    """Note which frames of a shot are much brighter or darker than usual, if any.

    first_frame: the artist's number of the first of these frames, minus 1.
    """
    level = levels(frames, report)
    changed = np.maximum(level, 1 / np.maximum(level, 1e-6)) > CHANGED
    for first, last in _runs(changed):
        part = level[first : last + 1]
        worst = first + int(np.argmax(np.abs(np.log(np.maximum(part, 1e-6)))))
        start, end = first_frame + first + 1, first_frame + last + 1
        where = f"frame {start}" if first == last else f"frames {start} to {end}"
        at = "" if first == last else f" on frame {first_frame + worst + 1}"
        inside = first > 0 and last < len(frames) - 1 and last - first < FLASH
        brighter = "flashes" if inside else "is brighter"
        what = brighter if level[worst] > 1 else "is darker"
        report.note(
            f"The shot {what} on {where}: {level[worst]:.0%} of its usual brightness{at}. The "
            "layer does not follow this; fade or darken it there by hand."
        )


def _runs(changed: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of each run of true values."""
    edges = np.flatnonzero(np.diff(np.r_[False, changed, False].astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]
