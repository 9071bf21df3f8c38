"""Method `edit`: a text-driven RGBA layer for every frame (Text2LIVE on the clip's atlas)."""

from __future__ import annotations

import time
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from backend.atlas import config as atlas_config
from backend.atlas.render import render_layer
from backend.clip.load import load_clip
from backend.clip.model import TextImageModel
from backend.edit import config as edit_config
from backend.edit.config import EditTexts
from backend.edit.image import edit_image
from backend.edit.video import edit_atlas
from backend.methods.atlas import atlas_of, load_clip_frames, picture
from backend.methods.hints import mask_of_layer, objects_of_edit
from backend.methods.shots import each_shot
from backend.methods.unfinished import Unfinished
from backend.worker import Context
from protocol.jobs import BOTH, RECIPES, ClipModel, EditJob, JobError, Result


def run(spec: EditJob, ctx: Context) -> Result:
    """Carry out an edit; a clip of one frame is edited as a still image, without an atlas."""
    started = time.monotonic()
    _refuse_what_is_not_offered(spec)
    clip = text_image_model(spec.model, str(ctx.device))
    texts = EditTexts(
        prompt=spec.prompt, source=spec.source, screen=spec.screen, region=spec.region,
        avoid=spec.avoid,
    )  # fmt: skip

    whole = len(spec.clip.frames) == 1
    unfinished = Unfinished(ctx)

    def run_one(shot: EditJob, frames: NDArray[np.uint8], ctx: Context, first: int) -> Result:
        if (frames == frames[0, 0, 0]).all():  # the generator's normalisation divides by its spread
            raise JobError(
                "one_colour",
                "The clip is one flat colour, so there is nothing in it to edit.",
                "Choose frames that show something; a fade's black part can be left out.",
            )
        if len(frames) == 1:
            return _still(shot, frames, texts, clip, ctx, unfinished, first, whole=whole)
        return _video(shot, frames, texts, clip, ctx, unfinished, first)

    result = each_shot(spec, load_clip_frames(spec.clip, ctx), ctx, run_one)
    unfinished.drop()
    numbers = {**result.numbers, "seconds": time.monotonic() - started}
    return Result(layer=result.layer, pictures=result.pictures, numbers=numbers)


def _refuse_what_is_not_offered(spec: EditJob) -> None:
    """A job of a later version is refused rather than done as another one."""
    wanted = {
        "the recipe " + spec.recipe: spec.recipe != RECIPES[0],
        "both layers in one job": spec.layer == BOTH,
        "another strength than 1": spec.strength != 1,
        "an earlier edit to start from": bool(spec.after),
    }
    for what, asked in wanted.items():
        if asked:
            raise JobError(
                "not_offered",
                f"This backend does not offer {what}.",
                "Ask for an ordinary edit, or use a newer backend.",
            )


@lru_cache(maxsize=2)  # an edit's own, and the one that its masks' texts are read by
def text_image_model(model: ClipModel, device: str) -> TextImageModel:
    """A text-image model, kept between the jobs of one worker."""
    return load_clip(model, torch.device(device))


def _still(
    spec: EditJob,
    frames: np.ndarray,
    texts: EditTexts,
    clip: TextImageModel,
    ctx: Context,
    unfinished: Unfinished,
    first: int,
    *,
    whole: bool,
) -> Result:
    """Edit one frame. whole: the clip has no other one, so all of it may change if nothing says."""
    ctx.note("There is one frame, and no motion to decompose: it is edited as a still image.")
    config = edit_config.preset(spec.preset, video=False, layer=spec.layer, seed=spec.seed)
    objects = objects_of_edit(spec)
    mask: NDArray[np.uint8] | None = None
    numbers: dict[str, float] = {}
    unsaid = whole and objects[0].mode == "auto" and not objects[0].texts
    if len(objects) > 1 or (objects[0].mode != "none" and not unsaid):
        side = atlas_config.preset(spec.preset, spec.seed).long_side
        mask, numbers = mask_of_layer(objects, spec.layer, frames[0], side, ctx, first)
    checkpoint = unfinished.checkpoint(spec, spec.layer, config, clip)
    layer = edit_image(frames[0], texts, clip, config, ctx.device, ctx, mask, checkpoint)
    return Result(layer=(ctx.store(layer),), numbers=numbers)


def _video(
    spec: EditJob,
    frames: np.ndarray,
    texts: EditTexts,
    clip: TextImageModel,
    ctx: Context,
    unfinished: Unfinished,
    first: int,
) -> Result:
    if texts.avoid:
        ctx.note("What to avoid is left aside: in a clip, masks say where the edit belongs.")
    config = edit_config.preset(spec.preset, video=True, layer=spec.layer, seed=spec.seed)
    atlas = atlas_of(
        spec.clip, objects_of_edit(spec), spec.preset, spec.seed, frames, ctx, spec.atlas_engine,
        first,
    )  # fmt: skip
    checkpoint = unfinished.checkpoint(spec, spec.layer, config, clip)
    rgba = edit_atlas(frames, atlas, spec.layer, texts, clip, config, ctx.device, ctx, checkpoint)
    layer = tuple(ctx.store(image) for image in render_layer(atlas, spec.layer, rgba, ctx))
    edited = np.rint(rgba[0].permute(1, 2, 0).cpu().numpy() * 255).astype(np.uint8)
    pictures = {
        "atlas": ctx.store(picture(atlas, spec.layer)),
        "edited_atlas": ctx.store(np.ascontiguousarray(edited)),
    }
    return Result(layer=layer, pictures=pictures, numbers=dict(atlas.numbers))
