"""How good a decomposition is: measures, and one preview image."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.interface import LayeredAtlas
from backend.atlas.layers import BACKGROUND, opacities, over, prefix, shares
from backend.atlas.sampling import sample
from backend.progress import Reporter
from protocol.layers import suffix

PHASE = "Checking the atlas"
PREVIEW = 512  # long side of the preview, pixels


@torch.no_grad()
def rebuild(
    atlas: LayeredAtlas, t: Tensor, size: tuple[int, int]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Frames reconstructed from the atlas, [B,3,H,W], and visibility by layer, [B,1,H,W].

    Layers are front to back; both are 0..1.
    """
    alphas = opacities(atlas, t, size)
    colours = {
        layer: sample(atlas.texture(layer, t), atlas.uv(layer, t, size))
        * atlas.gain(layer, t, size)
        for layer in atlas.layers
    }
    return over(colours, alphas), shares(alphas)


@torch.no_grad()
def measure(
    atlas: LayeredAtlas, frames: Tensor, kept: Tensor, report: Reporter
) -> dict[str, float]:
    """psnr, psnr_held_out (blocks no colour was fitted to), psnr_fg, in dB; mask_iou; coverage.

    frames: uint8 [T,3,h,w]; kept: bool [T,1,h,w]. mask_iou compares the visible part of an object
    in the atlas and in the rough masks. Further objects: psnr_fg2, mask_iou_2, coverage_fg2.
    """
    objects = [layer for layer in atlas.layers if layer != BACKGROUND]
    names = ["psnr", "psnr_held_out", *(f"psnr_{prefix(layer)}" for layer in objects)]
    error = {name: [0.0, 0.0] for name in names}
    overlap, union = dict.fromkeys(objects, 0.0), dict.fromkeys(objects, 0.0)
    for index in range(atlas.frames):
        report.step(PHASE, index, atlas.frames)
        t = torch.tensor([index], device=atlas.device)
        rebuilt, seen = rebuild(atlas, t, atlas.work)
        square = (rebuilt.clamp(0, 1) - frames[t].float() / 255).pow(2).mean(1, keepdim=True)
        used = kept[t].float()
        weights = [used, 1 - used, *(used * (seen[layer] > 0.9) for layer in objects)]
        for name, weight in zip(names, weights, strict=True):
            error[name][0] += float((square * weight).sum())
            error[name][1] += float(weight.sum())
        hidden = torch.zeros_like(used, dtype=torch.bool)
        for layer in objects:
            inside, found = atlas.distance(layer, t, atlas.work) < 0, seen[layer] > 0.5
            rough = inside & ~hidden
            hidden |= inside
            overlap[layer] += float((rough & found).sum())
            union[layer] += float((rough | found).sum())
    report.step(PHASE, atlas.frames, atlas.frames)
    numbers = {
        name: round(-10 * math.log10(max(total / weight, 1e-10)), 3)
        for name, (total, weight) in error.items()
        if weight > 0
    }
    for number, layer in enumerate(objects, 1):
        iou = overlap[layer] / union[layer] if union[layer] else 0.0
        numbers[f"mask_iou{suffix(number)}"] = round(iou, 4)
    for layer in atlas.layers:
        covered = float(atlas.coverage(layer).mean())
        numbers[f"coverage_{prefix(layer)}"] = round(covered, 4)
    return numbers


def preview_image(atlas: LayeredAtlas, index: int) -> NDArray[np.uint8]:
    """A frame reconstructed from the atlas, the background grey: uint8 [H,W,3], ≤ 512 long."""
    t = torch.tensor([index], device=atlas.device)
    seen, parts = rebuild(atlas, t, atlas.work)
    grey = seen.mean(1, keepdim=True) * 0.6 + 0.1
    objects = torch.stack([part for layer, part in parts.items() if layer != BACKGROUND]).sum(0)
    shown = (grey + objects * (seen - grey)).clamp(0, 1)[0].permute(1, 2, 0)
    out = (shown * 255).round().to(torch.uint8).cpu().numpy()
    scale = PREVIEW / max(out.shape[:2])
    if scale < 1:
        size = (round(out.shape[1] * scale), round(out.shape[0] * scale))
        out = cv2.resize(out, size, interpolation=cv2.INTER_AREA)
    return np.asarray(out, np.uint8)
