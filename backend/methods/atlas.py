"""Method `atlas`: decompose a clip once and keep the atlas for every edit of the clip."""

from __future__ import annotations

import hashlib
import time

import msgpack
import msgspec
import numpy as np
from numpy.typing import NDArray

from backend.atlas import engines
from backend.atlas.interface import LayeredAtlas
from backend.atlas.report import sheet
from backend.checkpoint import Checkpoint
from backend.context import Context
from backend.imported_atlases import folder_of
from backend.masks import resolve
from backend.methods import atlas_cache
from backend.methods.mask_prompts import prompts_of
from backend.methods.shots import each_shot
from protocol.jobs import AtlasJob, Clip, ClipJob, Result
from protocol.layers import objects_of


def run(spec: AtlasJob, ctx: Context) -> Result:
    """Make or find the atlas of each shot. The result carries images, measures and a report."""
    return each_shot(spec, load_clip_frames(spec.clip, ctx), ctx, _shot)


def _shot(spec: AtlasJob, frames: NDArray[np.uint8], ctx: Context) -> Result:
    started = time.monotonic()
    atlas = atlas_of(spec, frames, ctx)
    pictures = {f"{layer}_atlas": ctx.store(picture(atlas, layer)) for layer in atlas.layers}
    pictures["report"] = ctx.store(sheet(atlas, frames))
    numbers = {**atlas.numbers, "seconds": time.monotonic() - started}
    return Result(pictures=pictures, numbers=numbers)


def load_clip_frames(clip: Clip, ctx: Context) -> NDArray[np.uint8]:
    """Frames of a clip from the store: [T,H,W,3] uint8 sRGB."""
    frames = []
    for i, ref in enumerate(clip.frames):
        ctx.step("Loading frames", i, len(clip.frames))
        frames.append(ctx.load(ref))
    return np.stack(frames)


def atlas_of(spec: ClipJob, frames: NDArray[np.uint8], ctx: Context) -> LayeredAtlas:
    """The atlas of one shot's job and frames [T,H,W,3], from the cache or newly made."""
    imported = folder_of(spec, ctx.data)
    if imported is not None:
        ctx.note("Using the atlas that was imported for this shot.")
        return engines.load_atlas(imported, ctx.device)
    objects = objects_of(spec)
    identity = (
        engines.VERSIONS[spec.engine],
        resolve.VERSION,
        msgspec.to_builtins(spec.clip.frames),
        msgspec.to_builtins(objects),
        engines.settings(spec.engine, spec.preset, spec.seed),
    )
    folder = ctx.atlas_folder(hashlib.sha256(msgpack.packb(identity)).hexdigest())
    kept = atlas_cache.find(folder, ctx.device, ctx)
    if kept is not None:
        return kept
    atlas_cache.sweep(folder.parent)
    size = (frames.shape[1], frames.shape[2])
    prompts = [prompts_of(masks, size, ctx) for masks in objects]
    checkpoint = Checkpoint(folder.with_name(f"{folder.name}.part"), report=ctx)
    atlas = engines.decompose(
        spec.engine, spec.preset, spec.seed, frames, prompts, ctx.device, ctx, checkpoint
    )
    pictures = {layer: picture(atlas, layer) for layer in atlas.layers}
    kept = atlas_cache.put(atlas, folder, {**pictures, "report": sheet(atlas, frames)})
    checkpoint.drop()  # only now: the result of an hours-long fit must always be on disk
    return kept


def picture(atlas: LayeredAtlas, layer: str) -> NDArray[np.uint8]:
    """A layer's atlas as an image [Ha,Wa,4] uint8, transparent where no frame sees it."""
    rgba = np.concatenate(
        [atlas.image(layer)[0].cpu().numpy(), atlas.coverage(layer)[0].cpu().numpy()]
    )
    return np.ascontiguousarray(
        np.rint(rgba.transpose(1, 2, 0) * 255).clip(0, 255).astype(np.uint8)
    )
