"""The atlas a fit starts from: base maps, flat splines, the rough masks' opacities, a canvas."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from backend.atlas.explicit.config import AtlasConfig
from backend.atlas.explicit.model import Atlas
from backend.atlas.explicit.splines import time_cells
from backend.atlas.layers import BACKGROUND, prefix
from backend.masks.occlusion import continue_behind
from backend.motion.fields import signed_distance
from backend.progress import Reporter
from protocol.jobs import OBJECTS

PHASE = "Laying out the atlas"
PAD = 0.12  # margin on each side of an object's box, share of the object's size
CANVAS_MARGIN = 4.0  # reference pixels around what the frames cover, for the maps to move in
STEEP = 1.5  # logits per pixel of distance to the mask's edge
SURE = 5.0  # largest starting logit
UNDER = 4.0  # pixels a hidden mask extends past what the edge in front of it may show


def starting_atlas(
    size: tuple[int, ...],
    masks: Sequence[NDArray[np.float32]],
    bg_base: NDArray[np.float64],
    bases: Sequence[NDArray[np.float64]],
    config: AtlasConfig,
    device: torch.device,
) -> Atlas:
    """An Atlas without images yet.

    size: frames, height, width of the clip. masks: the visible part of each object, front to back,
    float32 [T,h,w], soft, 0..1. bases: each object's base maps.
    """
    count, h, w = masks[0].shape
    fine = [
        torch.zeros(time_cells(count, every) + 3, 2, *_cells(c, (h, w)))
        for c, every in zip(config.bg_cells, config.bg_every, strict=True)
    ]
    tensors = {
        "bg_base": torch.from_numpy(bg_base).float(),
        "bg_knots0": fine[0],
        "bg_knots1": fine[1],
        "bg_gain": torch.zeros(count, 1, *_gain_cells(h, w, config.gain_cell)),
        # Until the maps are known the canvases are the frame itself.
        "bg_canvas": torch.tensor([0.0, 0.0, w, h]),
    }
    whole = _whole_outlines(masks, config)
    for layer, mask, outline, base in zip(OBJECTS, masks, whole, bases, strict=False):
        own = _object(mask > 0.5, outline, base, config)
        tensors |= {f"{prefix(layer)}_{name}": value for name, value in own.items()}
    frames, height, width = size
    return Atlas(
        (frames, height, width),
        (h, w),
        config.bg_every,
        {k: v.to(device) for k, v in tensors.items()},
        {},
    )


def reset_opacity(atlas: Atlas, masks: Sequence[NDArray[np.float32]], config: AtlasConfig) -> None:
    """Set the opacities again, from other masks in the form that `starting_atlas` takes."""
    for layer, whole in zip(OBJECTS, _whole_outlines(masks, config), strict=False):
        for name, value in _edges(whole).items():
            atlas.tensors[f"{prefix(layer)}_{name}"] = value.to(atlas.device)


def _whole_outlines(
    masks: Sequence[NDArray[np.float32]], config: AtlasConfig
) -> list[NDArray[np.bool_]]:
    """Hard masks, each continued behind the objects in front of it."""
    out = []
    count, h, w = masks[0].shape
    front = np.zeros((count, h, w), np.bool_)
    # Beyond the reach of both edges' bands, the object in front is opaque.
    depth = 2 * _widest_band(config, w) + UNDER
    for mask in masks:
        out.append(continue_behind(mask > 0.5, front, depth))
        front = front | (mask > 0.5)
    return out


def _widest_band(config: AtlasConfig, width: int) -> float:
    """Largest half width of the band in which opacity is free, pixels."""
    return max(config.band_least, config.band_most * width)


def _edges(whole: NDArray[np.bool_]) -> dict[str, torch.Tensor]:
    """Distance to hard masks' edges, and the opacity that starts from it."""
    h, w = whole.shape[1:]
    distance = torch.from_numpy(np.stack([signed_distance(m) for m in whole]))[:, None]
    distance = torch.nn.functional.interpolate(
        distance.clamp(-60, 60), size=((h + 1) // 2, (w + 1) // 2), mode="bilinear",
        align_corners=False,
    )  # fmt: skip
    return {"distance": distance.half(), "alpha0": (-STEEP * distance).clamp(-SURE, SURE)}


def _object(
    hard: NDArray[np.bool_],
    whole: NDArray[np.bool_],
    base: NDArray[np.float64],
    config: AtlasConfig,
) -> dict[str, torch.Tensor]:
    """Tensors of one object. hard: its visible part; whole: with the hidden part, [T,h,w]."""
    count, h, w = hard.shape
    eighth = ((h + 7) // 8, (w + 7) // 8)
    area = torch.from_numpy(hard.sum((1, 2)).astype(np.float32))
    reach = (config.band * area.sqrt()).clamp(config.band_least, _widest_band(config, w))
    coarse, fine = (torch.zeros(count, 2, *_cells(c, (h, w))) for c in config.fg_cells)
    return {
        "base": torch.from_numpy(base).float(),
        "knots0": coarse,
        "knots1": fine,
        "gain": torch.zeros(count, 1, *_gain_cells(h, w, config.gain_cell)),
        "boxes": torch.from_numpy(_boxes(whole, reach.numpy())),
        "reach": reach,
        **_edges(whole),
        "alpha1": torch.zeros(count, 1, *eighth),
        "canvas": torch.tensor([0.0, 0.0, w, h]),
    }


def _cells(cells: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Knots (down, across) of a spline with cells given as (short side, long side)."""
    rows, columns = cells if size[1] >= size[0] else cells[::-1]
    return rows + 3, columns + 3


def _gain_cells(height: int, width: int, cell: float) -> tuple[int, int]:
    return max(1, round(height / cell)), max(1, round(width / cell))


def _boxes(hard: NDArray[np.bool_], reach: NDArray[np.float32]) -> NDArray[np.float32]:
    """Box of the object per frame, padded and smoothed over time; x0 y0 x1 y1 [T,4].

    Frames without the object take the box of the nearest frame that has it; if no frame has it,
    the box is the whole frame.
    """
    count, h, w = hard.shape
    seen = [t for t in range(count) if hard[t].any()]
    if not seen:
        return np.tile(np.array([0, 0, w, h], np.float32), (count, 1))
    own = np.empty((count, 4))
    for t in seen:
        ys, xs = np.nonzero(hard[t])
        box = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], np.float64)
        pad = reach[t] + PAD * max(box[2] - box[0], box[3] - box[1])
        own[t] = box + pad * np.array([-1, -1, 1, 1])
    for t in range(count):
        if not hard[t].any():
            own[t] = own[min(seen, key=lambda s: abs(s - t))]
    kernel = np.array([1, 4, 6, 4, 1]) / 16
    padded = np.pad(own, ((2, 2), (0, 0)), mode="edge")
    smooth = np.stack([np.convolve(padded[:, i], kernel, "valid") for i in range(4)], -1)
    # Never smaller than the frame's own box: knots must reach the whole object.
    low, high = np.minimum(smooth[:, :2], own[:, :2]), np.maximum(smooth[:, 2:], own[:, 2:])
    return np.concatenate([low, high], 1).astype(np.float32)


@torch.no_grad()
def set_canvas(atlas: Atlas, config: AtlasConfig, report: Reporter) -> None:
    """Fit each atlas to the area its frames reach, and allocate its texels."""
    h, w = atlas.work
    size = (max(2, h // 2), max(2, w // 2))
    for layer in atlas.layers:
        k = prefix(layer)
        density = config.bg_texels if layer == BACKGROUND else config.fg_texels
        low = torch.full((2,), float("inf"), device=atlas.device)
        high = -low
        for index in range(atlas.frames):
            report.step(PHASE, index, atlas.frames)
            t = torch.tensor([index], device=atlas.device)
            flat = atlas.reference(layer, t, size)[0]
            if layer != BACKGROUND:
                inside = atlas.distance(layer, t, size)[0, 0] < atlas.tensors[f"{k}_reach"][t]
                flat = flat[:, inside]
            if flat.numel():
                low = torch.minimum(low, flat.flatten(1).amin(1))
                high = torch.maximum(high, flat.flatten(1).amax(1))
        if not bool(torch.isfinite(low).all()):  # no object: an atlas of a few grey texels
            low, high = low.new_zeros(2), low.new_ones(2)
        middle = (low + high) / 2
        half = (high - low) / 2 + CANVAS_MARGIN
        half = torch.minimum(half, half.new_tensor([w, h]) * config.max_canvas / 2)
        texels = (half * 2 * density).ceil().clamp(min=8)
        half = texels / density / 2
        atlas.tensors[f"{k}_canvas"] = torch.cat([middle - half, middle + half])
        shape = (int(texels[1]), int(texels[0]))
        atlas.tensors[f"{k}_image"] = torch.full((1, 3, *shape), 0.5, device=atlas.device)
        atlas.tensors[f"{k}_cover"] = torch.zeros(1, 1, *shape, device=atlas.device)
