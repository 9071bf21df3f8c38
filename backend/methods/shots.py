"""A clip with cuts is several shots: each is worked on for itself, the results are joined."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal, TypeVar, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from backend.context import Context
from backend.methods.two_layers import BACK, FRONT, Layer, of_layer
from backend.motion.cuts import find_cuts
from protocol.jobs import BOTH, OBJECTS, Clip, ClipJob, EditJob, JobError, Masks, ObjectRef, Result
from protocol.layers import about, objects_of, of_object, suffix

Frames = NDArray[np.uint8]
Job = TypeVar("Job", bound=ClipJob)

LARGER_IS_WORSE = ("slip", "folds")
WORST, WORST_FRAME = "mask_confidence_worst", "mask_worst_frame"
ABSENT = {f"no_foreground{suffix(number)}": number for number in range(1, len(OBJECTS) + 1)}
"""The object, counted from 1, that an error says is not there."""
NOTHING_TO_EDIT = (*ABSENT, "one_colour")


def each_shot(
    spec: Job, frames: Frames, ctx: Context, run_one: Callable[[Job, Frames, Context], Result]
) -> Result:
    """Run a job shot by shot and join the results; a clip without cuts is one shot.

    frames: uint8 [T,H,W,3], the clip's. run_one: gets a shot's job and frames.
    A shot without an object is all background to an edit of the background; any other shot with
    nothing to edit gets an empty layer. Of several objects, those missing from a shot are left out
    there. A note reports each of these. Raises JobError where no shot has anything to edit.
    """
    spans = shots(frames, ctx)
    if len(spans) == 1:
        return run_one(spec, frames, ctx)
    results: list[Result | None] = []
    missing: list[tuple[int, JobError]] = []
    parts: list[Job] = []
    for number, (first, last) in enumerate(spans):
        parts.append(_part(spec, number, spans, ctx))
        try:
            shot, name = frames[first:last], _name(number, spans)
            with ctx.in_shot(first):
                results.append(_with_those_there(run_one, parts[-1], shot, ctx, name))
        except JobError as why:
            if why.problem.code not in NOTHING_TO_EDIT:
                raise
            missing.append((number, why))
            results.append(None)
    if len(missing) == len(spans):
        raise missing[0][1]
    background = spec.changes in (BACK, BOTH)
    for number, error in missing:
        name, (first, last) = _name(number, spans), spans[number]
        if background and error.problem.code == "no_foreground":
            ctx.note(f"{name}: {error.problem.message} All of it is taken for background.")
            bare = _of_background(parts[number])
            with ctx.in_shot(first):
                results[number] = run_one(bare, frames[first:last], ctx)
        else:
            ctx.note(f"{name}: {error.problem.message} Its layer stays empty.")
    layer: Layer = ()
    by_name: dict[str, Layer] = {}
    if spec.changes is not None:
        layer = _joined([one.layer if one else None for one in results], spans, frames.shape, ctx)
        if spec.changes == BOTH:
            by_name = {
                name: _joined([_named(one, name) for one in results], spans, frames.shape, ctx)
                for name in (FRONT, BACK)
            }
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
    return Result(layer=layer, parts=by_name, pictures=pictures, numbers=numbers)


def _with_those_there(
    run_one: Callable[[Job, Frames, Context], Result],
    part: Job,
    frames: Frames,
    ctx: Context,
    name: str,
) -> Result:
    """Run a shot, of several objects without those that are not found in it, and tell which.

    JobError no_foreground, no_foreground_2, … where the layer that is edited is one of them.
    """
    while part.behind:
        objects = objects_of(part)
        edited = OBJECTS.index(part.changes) if part.changes in OBJECTS else None
        if edited is not None and objects[edited].mode == "none":
            missing = JobError(
                "no_foreground",
                "It is not in this shot.",
                "Give its mask on a frame of the shot, if it is.",
            )
            raise of_object(missing, edited + 1, len(objects))
        try:
            return run_one(part, frames, ctx)
        except JobError as why:
            index = ABSENT.get(why.problem.code, 0) - 1
            if index in (-1, edited):
                raise
            ctx.note(f"{name}: {why.problem.message} It is left out there.")
            part = _with_objects(
                part, [Masks(mode="none") if i == index else m for i, m in enumerate(objects)]
            )
    return run_one(part, frames, ctx)


def _with_objects(part: Job, objects: list[Masks]) -> Job:
    changed: Job = msgspec.structs.replace(part, masks=objects[0], behind=tuple(objects[1:]))
    return changed


def _name(number: int, spans: list[tuple[int, int]]) -> str:
    first, last = spans[number]
    return f"Shot {number + 1} of {len(spans)}, frames {first + 1} to {last}"


def _part(spec: Job, number: int, spans: list[tuple[int, int]], ctx: Context) -> Job:
    """The job of a shot; it is told which objects are to be looked for, or taken to be absent."""
    (first, last), name = spans[number], _name(number, spans)
    given = objects_of(spec)
    otherwise: Literal["auto", "none"] = "none" if spec.behind else "auto"
    objects = [masks_within(masks, first, last, otherwise) for masks in given]
    for index, (masks, whole) in enumerate(zip(objects, given, strict=True), 1):
        if masks.mode == whole.mode:
            continue
        if spec.behind:
            absent = about("nothing points at it there, so it is taken to be absent.", index, 3)
            ctx.note(f"{name}: {absent}")
        else:
            ctx.note(f"{name}, has no mask of its own: its object is looked for.")
    clip = Clip(frames=spec.clip.frames[first:last], fps=spec.clip.fps)
    part: Job = msgspec.structs.replace(spec, clip=clip)
    return _with_objects(part, objects)


def in_clip(numbers: dict[str, float], first: int) -> dict[str, float]:
    """A shot's measures with its frames counted in the clip. first: frames before the shot."""
    return {
        name: value + first if name.startswith(WORST_FRAME) else value
        for name, value in numbers.items()
    }


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


