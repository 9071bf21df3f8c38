"""Decompose a clip into layers' atlases: compute what can be computed, then fit the rest."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from backend.atlas.explicit.colours import choose, paint, part, quieten, sweep
from backend.atlas.explicit.config import AtlasConfig
from backend.atlas.explicit.joint import Material, gather, joint, unwrap
from backend.atlas.explicit.model import Atlas
from backend.atlas.explicit.reacquire import reunite
from backend.atlas.explicit.stabilise import steadied
from backend.atlas.explicit.start import begin, check, outline, set_canvas, working_size
from backend.atlas.quality import measure, picture
from backend.atlas.report import examine, verdict
from backend.checkpoint import Checkpoint
from backend.masks.objects import resolve_objects
from backend.masks.prompts import MaskPrompts
from backend.motion import flow
from backend.motion.base_maps import base_maps
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

    frames: uint8 [T,H,W,3] sRGB. objects: front to back. checkpoint: where the state is
    kept meanwhile, and gone on from. Returns the Atlas on `device`; measures of the masks are in
    its numbers. JobError for what cannot be decomposed, each with a hint. On a CPU the same input
    and seed give the same bytes, interrupted or not.
    """
    checkpoint = checkpoint or Checkpoint()
    objects = check(frames, objects)
    size = working_size(frames.shape[1], frames.shape[2], config.long_side)
    small = np.stack([cv2.resize(f, size[::-1], interpolation=cv2.INTER_AREA) for f in frames])
    small = np.ascontiguousarray(small, np.uint8)

    flows = flow.estimate(small, config.gaps, config.consistent, report)
    saved = checkpoint.load(device)
    generator = torch.Generator().manual_seed(config.seed)
    material = gather(small, flows, config, device, generator)
    if saved is None:
        masks, found = resolve_objects(small, objects, flows, report)
        bg_base, bases = base_maps(flows, masks, report)
        for number in range(1, len(bases)):  # the object in front is never hidden
            bases[number] = reunite(small, masks[number] > 0.5, bases[number], report)
        atlas = begin(frames.shape[:3], masks, bg_base, bases, config, device)
        unwrap(atlas, material, config, generator, report)
        set_canvas(atlas, config, report)
        outline(atlas, steadied(atlas, masks, [_exact(one) for one in objects], report), config)
        paint(atlas, material.frames, material.kept, report)
        _sweeps(atlas, material, config, report)
    else:
        report.note("The atlas goes on from where it was interrupted.")
        tensors = {
            name.removeprefix("atlas."): value
            for name, value in saved.tensors.items()
            if name.startswith("atlas.")
        }
        atlas = Atlas(frames.shape[:3], size, config.bg_every, tensors, {})
        found = saved.numbers
        generator.set_state(saved.tensors["generator"].cpu())

    if material.pairs:  # a single frame is its own atlas already
        if saved is None or saved.phase == "half":
            joint(atlas, material, config, generator, report, "half", checkpoint, found, saved)
            _sweeps(atlas, material, config, report)
            saved = None
        joint(atlas, material, config, generator, report, "full", checkpoint, found, saved)
        # Maps and opacity are done; what the object's looks still change is colour alone.
        part(atlas, config)
        for _ in range(config.sweeps):
            sweep(atlas, material.frames, material.kept, config.sweep_gain, report, fill=False)
        quieten(atlas, config)
    atlas.numbers = {
        **measure(atlas, material.frames, material.kept, report),
        **examine(atlas, material.frames, material.kept, report),
        **found,
    }
    for sentence in verdict(atlas.numbers):
        report.note(sentence)
    if not bool(material.kept.all()):
        # The held-out blocks have done their work; the final colours come from every pixel.
        everything = torch.ones_like(material.kept)
        sweep(atlas, material.frames, everything, config.sweep_gain, report, fill=False)
        quieten(atlas, config)
    choose(atlas)
    report.preview(picture(atlas, len(small) // 2))
    return atlas


def _exact(one: MaskPrompts) -> list[int]:
    """Frames whose mask was made by hand, so that the others could be carried from it."""
    return sorted(one.keys) if one.mode == "key" else []


def _sweeps(atlas: Atlas, material: Material, config: AtlasConfig, report: Reporter) -> None:
    """Linear colour sweeps, and a picture of what they gave."""
    for _ in range(config.sweeps):
        sweep(atlas, material.frames, material.kept, config.sweep_gain, report)
    report.preview(picture(atlas, atlas.frames // 2))
