"""Images as tensors: conversion, sizes, compositing, the finished matte and the preview.

Shapes: B images, C channels, H×W pixels. Layers are RGBA in 0..1.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from backend.edit.config import EditConfig

PREVIEW_GAP = 4  # black pixels between the composite and its matte


# --- conversion ----------------------------------------------------------------------------------


def to_tensor(image: NDArray[np.uint8], device: torch.device) -> Tensor:
    """[H,W,C] uint8 → [1,C,H,W] float32 in 0..1."""
    tensor = torch.tensor(np.ascontiguousarray(image), device=device)
    return tensor.permute(2, 0, 1)[None].float() / 255


def to_image(x_1CHW: Tensor) -> NDArray[np.uint8]:
    """[1,C,H,W] in 0..1 → [H,W,C] uint8."""
    rounded = (x_1CHW[0].detach().clamp(0, 1) * 255).round().to(torch.uint8)
    image: NDArray[np.uint8] = np.ascontiguousarray(rounded.permute(1, 2, 0).cpu().numpy())
    return image


# --- sizes ---------------------------------------------------------------------------------------


def fit_size(height: int, width: int, limit: int) -> tuple[int, int]:
    """The size with the same aspect ratio, its long side at most limit, each side at least 8."""
    factor = min(1.0, limit / max(height, width))
    return max(8, round(height * factor)), max(8, round(width * factor))


def short_size(height: int, width: int, side: int) -> tuple[int, int]:
    """The size with the same aspect ratio whose short side is this long."""
    factor = side / min(height, width)
    return round(height * factor), round(width * factor)


def resize(x_BCHW: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, with antialiasing where it shrinks."""
    if tuple(x_BCHW.shape[-2:]) == size:
        return x_BCHW
    return F.interpolate(x_BCHW, size, mode="bilinear", antialias=True, align_corners=False)


# --- compositing ---------------------------------------------------------------------------------


def composite(layer_B4HW: Tensor, background: Tensor) -> Tensor:
    """A straight-alpha layer over a background [B,3,H,W] (or [1,3,1,1])."""
    alpha_B1HW = layer_B4HW[:, 3:]
    return alpha_B1HW * layer_B4HW[:, :3] + (1 - alpha_B1HW) * background


def premultiply(layer_B4HW: Tensor) -> Tensor:
    """Straight alpha → colours times alpha, the form in which a layer may be sampled and faded."""
    alpha = layer_B4HW[:, 3:]
    return torch.cat([layer_B4HW[:, :3] * alpha, alpha], dim=1)


def over(layer_B4HW: Tensor, background: Tensor) -> Tensor:
    """A premultiplied layer over a background."""
    return layer_B4HW[:, :3] + (1 - layer_B4HW[:, 3:]) * background


# --- the matte -----------------------------------------------------------------------------------


def scale_alpha(layer_B4HW: Tensor, factor_B1HW: Tensor) -> Tensor:
    """A straight-alpha layer with its alpha multiplied."""
    return torch.cat([layer_B4HW[:, :3], layer_B4HW[:, 3:] * factor_B1HW], dim=1)


def matte_levels(layer_B4HW: Tensor, config: EditConfig) -> Tensor:
    """Stretch alpha so that config.matte[0] and below become 0, config.matte[1] and above 1.

    A sigmoid never reaches 0: without this, the layer would veil the whole image by a few percent.
    """
    low, high = config.matte
    alpha_B1HW = ((layer_B4HW[:, 3:] - low) / (high - low)).clamp(0, 1)
    return torch.cat([layer_B4HW[:, :3], alpha_B1HW], dim=1)


# --- the preview ---------------------------------------------------------------------------------


def preview_image(
    composite_13HW: Tensor, alpha_11HW: Tensor, config: EditConfig
) -> NDArray[np.uint8]:
    """The composite and its matte in one image, uint8 [h,w,3].

    The matte is below a wide composite and beside a tall one; each has its long side at most
    config.preview_size.
    """
    height, width = composite_13HW.shape[-2:]
    size = fit_size(height, width, config.preview_size)
    shown, alpha = resize(composite_13HW, size), resize(alpha_11HW, size).expand(-1, 3, -1, -1)
    if width >= height:
        return to_image(torch.cat([F.pad(shown, (0, 0, 0, PREVIEW_GAP)), alpha], dim=2))
    return to_image(torch.cat([F.pad(shown, (0, PREVIEW_GAP)), alpha], dim=3))
