"""A convolution with reflection padding that suits GPUs.

torch's reflection padding on CUDA gives up the channels-last layout, so the convolution converts it
back, and adds its gradient up with atomics: one for every element, in an order that changes from
run to run. Here the image is copied once, and the rim is copied or added as a few whole lines.

Shapes: B images, C channels, H×W pixels.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class ReflectedConvolution(nn.Conv2d):
    """A 3×3 convolution of the same size (or half of it) whose padding reflects the image."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__(inputs, outputs, 3, stride=stride, padding=1, padding_mode="reflect")

    def forward(self, input: Tensor) -> Tensor:
        """[B,C,H,W] → [B,C',H',W']. On CPUs, torch's own padding is the fastest."""
        if input.device.type == "cpu":
            return super().forward(input)
        return F.conv2d(reflected(input), self.weight, self.bias, self.stride)


def reflected(x_BCHW: Tensor) -> Tensor:
    """As ``F.pad(x, (1, 1, 1, 1), mode="reflect")``, channels last: [B,C,H+2,W+2].

    Raises ValueError for a side of one pixel, which has nothing to reflect.
    """
    if min(x_BCHW.shape[-2:]) < 2:
        raise ValueError(f"an image of {tuple(x_BCHW.shape[-2:])} pixels is too small to reflect")
    padded: Tensor = _Reflected.apply(x_BCHW)
    return padded


class _Reflected(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BCHW: Tensor) -> Tensor:
        batch, channels, height, width = x_BCHW.shape
        padded = torch.empty(
            (batch, channels, height + 2, width + 2), dtype=x_BCHW.dtype, device=x_BCHW.device,
            memory_format=torch.channels_last,
        )  # fmt: skip
        padded[..., 1:-1, 1:-1] = x_BCHW
        for rim, mirrored in _lines(width):
            padded[..., 1:-1, rim] = x_BCHW[..., mirrored]
        for rim, mirrored in _lines(height):
            padded[..., rim, :] = padded[..., 1:-1, :][..., mirrored, :]
        return padded

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        grad = grads[0]
        height, width = (side - 2 for side in grad.shape[-2:])
        made = grad[..., 1:-1, 1:-1].clone(memory_format=torch.channels_last)
        for rim, mirrored in _lines(height):
            made[..., mirrored, :].add_(grad[..., rim, 1:-1])
        for rim, mirrored in _lines(width):
            side = grad[..., 1:-1, rim].clone()
            for corner, beside in _lines(height):
                side[..., beside, :].add_(grad[..., corner, rim])
            made[..., mirrored].add_(side)
        return made


def _lines(size: int) -> list[tuple[slice, slice]]:
    """Lines of the padded side's rim, and the image's lines that they mirror.

    From four lines on, both ends are one slice, which is one call instead of two.
    """
    if size > 3:
        return [(slice(0, None, size + 1), slice(1, size - 1, size - 3))]
    return [(slice(0, 1), slice(1, 2)), (slice(size + 1, None), slice(size - 2, size - 1))]
