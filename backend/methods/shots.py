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
NOTHING_TO_EDIT = ("no_foreground", "one_colour")


def each_shot(
    spec: Job, frames: Frames, ctx: Context, run_one: Callable[[Job, Frames, Context], Result]
) -> Result:
    """Run a job shot by shot and join the results; a clip without cuts is one shot.

    frames: uint8 [T,H,W,3], the clip's. run_one gets the job of a shot and its frames. A shot in
    which there is nothing to edit gets an empty layer and a note, unless that is so in all of them.
    """
    spans = shots(frames, ctx)
    if len(spans) == 1:
        return run_one(spec, frames, ctx)
    results: list[Result | None] = []
    missing: JobError | None = None
    for number, (first, last) in enumerate(spans, 1):
        name = f"Shot {number} of {len(spans)}, frames {first + 1} to {last}"
        masks = masks_within(spec.masks, first, last)
        if masks.mode != spec.masks.mode:
            ctx.note(f"{name}, has no mask of its own: its object is looked for.")
        part: Job = msgspec.structs.replace(
            spec,
            clip=Clip(frames=spec.clip.frames[first:last], fps=spec.clip.fps),
            masks=masks,
        )
        try:
            results.append(run_one(part, frames[first:last], ctx))
        except JobError as why:
            if why.problem.code not in NOTHING_TO_EDIT:
                raise
            missing = why
            ctx.note(f"{name}: {why.problem.message} Its layer stays empty.")
            results.append(None)
    done = [result for result in results if result is not None]
    if not done:
        assert missing is not None
        raise missing
    layer = _joined(results, spans, frames.shape, ctx) if isinstance(spec, EditJob) else ()
    pictures = {
        f"shot_{number}_{name}": picture
        for number, result in enumerate(results, 1)
        if result is not None
        for name, picture in result.pictures.items()
    }
    numbers = {"shots": float(len(spans)), **worst([result.numbers for result in done])}
    return Result(layer=layer, pictures=pictures, numbers=numbers)


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
    """A clip's masks for its frames first..last−1; automatic where none of them is left."""
    parts = {
        name: tuple(
            msgspec.structs.replace(one, frame=one.frame - first)
            for one in getattr(masks, name)
            if first <= one.frame < last
        )
        for name in ("keys", "boxes", "strokes", "clicks")
    }
    mode = masks.mode
    if mode in ("key", "all", "segment") and not any(parts.values()):
        mode = "auto"
    return msgspec.structs.replace(masks, mode=mode, **parts)


def worst(numbers: list[dict[str, float]]) -> dict[str, float]:
    """The worst of each measure over shots; seconds add up."""
    joined: dict[str, float] = {}
    for name in sorted(set().union(*numbers)):
        values = [one[name] for one in numbers if name in one]
        if name == "seconds":
            joined[name] = sum(values)
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
