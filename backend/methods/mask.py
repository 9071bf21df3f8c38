"""Method `mask`: the front object's mask on every frame, as an atlas of the clip would begin.

The masks and the confidence are those of the engine `explicit` at the job's preset.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from backend.atlas.explicit import config
from backend.atlas.inputs import check_clip, shrink
from backend.context import Context
from backend.masks.resolve import resolve_masks
from backend.masks.tracker.track import Tracker
from backend.methods.atlas import load_clip_frames
from backend.methods.mask_prompts import prompts_of
from backend.methods.shots import each_shot
from backend.motion import flow
from protocol.jobs import JobError, MaskJob, Result


def run(spec: MaskJob, ctx: Context) -> Result:
    """Find the object in each shot. The result carries masks, confidence and measures."""
    return each_shot(spec, load_clip_frames(spec.clip, ctx), ctx, _shot)


def _shot(spec: MaskJob, frames: NDArray[np.uint8], ctx: Context) -> Result:
    started = time.monotonic()
    settings = config.preset(spec.preset, spec.seed)
    rows, columns = frames.shape[1:3]
    (prompts,) = check_clip(frames, [prompts_of(spec.masks, (rows, columns), ctx)])
    small = shrink(frames, flow.working_size(rows, columns, settings.long_side))
    flows = flow.estimate(small, settings.gaps, settings.consistent, ctx)
    found = resolve_masks(small, prompts, flows, ctx, Tracker(settings.tracker, ctx.device))
    if not (found.masks > 0.5).any():
        raise JobError(
            "no_foreground",
            "The mask is empty on every frame, so there is no foreground object.",
            "Give a mask of the object on at least one frame.",
        )
    layer = tuple(ctx.store(_white(mask)) for mask in found.masks)
    numbers = {**found.numbers, "seconds": time.monotonic() - started}
    return Result(layer=layer, numbers=numbers, confidence=tuple(map(float, found.confidence)))


def _white(mask: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A mask [h,w] as a white image with the mask as alpha: uint8 [h,w,4]."""
    image = np.full((*mask.shape, 4), 255, np.uint8)
    image[..., 3] = np.rint(mask * 255)
    return image
