"""Layers whose look changes over time: an atlas image per keyframe, blended between keyframes.

Shapes: K keyframes · B frames. Keyframes are evenly spaced, the first and last frame among them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SHARED = 0.1  # weight in a keyframe of the frames that belong to all the others ...
FADE = 0.5  # ... times this for every keyframe of distance
NOISE = 0.01  # brightness, 0..1: smaller differences between keyframes are taken for noise


def keyframe_times(count: int, most: int, every: float) -> Tensor:
    """Frames of a clip of `count` that become keyframes: [K], K ≤ most; a single one is frame 0.

    every: frames between two keyframes, roughly.
    """
    wanted = max(1, min(most, round((count - 1) / every) + 1))
    return torch.linspace(0, count - 1, wanted) if wanted > 1 else torch.zeros(1)


def bracket(times: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Number of the keyframe before each frame, [B] long, and the share of the next one, [B].

    times [K], K > 1; t [B].
    """
    place = (t - times[0]) / (times[1] - times[0])
    before = place.floor().clamp(0, len(times) - 2)
    return before.long(), place - before


def add_frames(sums: Tensor, times: Tensor, t: Tensor, images: Tensor) -> None:
    """Add frames' images [B,C,H,W] to the sums [K,C,H,W] of the two keyframes around each.

    times [K] and t [B] are on the host: reading them from a GPU would wait for it.
    """
    for before, share, image in zip(
        *(one.tolist() for one in bracket(times, t)), images, strict=True
    ):
        sums[before].add_(image, alpha=1 - share)
        sums[before + 1].add_(image, alpha=share)


def spread(sums: Tensor) -> Tensor:
    """Sums [K,C,H,W] with a little of every other keyframe added, less with distance in time.

    Texels that a keyframe's own frames do not show then take their colour from the nearest
    keyframes that do.
    """
    place = torch.arange(len(sums), device=sums.device)
    apart = (place[:, None] - place).abs()
    return sums + SHARED * torch.einsum("jk,kcyx->jcyx", FADE**apart, sums)


def denoise(images: Tensor, common: Tensor, cover: Tensor, blur: float) -> Tensor:
    """Keyframe images [K,3,H,W] with differences from the common one below the noise removed.

    common [1,3,H,W]. cover [1,1,Ha,Wa], 0 or 1: where differences are known. blur: texels by which
    they are softened (light moves over an object, detail does not) before a Wiener filter. Fewer
    frames decide a keyframe's colour than the common one, so it is noisier.
    """
    change = _blur((images - common) * cover, blur) / _blur(cover, blur).clamp(min=1e-3)
    power = F.avg_pool2d(change.square().mean(1, keepdim=True), 5, 1, 2)
    return common + change * (1 - NOISE**2 / power.clamp(min=1e-9)).clamp(min=0)


def _blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of [K,C,H,W]."""
    reach = int(3 * sigma) + 1
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(images.device)
    flat = images.flatten(0, 1)[:, None]
    padded = F.pad(flat, (reach, reach, reach, reach), mode="replicate")
    rows = F.conv2d(padded, kernel.view(1, 1, 1, -1))
    return F.conv2d(rows, kernel.view(1, 1, -1, 1)).view_as(images)
