"""Decompose a clip into one atlas per layer: direct estimates first, then the joint fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from backend.atlas.explicit.colours import (
    denoise_keyframes,
    initial_colours,
    pick_images,
    split_into_keyframes,
    sweep,
)
from backend.atlas.explicit.config import AtlasConfig
from backend.atlas.explicit.joint import FULL, HALF, FitData, JointFit, prepare, unwrap
from backend.atlas.explicit.model import Atlas
from backend.atlas.explicit.reacquire import reacquire
from backend.atlas.explicit.stabilise import stabilise
from backend.atlas.explicit.start import reset_opacity, set_canvas, starting_atlas
from backend.atlas.inputs import check_clip, shrink
from backend.atlas.quality import measure, preview_image
from backend.atlas.report import examine, verdict
from backend.checkpoint import Checkpoint, State
from backend.masks.objects import resolve_objects
from backend.masks.prompts import MaskPrompts
from backend.masks.tracker.track import Tracker
from backend.motion import flow
from backend.motion.base_maps import base_maps
from backend.motion.flashes import bridge_flashes
from backend.progress import Reporter


def decompose(
    frames: NDArray[np.uint8],
    objects: Sequence[MaskPrompts],
    config: AtlasConfig,
    device: torch.device,
    report: Reporter,
    checkpoint: Checkpoint | None = None,
) -> Atlas:
    """Decompose a clip.

    frames: uint8 [T,H,W,3] sRGB. objects: front to back. checkpoint: where the state is saved and
    resumed from. Returns the Atlas on `device`; measures of the masks are in its numbers. JobError
    for what cannot be decomposed, each with a hint. On a CPU the same input and seed give the same
    bytes, interrupted or not.
    """
    checkpoint = checkpoint or Checkpoint()
    objects = check_clip(frames, objects)
    small = shrink(frames, flow.working_size(frames.shape[1], frames.shape[2], config.long_side))
    bridged = bridge_flashes(small, report, objects[0].first_frame)
    small = bridged.frames
    size = (len(frames), frames.shape[1], frames.shape[2])

    flows = flow.estimate(small, config.gaps, config.consistent, report)
    saved = checkpoint.load(device)
    generator = torch.Generator().manual_seed(config.seed)
    data = prepare(small, flows, config, device, generator)
    if saved is None:
        tracker = Tracker(config.tracker, device, bridged.flashes)
        atlas, mask_numbers = _first_guess(
            size, small, objects, flows, data, config, generator, report, tracker
        )
    else:
        report.note("The atlas resumes from where it was interrupted.")
        atlas, mask_numbers = _restored(saved, size, config, generator)

    if data.pairs:  # a single frame is its own atlas already
        fit = JointFit(atlas, data, config, generator, report, checkpoint, mask_numbers)
        if saved is None or saved.phase == HALF:
            fit.run(HALF, saved)
            _sweeps(atlas, data, config, report)
            saved = None
        fit.run(FULL, saved)
        _fit_keyframes(atlas, data, config, report)
    _measure(atlas, data, mask_numbers, report)
    if not bool(data.kept.all()):
        # The held-out blocks have been measured; the final colours come from every pixel.
        everything = torch.ones_like(data.kept)
        sweep(atlas, data.frames, everything, config.sweep_gain, report, fill=False)
        denoise_keyframes(atlas, config)
    pick_images(atlas)
    report.preview(preview_image(atlas, len(small) // 2))
    return atlas


def _first_guess(
    size: tuple[int, int, int],
    small: NDArray[np.uint8],
    objects: Sequence[MaskPrompts],
    flows: flow.Flows,
    data: FitData,
    config: AtlasConfig,
    generator: torch.Generator,
    report: Reporter,
    tracker: Tracker,
) -> tuple[Atlas, dict[str, float]]:
    """The atlas before the joint fit, and measures of the masks.

    size: frames, height, width of the clip. small: its frames at the working size.
    """
    masks, numbers = resolve_objects(small, objects, flows, report, tracker)
    bg_base, bases = base_maps(flows, masks, report)
    for number in range(1, len(bases)):  # the object in front is never hidden
        bases[number] = reacquire(small, masks[number] > 0.5, bases[number], report)
    atlas = starting_atlas(size, masks, bg_base, bases, config, data.frames.device)
    unwrap(atlas, data, config, generator, report)
    set_canvas(atlas, config, report)
    exact = [sorted(one.keys) if one.mode == "key" else [] for one in objects]
    reset_opacity(atlas, stabilise(atlas, masks, exact, report), config)
    initial_colours(atlas, data.frames, data.kept, report)
    _sweeps(atlas, data, config, report)
    return atlas, numbers


def _restored(
    saved: State, size: tuple[int, int, int], config: AtlasConfig, generator: torch.Generator
) -> tuple[Atlas, dict[str, float]]:
    """The atlas of a checkpoint and measures of its masks; sets the generator's state too."""
    tensors = {
        name.removeprefix("atlas."): value
        for name, value in saved.tensors.items()
        if name.startswith("atlas.")
    }
    work = flow.working_size(size[1], size[2], config.long_side)
    generator.set_state(saved.tensors["generator"].cpu())
    return Atlas(size, work, config.bg_every, tensors, {}), saved.numbers


def _sweeps(atlas: Atlas, data: FitData, config: AtlasConfig, report: Reporter) -> None:
    """Linear colour sweeps, and a preview of the result."""
    for _ in range(config.sweeps):
        sweep(atlas, data.frames, data.kept, config.sweep_gain, report)
    report.preview(preview_image(atlas, atlas.frames // 2))


def _fit_keyframes(atlas: Atlas, data: FitData, config: AtlasConfig, report: Reporter) -> None:
    """Fit colours that change over time; maps and opacity are already final."""
    split_into_keyframes(atlas, config)
    for _ in range(config.sweeps):
        sweep(atlas, data.frames, data.kept, config.sweep_gain, report, fill=False)
    denoise_keyframes(atlas, config)


def _measure(atlas: Atlas, data: FitData, mask_numbers: dict[str, float], report: Reporter) -> None:
    """Set the atlas's numbers, and note what will not edit well."""
    atlas.numbers = {
        **measure(atlas, data.frames, data.kept, report),
        **examine(atlas, data.frames, data.kept, report),
        **mask_numbers,
    }
    for sentence in verdict(atlas.numbers):
        report.note(sentence)
