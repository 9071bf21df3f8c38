"""Sample an atlas, and the transpose: splat into one.

Grids follow grid_sample with align_corners=False: −1 and 1 are the outer edges of the image.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def sample(image: Tensor, uv: Tensor, padding: str = "border") -> Tensor:
    """Bilinear lookup. image [1,C,Ha,Wa], or [B,C,Ha,Wa], one per uv [B,H,W,2] → [B,C,H,W].

    padding: beyond the image, ``border`` (its edge repeated) or ``zeros``.
    """
    B, H, W, _ = uv.shape
    if len(image) > 1:
        return F.grid_sample(image, uv, "bilinear", padding, align_corners=False)
    # One tall grid, not an expanded image, whose gradient would be B images.
    tall = uv.reshape(1, B * H, W, 2)
    out = F.grid_sample(image, tall, mode="bilinear", padding_mode=padding, align_corners=False)
    return out.view(image.shape[1], B, H, W).transpose(0, 1)


def splat(values: Tensor, uv: Tensor, size: tuple[int, int]) -> Tensor:
    """The transpose of `sample`: add values into an image with bilinear weights.

    values [B,C,H,W], uv [B,H,W,2] → [1,C,*size].
    """
    image = values.new_zeros(1, values.shape[1], *size, requires_grad=True)
    with torch.enable_grad():
        seen = sample(image, uv.detach())
        (out,) = torch.autograd.grad(seen, image, values)
    return out


def push_pull(image: Tensor, weight: Tensor) -> Tensor:
    """Fill holes from coarser levels (Gortler et al., The Lumigraph, 1996).

    image [1,C,H,W] already divided by its weight, weight [1,1,H,W] ≥ 0; texels of weight ≥ 1 do
    not change. Returns [1,C,H,W].
    """
    H, W = image.shape[-2:]
    sure = weight.clamp(max=1)
    if H <= 1 and W <= 1:
        return image
    even = (0, W % 2, 0, H % 2)
    sure_even = F.pad(sure, even)
    total = F.avg_pool2d(sure_even, 2) * 4
    mean = F.avg_pool2d(F.pad(image * sure, even), 2) * 4 / total.clamp(min=1e-6)
    coarse = push_pull(mean, total)
    up = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)[..., :H, :W]
    return sure * image + (1 - sure) * up


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize of [B,C,H,W] to `size` rows and columns, outer edges aligned."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def pixel_centres(
    size: tuple[int, int], extent: tuple[int, int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Pixel centres of rows and columns of a grid of `size` over a frame of `extent` pixels.

    Returns y [H] and x [W] in the frame's pixels, whose centres are at +0.5.
    """
    y = (torch.arange(size[0], device=device, dtype=torch.float32) + 0.5) * (extent[0] / size[0])
    x = (torch.arange(size[1], device=device, dtype=torch.float32) + 0.5) * (extent[1] / size[1])
    return y, x