def masks_within(
    masks: Masks, first: int, last: int, otherwise: Literal["auto", "none"] = "auto"
) -> Masks:
    """A clip's masks for its frames first..last−1; another mode where none of them is of use."""
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
        mode, parts = otherwise, dict.fromkeys(parts, ())
    return msgspec.structs.replace(masks, mode=mode, **parts)


def worst(numbers: list[dict[str, float]]) -> dict[str, float]:
    """The worst of each measure over shots; seconds add up, the worst frame is the worst shot's."""
    joined: dict[str, float] = {}
    for name in sorted(set().union(*numbers)):
        values = [one[name] for one in numbers if name in one]
        if name == "seconds":
            joined[name] = sum(values)
        elif name.startswith(WORST_FRAME):
            by = WORST + name.removeprefix(WORST_FRAME)
            joined[name] = min((one[by], one[name]) for one in numbers if name in one)[1]
        else:
            joined[name] = max(values) if name.startswith(LARGER_IS_WORSE) else min(values)
    return joined


def _of_background(part: Job) -> Job:
    """A shot's job with all of the shot as background."""
    bare = msgspec.structs.replace(cast(EditJob, part), masks=Masks(mode="none"))
    return cast(Job, of_layer(bare, BACK))


def _named(result: Result | None, name: str) -> Layer | None:
    """One of both layers of a shot; the shot may have been all background, or nothing."""
    if result is None:
        return None
    return (result.parts or {BACK: result.layer}).get(name)


def _joined(
    layers: list[Layer | None],
    spans: list[tuple[int, int]],
    shape: tuple[int, ...],
    ctx: Context,
) -> Layer:
    """Layers of all shots in a row, clear where a shot has none."""
    joined: list[ObjectRef] = []
    for layer, (first, last) in zip(layers, spans, strict=True):
        if layer is None:
            clear = ctx.store(np.zeros((*shape[1:3], 4), np.uint8))
            joined += [clear] * (last - first)
        else:
            joined += layer
    return tuple(joined)
