"""Fall back on flow where the head does not know the object, as with very small ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backend.masks.tracker.certainty import CERTAIN, MISSED, Judge
from backend.masks.tracker.shot import Result, Shot
from backend.motion.flow import F32

DOUBT = 0.5  # expected overlap below which a frame is doubtful
HARD = 0.25  # share of doubtful frames from which on flow is tried
SHARPNESS = 0.6  # that stands for a carried mask's, which is sharp wherever it is
WHILE = 2  # frames on each side over which a promise is averaged


def needs_rescue(found: Result) -> bool:
    """Whether so many frames are doubtful that flow is worth its time."""
    return float((found.expected < DOUBT).mean()) > HARD


def rescued(found: Result, carried: F32, shot: Shot) -> Result:
    """The masks found, or carried by flow [T,h,w] where those promise more."""
    judge = Judge(shot.features, shot.keys)
    cues = []
    for t, mask in enumerate(carried):
        if t in shot.keys:
            cues.append(CERTAIN)
            continue
        one = judge.cues(t, mask, found.heads[t].astype(np.float32))
        cues.append(replace(one, sharpness=SHARPNESS) if one.empty is None else one)
    other = Result(carried, tuple(cues), found.heads)
    lost = np.array([one.empty == 0 for one in found.cues])
    take = (promise(other, found) > 0) | (lost & (other.expected > MISSED))
    return Result(
        np.where(take[:, None, None], carried, found.masks),
        tuple(b if use else a for a, b, use in zip(found.cues, cues, take, strict=True)),
        found.heads,
    )


def promise(one: Result, other: Result) -> NDArray[np.float64]:
    """How much more overlap one expects than the other, averaged over a while, [T]."""
    kernel = np.ones(2 * WHILE + 1) / (2 * WHILE + 1)
    more = (one.expected - other.expected).astype(np.float64)
    return np.convolve(np.pad(more, WHILE, mode="edge"), kernel, "valid")
