"""When a layer looks different later: pictures of one atlas at several moments, blended in time.

Shapes: K moments · B frames. Moments are evenly spaced, the first and last frame among them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FAINT = 0.1  # weight with which a moment listens to all moments' frames ...
FADE = 0.5  # ... times this for each step between them
NOISE = 0.01  # change of brightness, 0..1, below which moments keep the common colour


def moments(count: int, most: int, every: float) -> Tensor:
    """Frames at which a clip of `count` gets a picture of its own: [K], K ≤ most; one is frame 0.

    every: frames between two, about.
    """
    wanted = max(1, min(most, round((count - 1) / every) + 1))
    return torch.linspace(0, count - 1, wanted) if wanted > 1 else torch.zeros(1)


def between(times: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Where frames are between moments: the number of the one before, [B] long, and the share of
    the one after it, [B]. times [K], K > 1; t [B]."""
    place = (t - times[0]) / (times[1] - times[0])
    before = place.floor().clamp(0, len(times) - 2)
    return before.long(), place - before


def add(sums: Tensor, times: Tensor, t: Tensor, images: Tensor) -> None:
    """Add frames' images [B,C,H,W] to the sums [K,C,H,W] of the moments they lie between."""
    for before, share, image in zip(
        *(one.tolist() for one in between(times, t)), images, strict=True
    ):
        sums[before].add_(image, alpha=1 - share)
        sums[before + 1].add_(image, alpha=share)


def spread(sums: Tensor) -> Tensor:
    """The sums of moments [K,C,H,W] with a little of all others', less of those further away.

    What a moment's own frames do not show looks as in the nearest that do.
    """
    place = torch.arange(len(sums), device=sums.device)
    apart = (place[:, None] - place).abs()
    return sums + FAINT * torch.einsum("jk,kcyx->jcyx", FADE**apart, sums)


def calm(pictures: Tensor, common: Tensor, cover: Tensor, blur: float) -> Tensor:
    """Pictures [K,3,H,W] without the changes from the common one [1,3,H,W] that are but noise.

    cover [1,1,Ha,Wa], 0 or 1: where changes are known. blur: texels by which they are softened:
    light moves over an object, detail does not. Then a Wiener filter: fewer frames decide a
    moment's colour than the common one.
    """
    change = _soften((pictures - common) * cover, blur) / _soften(cover, blur).clamp(min=1e-3)
    power = F.avg_pool2d(change.square().mean(1, keepdim=True), 5, 1, 2)
    return common + change * (1 - NOISE**2 / power.clamp(min=1e-9)).clamp(min=0)


def _soften(pictures: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of [K,C,H,W]."""
    reach = int(3 * sigma) + 1
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(pictures.device)
    flat = pictures.flatten(0, 1)[:, None]
    padded = F.pad(flat, (reach, reach, reach, reach), mode="replicate")
    rows = F.conv2d(padded, kernel.view(1, 1, 1, -1))
    return F.conv2d(rows, kernel.view(1, 1, -1, 1)).view_as(pictures)
