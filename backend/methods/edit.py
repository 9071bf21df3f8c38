"""Method `edit`: a text-driven RGBA layer for every frame, by any painter.

What every edit shares lives here: shots, masks, still or clip, one layer or two, warm starts,
checkpoints, and the layer's frames. How a still or an atlas is painted is the painter's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.explicit import config as atlas_config
from backend.atlas.interface import LayeredAtlas
from backend.atlas.render import render_layer
from backend.context import Context
from backend.media import composite
from backend.methods.atlas import atlas_of, load_clip_frames, picture
from backend.methods.checkpoints import EditCheckpoints
from backend.methods.mask_prompts import mask_of_layer
from backend.methods.shots import each_shot, worst
from backend.methods.two_layers import (
    BACK,
    Layer,
    ProgressShare,
    composited,
    job_of_layer,
    join_layers,
    layers_to_edit,
)
from backend.methods.warm_starts import WarmStarts
from backend.motion.exposure import report_exposure
from backend.painters.base import Painter, Plan, Run, Task
from backend.painters.registry import load_painter
from protocol.jobs import BOTH, EditJob, JobError, ObjectRef, Result
from protocol.layers import objects_of


def run(spec: EditJob, ctx: Context) -> Result:
    """Carry out an edit; a clip of one frame is edited as a still image, without an atlas."""
    started = time.monotonic()
    warm_starts = WarmStarts(spec, ctx)
    painter = load_painter(spec, ctx.device)
    for remark in painter.remarks(spec):
        ctx.note(remark)
    single = len(spec.clip.frames) == 1
    checkpoints = EditCheckpoints(ctx)

    def run_shot(shot: EditJob, frames: NDArray[np.uint8], ctx: Context) -> Result:
        if (frames == frames[0, 0, 0]).all():
            raise JobError(
                "one_colour",
                "The clip is one flat colour, so there is nothing in it to edit.",
                "Choose frames that show something, and leave out the black part of a fade.",
            )
        video = len(frames) > 1
        paintings = _paintings(shot, painter, warm_starts, checkpoints, ctx, video=video)
        if video:
            return _paint_clip(shot, frames, painter, paintings, ctx)
        return _paint_still(shot, frames[0], painter, paintings, ctx, single=single)

    result = each_shot(spec, load_clip_frames(spec.clip, ctx), ctx, run_shot)
    checkpoints.drop()
    return msgspec.structs.replace(
        result, numbers={**result.numbers, "seconds": time.monotonic() - started}
    )


@dataclass(frozen=True)
class Painting:
    """One layer of one shot: what to paint, its plan, and its reporter, checkpoint, warm start."""

    task: Task
    plan: Plan
    run: Run


def _paintings(
    spec: EditJob,
    painter: Painter,
    warm_starts: WarmStarts,
    checkpoints: EditCheckpoints,
    ctx: Context,
    *,
    video: bool,
) -> list[Painting]:
    """The paintings of a shot's job, back to front, each with a progress share and checkpoint."""
    planned = []
    for layer in layers_to_edit(spec):
        warm_start = warm_starts.of_layer(spec, layer)
        warm = warm_start.earlier is not None
        task = Task(job=job_of_layer(spec, layer), layer=layer, video=video, warm=warm)
        planned.append((task, painter.plan(task), warm_start))
    steps = [plan.steps for _, plan, _ in planned]
    return [
        Painting(
            task,
            plan,
            Run(
                report=ProgressShare(ctx, sum(steps[:number]), sum(steps[number + 1 :])),
                checkpoint=checkpoints.of_layer(spec, task.layer, plan),
                warm_start=warm_start,
                load=ctx.load,
            ),
        )
        for number, (task, plan, warm_start) in enumerate(planned)
    ]


