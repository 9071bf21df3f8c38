"""Register edited frames to the footage: size and crop, small shifts, global colour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.edited.align import Fit, align
from backend.edited.placement import (
    F32,
    Placement,
    agreement,
    find_placement,
    place,
    shown,
    whole,
)
from backend.progress import Tick, nothing
from protocol.jobs import JobError

Pixels = NDArray[np.uint8]
Load = Callable[[int], Pixels]
"""An edited frame [H,W,3] uint8 by its place in the list of edited frames."""

LOOKED_AT = 6  # frames of one size that decide how they lie on the clip
CONTENT = 5.0  # standard deviations by which the agreement with the footage must stand out
EQUAL = 1.01 / 255  # difference that rounding makes
TEXTURED = 4.0 / 255  # local contrast from which equality means something
EXACT = (
    0.25  # share of textured pixels that equal the footage if the rest of the frame is as it was
)
MATCHED = 0.15  # share of pixels that must agree to say how the whole frame was graded
FARTHEST = 0.05  # largest shift of one frame, as a share of the frame's long side
GAINS = (0.5, 2.0)
STILL = 0.03  # shifts below this are none, pixels
COARSE = 0.5  # shifts above this are known from edges alone, pixels
GUESSED = 4.0 / 255  # noise of an edit that agrees with the footage nowhere


@dataclass(frozen=True)
class Registered:
    """How one edited frame is brought onto the clip.

    gain, offset: what its colours are divided by, after the offset is subtracted. noise: standard
    deviation of its unchanged pixels. exact: they equal the footage, so nothing is resampled.
    matched: part of the frame agrees with the footage, and says how the rest is shifted and graded.
    common: the placement of all frames of its size, without this one's own shift.
    """

    placement: Placement
    common: Placement
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    noise: float = 0.0
    exact: bool = False
    matched: bool = True

    def applied(self, image: Pixels, clip: tuple[int, int]) -> tuple[F32, F32]:
        """The frame on the clip, float32 [H,W,3], and where it shows the clip, [H,W] of 0 and 1."""
        placed = place(as_float(image), self.placement, clip)
        offset, gain = np.array(self.offset, np.float32), np.array(self.gain, np.float32)
        colours = (placed - offset) / gain
        size = (image.shape[0], image.shape[1])
        return np.asarray(colours, np.float32), shown(size, self.placement, clip).astype(np.float32)


def as_float(image: Pixels) -> F32:
    """uint8 as float32 in 0..1."""
    return np.asarray(image, np.float32) / np.float32(255)


def register(
    load: Load, numbers: Sequence[int], frames: Pixels, tick: Tick = nothing
) -> list[Registered]:
    """Register edited frames. numbers: the frame of the clip [T,H,W,3] that each one shows.

    Raises JobError("other_content") if they do not show the clip.
    """
    sizes: dict[tuple[int, int], list[int]] = {}
    for index in range(len(numbers)):
        image = load(index)
        sizes.setdefault((image.shape[0], image.shape[1]), []).append(index)
    registered: dict[int, Registered] = {}
    for members in sizes.values():
        common = _common(load, members, numbers, frames, tick)
        for index in members:
            tick()
            registered[index] = _one(
                as_float(load(index)), as_float(frames[numbers[index]]), common
            )
    return [registered[index] for index in range(len(numbers))]


def _common(
    load: Load, members: list[int], numbers: Sequence[int], frames: Pixels, tick: Tick
) -> Placement:
    """How all edited frames of one size lie on the clip."""
    some = [members[i] for i in spread_over(len(members), LOOKED_AT)]
    edits = [as_float(load(index)) for index in some]
    originals = [as_float(frames[numbers[index]]) for index in some]
    size, clip = edits[0].shape[:2], (originals[0].shape[0], originals[0].shape[1])
    tick()
    if size == clip and all(
        _equals(edit, original) for edit, original in zip(edits, originals, strict=True)
    ):
        return Placement(1.0, 1.0)
    found, _ = find_placement(edits, originals)
    tick()
    placed = [place(edit, found, clip) for edit in edits]
    stands_out = agreement(placed, originals)[1]
    if stands_out < CONTENT:
        raise JobError(
            "other_content",
            "The edited frames do not show this shot: their edges lie elsewhere than the "
            "footage's.",
            "Give frames of the same shot, each with the number of its own frame; the edit may "
            "change looks, but not the camera or the layout.",
        )
    if found == whole((size[0], size[1]), clip):
        return found
    # A crop is known to a pixel or so; the whole of several frames gives its scale finely.
    refined = found
    weight = shown((size[0], size[1]), found, clip).astype(np.float32)
    fits = [
        align(image, original, weight, scale=True)
        for image, original in zip(placed, originals, strict=True)
    ]
    good = [fit for fit in fits if _is_good(fit, clip)]
    if good:
        middle = np.median([fit.motion for fit in good], 0)
        refined = found.stretched(*middle.tolist())
    return refined


def _one(edit: F32, frame: F32, common: Placement) -> Registered:
    clip, size = (frame.shape[0], frame.shape[1]), (edit.shape[0], edit.shape[1])
    placed = place(edit, common, clip)
    if common == whole(size, clip) and _equals(placed, frame):
        return Registered(common, common, exact=True)
    fit = align(placed, frame, shown(size, common, clip).astype(np.float32))
    if _is_good(fit, clip):
        dx, dy = fit.motion
        if max(abs(dx), abs(dy)) < STILL:
            dx = dy = 0.0
        return Registered(common.moved(dx, dy), common, fit.gain, fit.offset, fit.noise)
    stands_out, dx, dy = agreement([placed], [frame])[1:]
    shift = (
        common.moved(dx, dy) if stands_out >= CONTENT and max(abs(dx), abs(dy)) > 0.5 else common
    )
    return Registered(shift, common, noise=GUESSED, matched=False)


def _is_good(fit: Fit, clip: tuple[int, int]) -> bool:
    farthest = max(abs(value) for value in fit.motion[-2:])
    return (
        fit.agreeing >= MATCHED
        and farthest <= FARTHEST * max(clip)
        and GAINS[0] <= min(fit.gain)
        and max(fit.gain) <= GAINS[1]
    )


def _equals(edit: F32, frame: F32) -> bool:
    """Whether so much of a frame is unchanged that it was neither moved nor graded."""
    if edit.shape != frame.shape:
        return False
    grey = frame.mean(-1)
    gy, gx = np.gradient(grey)
    textured = np.hypot(gx, gy) > TEXTURED
    if textured.sum() < 64:
        textured[:] = True
    return bool((np.abs(edit - frame).max(-1) <= EQUAL)[textured].mean() >= EXACT)


def graded_alike(registered: Sequence[Registered]) -> list[Registered]:
    """The same frames with their common grade kept: only what differs from frame to frame goes."""
    used = [one for one in registered if one.matched]
    if not used:
        return list(registered)
    gain = np.median([one.gain for one in used], 0)
    offset = np.median([one.offset for one in used], 0)
    kept = []
    for one in registered:
        if one.matched:
            relative = np.array(one.gain) / gain
            rest = np.array(one.offset) - relative * offset
            one = replace(one, gain=tuple(relative.tolist()), offset=tuple(rest.tolist()))
        kept.append(one)
    return kept


def spread_over(count: int, most: int) -> list[int]:
    """At most `most` of `count` indices, evenly spread, first and last included."""
    if count <= most:
        return list(range(count))
    return sorted({round(i * (count - 1) / (most - 1)) for i in range(most)}) if most > 1 else [0]
