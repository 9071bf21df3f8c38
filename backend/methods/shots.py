"""A clip with cuts is several shots: the job runs on each shot, and the results are joined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeVar, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from backend.context import Context
from backend.methods.two_layers import BACK, FRONT, Layer, job_of_layer
from backend.motion.cuts import find_cuts
from protocol.jobs import BOTH, OBJECTS, ClipJob, EditJob, JobError, Masks, ObjectRef, Result
from protocol.layers import about, error_of_object, objects_of, suffix
from protocol.painters import packed_settings, settings_of

Frames = NDArray[np.uint8]
Job = TypeVar("Job", bound=ClipJob)
RunShot = Callable[[Job, Frames, Context], Result]
"""Carries out the job of one shot on its frames uint8 [T,H,W,3]."""

LARGER_IS_WORSE = ("slip", "folds", "flicker")
WORST, WORST_FRAME = "mask_confidence_worst", "mask_worst_frame"
ABSENT = {f"no_foreground{suffix(number)}": number for number in range(1, len(OBJECTS) + 1)}
"""The object, counted from 1, that an error code says is missing."""
NOTHING_TO_EDIT = (*ABSENT, "one_colour", "no_painted_frames", "nothing_changed")


@dataclass(frozen=True)
class Shot:
    """Frames first to last−1 of a clip, between two cuts. number: counted from 1, of count.

    clip_start: the number of the clip's first frame in notes.
    """

    number: int
    count: int
    first: int
    last: int
    clip_start: int = 1

    @property
    def name(self) -> str:
        """How notes name it."""
        first, last = self.clip_start + self.first, self.clip_start + self.last - 1
        return f"Shot {self.number} of {self.count}, frames {first} to {last}"


def each_shot(spec: Job, frames: Frames, ctx: Context, run_shot: RunShot[Job]) -> Result:
    """Run a job shot by shot and join the results; a clip without cuts is one shot.

    frames: uint8 [T,H,W,3], the whole clip. A shot without an object is all background if the job
    edits the background; any other shot with nothing to edit gets an empty layer. With several
    objects, a shot leaves out those it does not show. A note reports each of these.
    Raises JobError if no shot has anything to edit.
    """
    shots = find_shots(frames, ctx)
    if len(shots) == 1:
        return run_shot(spec, frames, ctx)
    parts: list[Job] = []
    results: list[Result | None] = []
    missing: dict[int, JobError] = {}
    for index, shot in enumerate(shots):
        part = _job_of_shot(spec, shot, ctx)
        parts.append(part)
        try:
            with ctx.in_shot(shot.first):
                found = _run_visible(run_shot, part, frames[shot.first : shot.last], shot, ctx)
            results.append(found)
        except JobError as why:
            if why.problem.code not in NOTHING_TO_EDIT:
                raise
            missing[index] = why
            results.append(None)
    if len(missing) == len(shots):
        raise missing[0]
    for index, error in missing.items():
        shot = shots[index]
        if spec.changes in (BACK, BOTH) and error.problem.code == "no_foreground":
            ctx.note(f"{shot.name}: {error.problem.message} The whole shot is background.")
            with ctx.in_shot(shot.first):
                bare = _as_all_background(parts[index])
                results[index] = run_shot(bare, frames[shot.first : shot.last], ctx)
        else:
            ctx.note(f"{shot.name}: {error.problem.message} Its layer stays empty.")
    return _joined(spec, shots, results, frames.shape, ctx)


def _joined(
    spec: ClipJob,
    shots: list[Shot],
    results: list[Result | None],
    shape: tuple[int, ...],
    ctx: Context,
) -> Result:
    """Join all shots into one result: layers concatenated, images by shot, worst measures."""
    layer: Layer = ()
    by_name: dict[str, Layer] = {}
    if spec.changes is not None:
        layer = _concatenated([one.layer if one else None for one in results], shots, shape, ctx)
    if spec.changes == BOTH:
        by_name = {
            name: _concatenated([_layer_of(one, name) for one in results], shots, shape, ctx)
            for name in (FRONT, BACK)
        }
    done = [(shot, one) for shot, one in zip(shots, results, strict=True) if one is not None]
    pictures = {
        f"shot_{shot.number}_{name}": picture
        for shot, one in done
        for name, picture in one.pictures.items()
    }
    measured = [_in_clip(one.numbers, shot.first) for shot, one in done]
    numbers = {"shots": float(len(shots)), **worst(measured)}
    return Result(
        layer=layer,
        parts=by_name,
        pictures=pictures,
        numbers=numbers,
        confidence=_joined_confidence(shots, results),
    )


def _joined_confidence(shots: list[Shot], results: list[Result | None]) -> tuple[float, ...]:
    """Confidence of every frame of the clip; 0 in a shot without the object. Empty if not asked."""
    if not any(one.confidence for one in results if one):
        return ()
    found: list[float] = []
    for shot, one in zip(shots, results, strict=True):
        found += one.confidence if one else [0.0] * (shot.last - shot.first)
    return tuple(found)


def _run_visible(
    run_shot: RunShot[Job], part: Job, frames: Frames, shot: Shot, ctx: Context
) -> Result:
    """Run a shot; leave out objects that it does not show if there are several. A note names them.

    Raises JobError no_foreground, no_foreground_2, … if the edited layer is one of them.
    """
    while part.behind:
        objects = objects_of(part)
        edited = OBJECTS.index(part.changes) if part.changes in OBJECTS else None
        if edited is not None and objects[edited].mode == "none":
            error = JobError(
                "no_foreground",
                "The object is not in this shot.",
                "If it should be, add a mask on a frame of the shot.",
            )
            raise error_of_object(error, edited + 1, len(objects))
        try:
            return run_shot(part, frames, ctx)
        except JobError as why:
            index = ABSENT.get(why.problem.code, 0) - 1
            if index in (-1, edited):
                raise
            ctx.note(f"{shot.name}: {why.problem.message} The shot is edited without it.")
            part = _with_objects(
                part, [Masks(mode="none") if i == index else m for i, m in enumerate(objects)]
            )
    return run_shot(part, frames, ctx)


def _with_objects(part: Job, objects: list[Masks]) -> Job:
    changed: Job = msgspec.structs.replace(part, masks=objects[0], behind=tuple(objects[1:]))
    return changed


def _job_of_shot(spec: Job, shot: Shot, ctx: Context) -> Job:
    """The job of one shot. A note names the objects that have no mask in this shot."""
    given = objects_of(spec)
    otherwise: Literal["auto", "none"] = "none" if spec.behind else "auto"
    objects = [masks_within(masks, shot.first, shot.last, otherwise) for masks in given]
    for index, (masks, whole) in enumerate(zip(objects, given, strict=True), 1):
        if masks.mode == whole.mode:
            continue
        if spec.behind:
            absent = about(
                "it has no mask, box or strokes in this shot, so it is left out.", index, 3
            )
            ctx.note(f"{shot.name}: {absent}")
        else:
            ctx.note(f"{shot.name} has no mask, so its object is found automatically.")
    clip = msgspec.structs.replace(spec.clip, frames=spec.clip.frames[shot.first : shot.last])
    part: Job = msgspec.structs.replace(spec, clip=clip)
    if isinstance(part, EditJob):
        settings = settings_of(part).within(shot.first, shot.last)
        part = cast(Job, msgspec.structs.replace(part, settings=packed_settings(settings)))
    return _with_objects(part, objects)


def _in_clip(numbers: dict[str, float], first: int) -> dict[str, float]:
    """A shot's measures with frames counted over the clip. first: frames before the shot."""
    return {
        name: value + first if name.startswith(WORST_FRAME) else value
        for name, value in numbers.items()
    }


