"""Frozen image features: the first 15 blocks of EfficientNet-Lite0, trained on ImageNet.

Tan and Le, 2019 (arXiv 1905.11946); the Lite variant has no squeeze-and-excitation and uses ReLU6.
Batch norms are folded into the convolutions; `scripts/convert_efficientnet.py` made the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

WEIGHTS = Path(__file__).parent / "efficientnet_lite0" / "weights.safetensors"


@dataclass(frozen=True)
class Block:
    """An inverted residual block: kernel size, stride, expansion, channels."""

    kernel: int
    stride: int
    expand: int
    channels: int


BLOCKS = (
    Block(3, 1, 1, 16),
    Block(3, 2, 6, 24), Block(3, 1, 6, 24),
    Block(5, 2, 6, 40), Block(5, 1, 6, 40),
    Block(3, 2, 6, 80), Block(3, 1, 6, 80), Block(3, 1, 6, 80),
    Block(5, 1, 6, 112), Block(5, 1, 6, 112), Block(5, 1, 6, 112),
    Block(5, 2, 6, 192), Block(5, 1, 6, 192), Block(5, 1, 6, 192), Block(5, 1, 6, 192),
)  # fmt: skip
TAPS = ((0,), (2,), (4,), (7, 10), (14,))
"""Blocks whose outputs are joined to one map, for strides 2, 4, 8, 16 and 32."""
CHANNELS = tuple(sum(BLOCKS[i].channels for i in taps) for taps in TAPS)


class Network:
    """The network on one device, in float32."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._weights = {
            name: one.float().to(device) for name, one in load_file(WEIGHTS, "cpu").items()
        }

    @torch.no_grad()
    def features(self, image_BCHW: Tensor) -> list[Tensor]:
        """Maps [B,C,h,w] at strides 2, 4, 8, 16, 32 of images in 0..255."""
        x = F.relu6(self._conv("stem", (image_BCHW - 127) / 128, 3, 2))
        outputs = []
        for i, block in enumerate(BLOCKS):
            y = x
            if block.expand > 1:
                y = F.relu6(self._conv(f"{i}.expand", y, 1, 1))
            y = F.relu6(self._conv(f"{i}.depthwise", y, block.kernel, block.stride, y.shape[1]))
            y = self._conv(f"{i}.project", y, 1, 1)
            x = x + y if block.stride == 1 and x.shape[1] == y.shape[1] else y
            outputs.append(x)
        return [torch.cat([outputs[i] for i in taps], 1) for taps in TAPS]

    def _conv(self, name: str, x: Tensor, kernel: int, stride: int, groups: int = 1) -> Tensor:
        """A convolution padded as in the original, which pads strided ones less at the start."""
        before, after = (kernel - stride) // 2, (kernel - stride + 1) // 2
        if kernel > 1:
            x = F.pad(x, (before, after, before, after))
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return F.conv2d(x, weight, bias, stride, groups=groups)


@cache
def network(device: str) -> Network:
    """The network on a device; loaded once in a process."""
    return Network(torch.device(device))
