"""Losses of the maps, the opacity and the colours; every term is a mean over pixels.

Shapes: B frames · H,W the step's resolution · h,w the flow lattice. Map values are in reference
pixels of the working size.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.to_device import constant


class _Colour(torch.autograd.Function):
    """The gradient is only signs and shifts; written out, it costs a third of autograd's."""

    @staticmethod
    def forward(ctx: Any, error: Tensor, weight: Tensor, w_gradient: float) -> Tensor:
        e = error * weight
        slope = torch.sign(e) / e.numel()
        loss = e.abs().mean()
        for axis in (2, 3):
            n = e.shape[axis]
            late, early = slope.narrow(axis, 1, n - 1), slope.narrow(axis, 0, n - 1)
            step = e.narrow(axis, 1, n - 1) - e.narrow(axis, 0, n - 1)
            share = 0.5 * w_gradient / step.numel()
            loss = loss + share * step.abs().sum()
            step.sign_().mul_(share)
            late += step
            early -= step
        ctx.save_for_backward(slope.mul_(weight))
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return ctx.saved_tensors[0] * grad, None, None


def colour(error: Tensor, weight: Tensor, w_gradient: float) -> Tensor:
    """Mean absolute error plus w_gradient times the mean absolute difference of its neighbours.

    error [B,3,H,W]; weight [B,1,H,W], 0 where pixels are held out, and not differentiated.
    """
    loss: Tensor = _Colour.apply(error, weight, w_gradient)
    return loss


def mask_pull(
    alpha: Tensor, distance: Tensor, free: float, known: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of alpha to the rough mask away from its edge, and alpha outside it.

    alpha [B,1,H,W]; distance: signed distance to the mask's edge in pixels, negative inside. known:
    bool, false where the mask is unknown because another object is in front.
    """
    a = alpha.clamp(1e-4, 1 - 1e-4)
    inside, outside = distance < -free, distance > free
    if known is not None:
        inside, outside = inside & known, outside & known
    inside, outside = inside.float(), outside.float()
    entropy = -(inside * a.log() + outside * (1 - a).log())
    return entropy.mean(), (alpha * outside).mean()


def binary(alpha: Tensor) -> Tensor:
    """Mean of α(1−α): opacity should be 0 or 1 nearly everywhere."""
    return (alpha * (1 - alpha)).mean()


def along_flow(here: Tensor, there: Tensor, weight: Tensor, cap: float) -> Tensor:
    """Huber distance of map values at both ends of the flow, each at most cap.

    here, there [B,2,h,w] reference pixels; weight [B,1,h,w].
    """
    gap = (here - there).pow(2).sum(1, keepdim=True).add(1e-8).sqrt().clamp(max=cap)
    huber = torch.where(gap < 1, 0.5 * gap * gap, gap - 0.5)
    return (huber * weight).mean()


def rigidity(flat: Tensor, scale: Tensor, spacing: tuple[float, float]) -> Tensor:
    """‖JᵀJ‖ + ‖(JᵀJ)⁻¹‖ − 2√2 of a map's Jacobian (Kasten et al., 2021), 0 for an isometry.

    flat [B,2,H,W]; scale [B] divides the Jacobian: the base map's own magnification; spacing:
    pixels between rows and between columns.
    """
    s = scale[:, None, None, None]
    down = (flat[:, :, 1:, :-1] - flat[:, :, :-1, :-1]) / (spacing[0] * s)
    across = (flat[:, :, :-1, 1:] - flat[:, :, :-1, :-1]) / (spacing[1] * s)
    a = (across * across).sum(1)
    b = (across * down).sum(1)
    d = (down * down).sum(1)
    size = (a * a + 2 * b * b + d * d).add(1e-12).sqrt()
    # For 2×2, the norm of the inverse is the norm over the determinant; a fold has determinant 0.
    det = (a * d - b * b).clamp(min=1e-2)
    return (size * (1 + 1 / det) - 2 * 2**0.5).clamp(max=50).mean()


def look_up(flat: Tensor, points: Tensor, extent: tuple[int, int]) -> Tensor:
    """A map or an opacity at arbitrary pixels: [B,C,H,W] and [B,h,w,2] in pixels → [B,C,h,w]."""
    size = constant((float(extent[1]), float(extent[0])), points.device).to(points.dtype)
    return F.grid_sample(
        flat, points * (2 / size) - 1, mode="bilinear", padding_mode="border", align_corners=False
    )