def find_shots(frames: Frames, ctx: Context) -> list[Shot]:
    """The shots of a clip; a note names its cuts."""
    cuts = find_cuts(frames, ctx)
    if cuts:
        where = ", ".join(str(ctx.clip_start + cut) for cut in cuts)
        ctx.note(
            f"The clip cuts to another shot at frame {where}; each of its {len(cuts) + 1} shots is "
            "edited separately."
        )
    spans = list(pairwise([0, *cuts, len(frames)]))
    return [Shot(number, len(spans), *span, ctx.clip_start) for number, span in enumerate(spans, 1)]


def masks_within(
    masks: Masks, first: int, last: int, otherwise: Literal["auto", "none"] = "auto"
) -> Masks:
    """A clip's masks on frames first to last−1; mode `otherwise` if there are no masks on them."""
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
    if mode == "segment":  # a model needs at least one click on the object
        useful = bool(parts["boxes"]) or any(click.inside for click in parts["clicks"])
    if mode in ("key", "all", "segment") and not useful:
        mode, parts = otherwise, dict.fromkeys(parts, ())
    return msgspec.structs.replace(masks, mode=mode, **parts)


def worst(numbers: list[dict[str, float]]) -> dict[str, float]:
    """The worst value of each measure; seconds add up, and the worst frame is the worst shot's."""
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


def _as_all_background(part: Job) -> Job:
    """A shot's job with the whole shot as background."""
    bare = msgspec.structs.replace(cast(EditJob, part), masks=Masks(mode="none"))
    return cast(Job, job_of_layer(bare, BACK))


def _layer_of(result: Result | None, name: str) -> Layer | None:
    """A shot's layer by name; None if the shot lacks it or has nothing to edit."""
    if result is None:
        return None
    return (result.parts or {BACK: result.layer}).get(name)


def _concatenated(
    layers: list[Layer | None], shots: list[Shot], shape: tuple[int, ...], ctx: Context
) -> Layer:
    """Concatenate the layers of all shots; a shot without one gets transparent frames."""
    row: list[ObjectRef] = []
    for layer, shot in zip(layers, shots, strict=True):
        if layer is None:
            clear = ctx.store(np.zeros((*shape[1:3], 4), np.uint8))
            row += [clear] * (shot.last - shot.first)
        else:
            row += layer
    return tuple(row)
