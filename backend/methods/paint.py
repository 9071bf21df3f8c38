"""Method `paint`: map the artist's hand paint to every frame through the atlas."""

from __future__ import annotations

import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.brush import expand_to_atlas, paint_into_atlas
from backend.atlas.interface import LayeredAtlas
from backend.atlas.layers import visibility
from backend.atlas.render import WHOLE, Window, render_layer
from backend.context import Context
from backend.edit.pixels import to_image, to_tensor
from backend.methods.atlas import atlas_of, load_clip_frames, picture
from backend.methods.shots import find_shots
from backend.motion.exposure import report_exposure
from protocol.jobs import JobError, PaintJob, Result
from protocol.limits import LIMITS

ASPECT = 0.02  # tolerance of an image's aspect against its atlas's; sizes are whole numbers
LEFT_OUT = 0.1  # share of the paint that may lie off the layer before a note says so


def run(spec: PaintJob, ctx: Context) -> Result:
    """Map the paint to every frame; the atlas comes from the cache or is made."""
    started = time.monotonic()
    image = ctx.load(spec.image)
    if not image[..., 3].any():
        raise _no_paint_error("The paint is fully transparent.")
    frames = load_clip_frames(spec.clip, ctx)
    if len(find_shots(frames, ctx)) > 1:
        raise JobError(
            "several_shots",
            "The clip has cuts, but paint follows one shot only.",
            "Split the strip at its cuts and paint on each part.",
        )
    report_exposure(frames, ctx)
    atlas = atlas_of(spec, frames, ctx)
    numbers: dict[str, float] = {}
    window = WHOLE
    if spec.frame is None:
        rgba = to_tensor(without_atlas_pixels(atlas, spec.layer, image), ctx.device)
        shown = rgba
    else:
        painting = paint_into_atlas(
            atlas, spec.layer, to_tensor(image, ctx.device), spec.frame, ctx
        )
        rgba, window = painting.rgba, painting.window
        numbers = {"paint_inside": painting.inside, "paint_error": painting.error}
        if painting.inside < 1 - LEFT_OUT:
            ctx.note(
                f"{1 - painting.inside:.0%} of the paint lies off the {spec.layer} on that frame "
                "and is left out."
            )
        shown = expand_to_atlas(painting, _picture_size(atlas, spec.layer, rgba, window))
    pictures = {"painted_atlas": ctx.store(to_image(shown))}
    layer = []
    for index, frame in enumerate(render_layer(atlas, spec.layer, rgba, ctx, window=window)):
        # The painted frame shows the paint itself, without resampling.
        painted = painted_frame(atlas, spec, image) if index == spec.frame else frame
        layer.append(ctx.store(painted))
    numbers["seconds"] = time.monotonic() - started
    return Result(layer=tuple(layer), pictures=pictures, numbers={**atlas.numbers, **numbers})


def without_atlas_pixels(
    atlas: LayeredAtlas, layer: str, image: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """An image [H,W,4] painted over a layer's atlas, transparent where it equals the atlas.

    Raises JobError("paint_aspect_differs") if its aspect ratio is not the atlas's, ("paint_empty")
    if it equals the atlas everywhere.
    """
    rows, columns = atlas.image(layer).shape[-2:]
    h, w = image.shape[:2]
    if abs(w * rows / (h * columns) - 1) > ASPECT:
        raise JobError(
            "paint_aspect_differs",
            f"The paint is {w}×{h}, but the {layer} atlas is {columns}×{rows}.",
            "Paint over the atlas itself, or over an image of the same proportions.",
        )
    if (h, w) != (rows, columns):
        return image
    # The image was saved with the atlas under the paint; mapping that too would soften the footage.
    same = (image[..., :3] == picture(atlas, layer)[..., :3]).all(-1)
    if (same | (image[..., 3] == 0)).all():
        raise _no_paint_error("Nothing is painted: the image equals the atlas.")
    return np.where(same[..., None], np.uint8(0), image)


def painted_frame(
    atlas: LayeredAtlas, spec: PaintJob, image: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """The paint [H,W,4] on its own frame, where the frame shows the layer."""
    share = visibility(atlas, spec.layer, torch.tensor([spec.frame], device=atlas.device))[0, 0]
    alpha = np.rint(image[..., 3] * share.cpu().numpy()).astype(np.uint8)[..., None]
    return np.concatenate([image[..., :3] * (alpha > 0), alpha], -1)


def _no_paint_error(message: str) -> JobError:
    return JobError("paint_empty", message, "Paint something and save the image with its alpha.")


def _picture_size(atlas: LayeredAtlas, layer: str, rgba: Tensor, window: Window) -> tuple[int, int]:
    """Size of a whole atlas at the resolution of paint on a part of it, within the size limit."""
    rows, columns = atlas.image(layer).shape[-2:]
    finest = rgba.shape[-2] / (window[3] - window[1]) * 2 / rows
    scale = min(max(1.0, finest), LIMITS.side / max(rows, columns))
    return max(1, int(rows * scale)), max(1, int(columns * scale))
