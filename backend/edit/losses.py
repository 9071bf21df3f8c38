"""The terms of the edit's loss, each a plain function of tensors.

Shapes: B images, V views, N texts, D embedding width, L tokens, E token width, H×W pixels.
Sources: Text2LIVE (arXiv 2204.02491) eqs. 1-7, with a remark where its implementation differs.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

# The shortest change of an embedding that still has a direction, as a share of its own length.
# Anything shorter is rounding, and a unit vector of that would have a gradient a million times too
# large: one image that the layer hardly touches would ruin the optimiser's state.
LEAST_CHANGE = 1e-3


def spherical_distance(x_VD: Tensor, y_ND: Tensor) -> Tensor:
    """Mean over all pairs of the squared great-circle distance 2·asin(‖x̂−ŷ‖/2)², a scalar.

    The reference's image-text distance. 0 for equal directions, π²/2 for opposite ones.
    """
    gap_VND = F.normalize(x_VD, dim=-1)[:, None] - F.normalize(y_ND, dim=-1)[None]
    # asin is not differentiable at 1, nor the norm at 0: stay away from both.
    half_VN = (gap_VND.square().sum(-1) + 1e-12).sqrt() / 2
    return (2 * half_VN.clamp(max=1 - 1e-6).asin().square()).mean()


def cosine_distance(x_VD: Tensor, y_ND: Tensor) -> Tensor:
    """Mean over all pairs of 1 − cosine, a scalar in 0..2 (the paper's D_cos)."""
    return 1 - (F.normalize(x_VD, dim=-1) @ F.normalize(y_ND, dim=-1).T).mean()


def sigmoid_distance(x_VD: Tensor, y_ND: Tensor, scale: float, bias: float) -> Tensor:
    """Mean over all pairs of −log σ(scale·cosine + bias)·π/(2·scale), a scalar ≥ 0.

    For models that learnt with a sigmoid for every pair (SigLIP, arXiv 2303.15343): their cosines
    of matching pairs are near 0.1, far from 1, and their own scale says when a pair matches. The
    factor gives a pair that does not match the slope of `spherical_distance` at a right angle, so
    the weights of the other terms keep their meaning.
    """
    cosine_VN = F.normalize(x_VD, dim=-1) @ F.normalize(y_ND, dim=-1).T
    return F.softplus(-(scale * cosine_VN + bias)).mean() * (math.pi / 2 / scale)


def text_distance(
    kind: str, x_VD: Tensor, y_ND: Tensor, sigmoid: tuple[float, float] | None = None
) -> Tensor:
    """Distance of images to texts: kind ``spherical`` or ``cosine``.

    sigmoid: scale and bias of a model that was trained with them, whose own distance counts then.
    """
    if sigmoid is not None:
        return sigmoid_distance(x_VD, y_ND, *sigmoid)
    return {"spherical": spherical_distance, "cosine": cosine_distance}[kind](x_VD, y_ND)


def direction_loss(
    output_VD: Tensor, source_VD: Tensor, prompt_ND: Tensor, source_text_ND: Tensor
) -> Tensor:
    """1 − cosine of (output − source image) and (prompt − source text), mean over all pairs.

    Differences of unnormalised embeddings. View v of the output belongs to view v of the source,
    and text n of the prompt to text n of the source text (second part of eq. 3). Changes shorter
    than LEAST_CHANGE of the source count less; without any change the loss is 1.
    """
    change_VD = output_VD - source_VD
    floor_V1 = LEAST_CHANGE * source_VD.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    unit_VD = change_VD / torch.maximum(change_VD.norm(dim=-1, keepdim=True), floor_V1)
    return 1 - (unit_VD @ F.normalize(prompt_ND - source_text_ND, dim=-1).T).mean()


def self_similarity(tokens_BLE: Tensor) -> Tensor:
    """Cosine similarity of every token with every other, [B,L,L]."""
    unit_BLE = F.normalize(tokens_BLE, dim=-1)
    return unit_BLE @ unit_BLE.transpose(1, 2)


def structure_loss(output_BLE: Tensor, source_BLE: Tensor, norm: str = "mse") -> Tensor:
    """Difference of the self-similarities (eq. 5).

    norm: ``mse``, the mean square (reference), or ``frobenius``, mean over images of the norm.
    """
    gap_BLL = self_similarity(output_BLE) - self_similarity(source_BLE)
    if norm == "mse":
        return gap_BLL.square().mean()
    return (gap_BLL.square().sum((1, 2)) + 1e-12).sqrt().mean()


def sparsity_loss(alpha_B1HW: Tensor, l1: float, l0: float) -> Tensor:
    """l1·mean|α| + l0·mean Ψ₀(α), Ψ₀(α) = 2·sigmoid(5α) − 1 (eq. 7)."""
    return l1 * alpha_B1HW.abs().mean() + l0 * (2 * (5 * alpha_B1HW).sigmoid() - 1).mean()


def opaque_loss(alpha_B1HW: Tensor, above: float) -> Tensor:
    """Mean square of what α exceeds a level by."""
    return (alpha_B1HW - above).clamp_min(0).square().mean()


def bootstrap_loss(
    alpha_B1HW: Tensor,
    relevancy_B1HW: Tensor,
    avoid_B1HW: Tensor | None,
    threshold: float,
    kind: str = "target",
) -> Tensor:
    """Mean squared difference of α and the relevancy map (eq. 6).

    avoid: relevancy N of a text that the edit must stay away from; it counts where it exceeds the
    threshold. kind ``target``: there α should be 0. ``second``: there the squared difference of
    1−α and N is added (reference).
    """
    if avoid_B1HW is None:
        return (alpha_B1HW - relevancy_B1HW).square().mean()
    avoided = avoid_B1HW > threshold
    if kind == "target":
        return (alpha_B1HW - torch.where(avoided, 0.0, relevancy_B1HW)).square().mean()
    away_B1HW = torch.where(avoided, 1 - alpha_B1HW - avoid_B1HW, 0.0)
    return (alpha_B1HW - relevancy_B1HW).square().mean() + away_B1HW.square().mean()
