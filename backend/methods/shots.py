"""A clip with cuts is several shots: each is worked on for itself, the results are joined."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from backend.atlas.shots import find_cuts
from backend.worker import Context
from protocol.jobs import AtlasJob, Clip, EditJob, JobError, Masks, ObjectRef, Result

Frames = NDArray[np.uint8]
Job = TypeVar("Job", AtlasJob, EditJob)

LARGER_IS_WORSE = ("slip", "folds")
WORST, WORST_FRAME = "mask_confidence_worst", "mask_worst_frame"
NOTHING_TO_EDIT = ("no_foreground", "one_colour")


def each_shot(
    spec: Job, frames: Frames, ctx: Context, run_one: Callable[[Job, Frames, Context, int], Result]
) -> Result:
    """Run a job shot by shot and join the results; a clip without cuts is one shot.

    frames: uint8 [T,H,W,3], the clip's. run_one gets the job of a shot, its frames, and how many
    frames come before them. A shot without an object is all background to an edit of the
    background; any other shot with nothing to edit gets an empty layer. Both are told. JobError
    where there is nothing to edit in any shot.
    """
    spans = shots(frames, ctx)
    if len(spans) == 1:
        return run_one(spec, frames, ctx, 0)
    results: list[Result | None] = []
    missing: list[tuple[int, JobError]] = []
    parts: list[Job] = []
    for number, (first, last) in enumerate(spans):
        parts.append(_part(spec, number, spans, ctx))
        try:
            results.append(run_one(parts[-1], frames[first:last], ctx, first))
        except JobError as why:
            if why.problem.code not in NOTHING_TO_EDIT:
                raise
            missing.append((number, why))
            results.append(None)
    if len(missing) == len(spans):
        raise missing[0][1]
    behind = isinstance(spec, EditJob) and spec.layer == "background"
    for number, error in missing:
        name, (first, last) = _name(number, spans), spans[number]
        if behind and error.problem.code == "no_foreground":
            ctx.note(f"{name}: {error.problem.message} All of it is taken for background.")
            bare: Job = msgspec.structs.replace(parts[number], masks=Masks(mode="none"))
            results[number] = run_one(bare, frames[first:last], ctx, first)
        else:
            ctx.note(f"{name}: {error.problem.message} Its layer stays empty.")
    layer = _joined(results, spans, frames.shape, ctx) if isinstance(spec, EditJob) else ()
    pictures = {
        f"shot_{number}_{name}": picture
        for number, result in enumerate(results, 1)
        if result is not None
        for name, picture in result.pictures.items()
    }
    measured = [
        in_clip(result.numbers, first)
        for result, (first, _) in zip(results, spans, strict=True)
        if result is not None
    ]
    numbers = {"shots": float(len(spans)), **worst(measured)}
    return Result(layer=layer, pictures=pictures, numbers=numbers)


def _name(number: int, spans: list[tuple[int, int]]) -> str:
    first, last = spans[number]
    return f"Shot {number + 1} of {len(spans)}, frames {first + 1} to {last}"


def _part(spec: Job, number: int, spans: list[tuple[int, int]], ctx: Context) -> Job:
    """The job of a shot; that its object is to be looked for is told."""
    first, last = spans[number]
    masks = masks_within(spec.masks, first, last)
    if masks.mode != spec.masks.mode:
        ctx.note(f"{_name(number, spans)}, has no mask of its own: its object is looked for.")
    clip = Clip(frames=spec.clip.frames[first:last], fps=spec.clip.fps)
    part: Job = msgspec.structs.replace(spec, clip=clip, masks=masks)
    return part


def in_clip(numbers: dict[str, float], first: int) -> dict[str, float]:
    """A shot's measures with its frames counted in the clip. first: frames before the shot."""
    if WORST_FRAME not in numbers:
        return numbers
    return {**numbers, WORST_FRAME: numbers[WORST_FRAME] + first}


def shots(frames: Frames, ctx: Context) -> list[tuple[int, int]]:
    """First frame and the one after the last of every shot; cuts are told to the artist."""
    cuts = find_cuts(frames, ctx)
    if cuts:
        where = ", ".join(str(cut + 1) for cut in cuts)
        ctx.note(
            f"The clip cuts to another shot at frame {where}: each of its {len(cuts) + 1} shots "
            "is edited for itself."
        )
    return list(pairwise([0, *cuts, len(frames)]))


def masks_within(masks: Masks, first: int, last: int) -> Masks:
    """A clip's masks for its frames first..last−1; automatic where none of them is of use."""
    parts = {
        name: tuple(
            msgspec.structs.replace(one, frame=one.frame - first)
            for one in getattr(masks, name)
            if first <= one.frame < last
        )
        for name in ("keys", "boxes", "strokes", "clicks")
    }
    mode = masks.mode
    useful = any(parts.values())
    if mode == "segment":  # clicks beside the object alone say nothing to a model
        useful = bool(parts["boxes"]) or any(click.inside for click in parts["clicks"])
    if mode in ("key", "all", "segment") and not useful:
        mode, parts = "auto", dict.fromkeys(parts, ())
    return msgspec.structs.replace(masks, mode=mode, **parts)


def worst(numbers: list[dict[str, float]]) -> dict[str, float]:
    """The worst of each measure over shots; seconds add up, the worst frame is the worst shot's."""
    joined: dict[str, float] = {}
    for name in sorted(set().union(*numbers)):
        values = [one[name] for one in numbers if name in one]
        if name == "seconds":
            joined[name] = sum(values)
        elif name == WORST_FRAME:
            judged = [one for one in numbers if name in one]
            joined[name] = min(judged, key=lambda one: one[WORST])[name]
        else:
            joined[name] = max(values) if name.startswith(LARGER_IS_WORSE) else min(values)
    return joined


def _joined(
    results: list[Result | None],
    spans: list[tuple[int, int]],
    shape: tuple[int, ...],
    ctx: Context,
) -> tuple[ObjectRef, ...]:
    """Layers of all shots in a row, clear where a shot has none."""
    layer: list[ObjectRef] = []
    for result, (first, last) in zip(results, spans, strict=True):
        if result is None:
            clear = ctx.store(np.zeros((*shape[1:3], 4), np.uint8))
            layer += [clear] * (last - first)
        else:
            layer += result.layer
    return tuple(layer)