def _paint_still(
    spec: EditJob,
    frame: NDArray[np.uint8],
    painter: Painter,
    paintings: list[Painting],
    ctx: Context,
    *,
    single: bool,
) -> Result:
    """Edit one frame. single: the clip has no other one, so all of it may change by default."""
    ctx.note("There is only one frame, so it is edited as a still image.")
    objects = objects_of(spec)
    unmasked = single and objects[0].mode == "auto" and not objects[0].texts and spec.layer != BOTH
    masked = len(objects) > 1 or (objects[0].mode != "none" and not unmasked)
    side = atlas_config.preset(spec.preset, spec.seed).long_side
    numbers: dict[str, float] = {}
    parts: dict[str, Layer] = {}
    shown = frame
    for one in paintings:
        mask: NDArray[np.uint8] | None = None
        if masked:
            mask, numbers = mask_of_layer(objects, one.task.layer, frame, side, ctx)
        layer = _paint_on_still(painter, one, shown, mask, ctx, alone=len(paintings) == 1)
        parts[one.task.layer] = (ctx.store(layer),)
        shown = composite(shown, layer)
    return _result(parts, {}, {**numbers, **_measures(paintings)}, ctx)


def _paint_clip(
    spec: EditJob,
    frames: NDArray[np.uint8],
    painter: Painter,
    paintings: list[Painting],
    ctx: Context,
) -> Result:
    """Paint the atlas of each layer, and map it back to every frame."""
    report_exposure(frames, ctx, ctx.first_frame)
    for one in paintings:
        painter.prepare(one.task, frames, one.run)
    atlas = atlas_of(spec, frames, ctx)
    parts: dict[str, Layer] = {}
    pictures: dict[str, ObjectRef] = {}
    for one in paintings:
        layer = one.task.layer
        shown = frames if not parts else composited(frames, parts[BACK], ctx)
        rgba = _paint_atlas(painter, one, shown, atlas, ctx, alone=len(paintings) == 1)
        rendered = render_layer(atlas, layer, rgba, ctx, footage=shown if one.plan.edges else None)
        parts[layer] = tuple(ctx.store(image) for image in rendered)
        edited = np.rint(rgba[0].permute(1, 2, 0).cpu().numpy() * 255).astype(np.uint8)
        prefix = f"{layer}_" if spec.layer == BOTH else ""
        pictures[f"{prefix}atlas"] = ctx.store(picture(atlas, layer))
        pictures[f"edited_{prefix}atlas"] = ctx.store(np.ascontiguousarray(edited))
    return _result(parts, pictures, {**atlas.numbers, **_measures(paintings)}, ctx)


def _paint_atlas(
    painter: Painter,
    one: Painting,
    frames: NDArray[np.uint8],
    atlas: LayeredAtlas,
    ctx: Context,
    *,
    alone: bool,
) -> Tensor:
    """The painted atlas; where several layers are painted, one may have nothing to paint."""
    try:
        return painter.paint_atlas(one.task, frames, atlas, one.run)
    except JobError as why:
        _note_unchanged(why, ctx, alone=alone)
        image = atlas.image(one.task.layer)
        return image.new_zeros(1, 4, *image.shape[-2:])


def _paint_on_still(
    painter: Painter,
    one: Painting,
    image: NDArray[np.uint8],
    mask: NDArray[np.uint8] | None,
    ctx: Context,
    *,
    alone: bool,
) -> NDArray[np.uint8]:
    """The layer of a still; where several layers are painted, one may have nothing to paint."""
    try:
        return painter.paint_still(one.task, image, mask, one.run)
    except JobError as why:
        _note_unchanged(why, ctx, alone=alone)
        return np.zeros((*image.shape[:2], 4), np.uint8)


def _note_unchanged(why: JobError, ctx: Context, *, alone: bool) -> None:
    """Note that a layer stays empty; raises the error again if it is another, or the only layer."""
    if alone or why.problem.code != "nothing_changed":
        raise why
    ctx.note(f"{why.problem.message} Its layer stays empty.")


def _measures(paintings: list[Painting]) -> dict[str, float]:
    """What the painters measured, the worst of all layers."""
    return worst([one.run.numbers for one in paintings])


def _result(
    parts: dict[str, Layer],
    pictures: dict[str, ObjectRef],
    numbers: dict[str, float],
    ctx: Context,
) -> Result:
    """One layer: that layer. Both: their composite, plus each by name."""
    if len(parts) == 1:
        (layer,) = parts.values()
        return Result(layer=layer, pictures=pictures, numbers=numbers)
    parts, layer = join_layers(parts, ctx)
    return Result(layer=layer, parts=parts, pictures=pictures, numbers=numbers)
