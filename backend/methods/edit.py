"""Method `edit`: a text-driven RGBA layer for every frame (Text2LIVE on the clip's atlas)."""

from __future__ import annotations

import time
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from backend.atlas.explicit import config as atlas_config
from backend.atlas.render import render_layer
from backend.checkpoint import Checkpoint
from backend.clip import cache
from backend.clip.model import TextImageModel
from backend.context import Context
from backend.edit import recipes
from backend.edit.config import EditConfig, EditTexts
from backend.edit.generator_files import Weights
from backend.edit.image import edit_image
from backend.edit.video import edit_atlas
from backend.media import composite
from backend.methods.atlas import atlas_of, load_clip_frames, picture
from backend.methods.checkpoints import Unfinished
from backend.methods.mask_prompts import mask_of_layer, objects_of_edit
from backend.methods.shots import each_shot
from backend.methods.two_layers import (
    BACK,
    Layer,
    Share,
    alone,
    covered,
    joined,
    layers_to_edit,
    texts_of,
)
from backend.methods.warm_starts import Earlier
from backend.progress import Reporter
from protocol.jobs import BOTH, EditJob, JobError, ObjectRef, Result


def run(spec: EditJob, ctx: Context) -> Result:
    """Carry out an edit; a clip of one frame is edited as a still image, without an atlas."""
    started = time.monotonic()
    earlier = Earlier(spec, ctx)
    clip = cache.text_image_model(spec.model, str(ctx.device))
    whole = len(spec.clip.frames) == 1
    unfinished = Unfinished(ctx)

    def run_one(shot: EditJob, frames: NDArray[np.uint8], ctx: Context, first: int) -> Result:
        if (frames == frames[0, 0, 0]).all():  # the generator's normalisation divides by its spread
            raise JobError(
                "one_colour",
                "The clip is one flat colour, so there is nothing in it to edit.",
                "Choose frames that show something; a fade's black part can be left out.",
            )
        trainings = _trainings(shot, clip, earlier, unfinished, ctx, video=len(frames) > 1)
        if len(frames) == 1:
            return _still(shot, frames[0], trainings, ctx, first, whole=whole)
        return _video(shot, frames, trainings, ctx, first)

    result = each_shot(spec, load_clip_frames(spec.clip, ctx), ctx, run_one)
    unfinished.drop()
    return msgspec.structs.replace(
        result, numbers={**result.numbers, "seconds": time.monotonic() - started}
    )


@dataclass(frozen=True)
class Training:
    """One layer's training: all of edit_image's and edit_atlas' arguments that are not pixels."""

    layer: str
    texts: EditTexts
    clip: TextImageModel
    config: EditConfig
    device: torch.device
    report: Reporter
    checkpoint: Checkpoint
    weights: Weights


def _trainings(
    spec: EditJob,
    clip: TextImageModel,
    earlier: Earlier,
    unfinished: Unfinished,
    ctx: Context,
    *,
    video: bool,
) -> list[Training]:
    """The trainings of a shot's job, back to front."""
    each = []
    for layer in layers_to_edit(spec):
        weights = earlier.weights(spec, layer)
        one = msgspec.structs.replace(spec, **alone(spec, layer))
        warm = weights.earlier is not None
        config = recipes.config_of(one, video=video, layer=layer, warm=warm)
        each.append((layer, one, config, weights))
    steps = [config.steps for _, _, config, _ in each]
    return [
        Training(
            layer,
            texts_of(one),
            clip,
            config,
            ctx.device,
            Share(ctx, sum(steps[:number]), sum(steps[number + 1 :])),
            unfinished.checkpoint(spec, layer, config, clip),
            weights,
        )
        for number, (layer, one, config, weights) in enumerate(each)
    ]


def _still(
    spec: EditJob,
    frame: NDArray[np.uint8],
    trainings: list[Training],
    ctx: Context,
    first: int,
    *,
    whole: bool,
) -> Result:
    """Edit one frame. whole: the clip has no other one, so all of it may change if nothing says."""
    ctx.note("There is one frame, and no motion to decompose: it is edited as a still image.")
    objects = objects_of_edit(spec)
    numbers: dict[str, float] = {}
    unsaid = whole and objects[0].mode == "auto" and not objects[0].texts and spec.layer != BOTH
    masked = len(objects) > 1 or (objects[0].mode != "none" and not unsaid)
    side = atlas_config.preset(spec.preset, spec.seed).long_side
    parts: dict[str, Layer] = {}
    shown = frame
    for one in trainings:
        mask: NDArray[np.uint8] | None = None
        if masked:
            mask, numbers = mask_of_layer(objects, one.layer, frame, side, ctx, first)
        layer = edit_image(
            shown,
            one.texts,
            one.clip,
            one.config,
            one.device,
            one.report,
            mask=mask,
            checkpoint=one.checkpoint,
            weights=one.weights,
        )
        parts[one.layer] = (ctx.store(layer),)
        shown = composite(shown, layer)
    return _result(parts, {}, numbers, ctx)


def _video(
    spec: EditJob,
    frames: NDArray[np.uint8],
    trainings: list[Training],
    ctx: Context,
    first: int,
) -> Result:
    atlas = atlas_of(
        spec.clip, objects_of_edit(spec), spec.preset, spec.seed, frames, ctx, spec.atlas_engine,
        first,
    )  # fmt: skip
    parts: dict[str, Layer] = {}
    pictures: dict[str, ObjectRef] = {}
    for one in trainings:
        shown = frames if not parts else covered(frames, parts[BACK], ctx)
        rgba = edit_atlas(
            shown, atlas, one.layer, one.texts, one.clip, one.config, one.device, one.report,
            one.checkpoint, one.weights,
        )  # fmt: skip
        parts[one.layer] = tuple(
            ctx.store(image) for image in render_layer(atlas, one.layer, rgba, ctx)
        )
        edited = np.rint(rgba[0].permute(1, 2, 0).cpu().numpy() * 255).astype(np.uint8)
        of = f"{one.layer}_" if spec.layer == BOTH else ""
        pictures[f"{of}atlas"] = ctx.store(picture(atlas, one.layer))
        pictures[f"edited_{of}atlas"] = ctx.store(np.ascontiguousarray(edited))
    return _result(parts, pictures, dict(atlas.numbers), ctx)


def _result(
    parts: dict[str, Layer],
    pictures: dict[str, ObjectRef],
    numbers: dict[str, float],
    ctx: Context,
) -> Result:
    """Of one layer it is that, of both the one over the other, and each by its name."""
    if len(parts) == 1:
        (layer,) = parts.values()
        return Result(layer=layer, pictures=pictures, numbers=numbers)
    parts, layer = joined(parts, ctx)
    return Result(layer=layer, parts=parts, pictures=pictures, numbers=numbers)
