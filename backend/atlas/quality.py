"""How good a decomposition is, in numbers and in one picture."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.interface import LayeredAtlas
from backend.atlas.sampling import sample
from backend.progress import Reporter

PHASE = "Checking the atlas"
PICTURE = 512  # long side of the preview


@torch.no_grad()
def rebuild(atlas: LayeredAtlas, t: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Frames as the atlas explains them, and alpha: [B,3,H,W] 0..1 and [B,1,H,W]."""
    alpha = atlas.opacity(t, size)
    bg, fg = (
        sample(atlas.texture(layer, t), atlas.uv(layer, t, size)) * atlas.gain(layer, t, size)
        for layer in ("background", "foreground")
    )
    return bg + alpha * (fg - bg), alpha


@torch.no_grad()
def measure(
    atlas: LayeredAtlas, frames: Tensor, kept: Tensor, report: Reporter
) -> dict[str, float]:
    """psnr, psnr_held_out (blocks no colour was fitted to), psnr_fg, in dB; mask_iou; coverage.

    frames: uint8 [T,3,h,w]; kept: bool [T,1,h,w]. mask_iou is against the rough mask.
    """
    error = {"psnr": [0.0, 0.0], "psnr_held_out": [0.0, 0.0], "psnr_fg": [0.0, 0.0]}
    overlap, union = 0.0, 0.0
    for index in range(atlas.frames):
        report.step(PHASE, index, atlas.frames)
        t = torch.tensor([index], device=atlas.device)
        picture_of, alpha = rebuild(atlas, t, atlas.work)
        square = (picture_of.clamp(0, 1) - frames[t].float() / 255).pow(2).mean(1, keepdim=True)
        used = kept[t].float()
        for name, weight in (
            ("psnr", used),
            ("psnr_held_out", 1 - used),
            ("psnr_fg", used * (alpha > 0.9)),
        ):
            error[name][0] += float((square * weight).sum())
            error[name][1] += float(weight.sum())
        rough, found = atlas.distance(t, atlas.work) < 0, alpha > 0.5
        overlap += float((rough & found).sum())
        union += float((rough | found).sum())
    report.step(PHASE, atlas.frames, atlas.frames)
    numbers = {
        name: round(-10 * math.log10(max(total / weight, 1e-10)), 3)
        for name, (total, weight) in error.items()
        if weight > 0
    }
    numbers["mask_iou"] = round(overlap / union, 4) if union else 0.0
    for k, layer in (("coverage_fg", "foreground"), ("coverage_bg", "background")):
        numbers[k] = round(float(atlas.coverage(layer).mean()), 4)
    return numbers


def picture(atlas: LayeredAtlas, index: int) -> NDArray[np.uint8]:
    """One frame as the atlas explains it, the background greyed: uint8 [H,W,3], ≤ 512 long."""
    t = torch.tensor([index], device=atlas.device)
    seen, alpha = rebuild(atlas, t, atlas.work)
    grey = seen.mean(1, keepdim=True) * 0.6 + 0.1
    shown = (grey + alpha * (seen - grey)).clamp(0, 1)[0].permute(1, 2, 0)
    out = (shown * 255).round().to(torch.uint8).cpu().numpy()
    scale = PICTURE / max(out.shape[:2])
    if scale < 1:
        size = (round(out.shape[1] * scale), round(out.shape[0] * scale))
        out = cv2.resize(out, size, interpolation=cv2.INTER_AREA)
    return np.asarray(out, np.uint8)
