"""The MLP of a frozen transformer block with OpenAI's activation, in fewer passes over memory.

Shapes: B images, L tokens, E token width, F = 4·E.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from open_clip.transformer import QuickGELU
from torch import Tensor
from torch.autograd.function import once_differentiable

SLOPE = 1.702  # of QuickGELU's sigmoid


def perceptron(mlp: Any, x_BLE: Tensor) -> Tensor:
    """``mlp(x)`` of an open_clip block; gradients reach only x."""
    if not isinstance(mlp.gelu, QuickGELU):
        own: Tensor = mlp(x_BLE)
        return own
    wide, back = mlp.c_fc, mlp.c_proj
    made: Tensor = _Quick.apply(x_BLE, wide.weight, wide.bias, back.weight, back.bias)
    return made


class _Quick(torch.autograd.Function):
    """x·σ(s·x) is silu(s·x)/s, and a matrix product can scale its result at no cost.

    So the activation takes one pass instead of three, and in the backward pass the scales cancel.
    """

    @staticmethod
    def forward(
        ctx: Any, x_BLE: Tensor, wide_FE: Tensor, wide_F: Tensor, back_EF: Tensor, back_E: Tensor
    ) -> Tensor:
        x_NE = x_BLE.flatten(0, 1)
        h_NF = torch.addmm(wide_F, x_NE, wide_FE.T, beta=SLOPE, alpha=SLOPE)
        ctx.save_for_backward(h_NF, wide_FE, back_EF)
        ctx.dtype = x_BLE.dtype
        return torch.addmm(back_E, F.silu(h_NF), back_EF.T, alpha=1 / SLOPE).view(x_BLE.shape)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor, None, None, None, None]:  # the weights are frozen
        h_NF, wide_FE, back_EF = ctx.saved_tensors
        grad_NF = grads[0].flatten(0, 1) @ back_EF.to(h_NF.dtype)
        grad_NF = torch.ops.aten.silu_backward(grad_NF, h_NF)
        grad_NE = grad_NF @ wide_FE.to(h_NF.dtype)
        return grad_NE.view(grads[0].shape).to(ctx.dtype), None, None, None, None
