"""The edit's generator: a U-Net from an image to an RGBA layer, trained on one image or clip.

Shapes: B images, C channels, H×W pixels.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.edit.reflection import ReflectedConvolution
from backend.edit.upsampled import normalised_convolution, plain_convolution
from backend.progress import Tick, nothing

# Square root of the covariance of ImageNet's colours by SVD, published with Lucid and
# "Feature Visualization" (Olah et al., Distill 2017): colours move along natural directions.
COLOUR_SVD_SQRT = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
# Text2LIVE weakens the first axis (brightness) so that colours turn out more saturated.
BRIGHTNESS_DIVISOR = 1.6


def colour_matrix() -> Tensor:
    """Decorrelated colour → RGB, float32 [3,3]; its largest column has length one."""
    matrix = torch.tensor(COLOUR_SVD_SQRT) / torch.tensor([BRIGHTNESS_DIVISOR, 1.0, 1.0])
    return matrix / matrix.square().sum(dim=0).sqrt().max()


class Generator(nn.Module):
    """Image [B,3,H,W] in 0..1 → layer [B,4,H,W] in 0..1: RGB and straight alpha.

    channels: width of every level. scales: levels wanted. side: shorter side, in pixels, of the
    smallest image it will see; levels stop before that shrinks below 3 pixels. seed: of the initial
    weights. last_norm: normalise after the top level's 1×1 convolution too. bfloat16: compute in
    it. tick: called between the levels. Batch statistics are always the image's own, in training
    and after it.
    """

    def __init__(
        self,
        *,
        channels: int,
        scales: int,
        side: int,
        skip_channels: int = 4,
        last_norm: bool = True,
        seed: int = 0,
        bfloat16: bool = False,
        tick: Tick = nothing,
    ) -> None:
        super().__init__()
        self.autocast, self.tick = bfloat16, tick
        scales = levels(side, scales)
        with torch.device("meta"):
            inputs = [3] + [channels] * (scales - 1)
            self.skip = nn.ModuleList(_conv(c, skip_channels, 1) for c in inputs)
            self.down = nn.ModuleList(
                nn.Sequential(_conv(c, channels, 3, stride=2), _conv(channels, channels, 3))
                for c in inputs
            )
            self.up = nn.ModuleList(DecoderBlock(channels, skip_channels) for _ in inputs)
            if not last_norm:
                top: Any = self.up[-1]
                top.leave_last_norm()
            self.head = Pointwise(channels, 4, 1)
        self.register_buffer("rgb_from_colour", colour_matrix())
        self.to_empty(device="cpu")
        self._initialise(torch.Generator().manual_seed(seed))
        self.to(memory_format=torch.channels_last)

    def _initialise(self, generator: torch.Generator) -> None:
        """PyTorch's default initialisation, drawn from this generator."""
        self.get_buffer("rgb_from_colour").copy_(colour_matrix())
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5), generator=generator)
                if module.bias is not None:
                    bound = 1 / math.sqrt(module.weight[0].numel())
                    nn.init.uniform_(module.bias, -bound, bound, generator=generator)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x_BCHW: Tensor, detail_B1HW: Tensor | None = None) -> Tensor:
        """x: sRGB 0..1, any size → layer of the same size. detail: see `finished`."""
        return finished(self.logits(x_BCHW), detail_B1HW)

    def logits(self, x_BCHW: Tensor) -> Tensor:
        """The layer before its sigmoid."""
        device = x_BCHW.device.type
        with torch.autocast(device, dtype=torch.bfloat16, enabled=self.autocast):
            return self._logits(x_BCHW)

    def _logits(self, x_BCHW: Tensor) -> Tensor:
        skips = []
        # With channels innermost in memory, convolutions take half the time on CPUs.
        h_BCHW = x_BCHW.contiguous(memory_format=torch.channels_last)
        for skip, down in zip(self.skip, self.down, strict=True):
            skips.append(skip(h_BCHW))
            h_BCHW = down(h_BCHW)
            self.tick()
        for skip_BCHW, up in zip(reversed(skips), self.up, strict=True):
            h_BCHW = up(h_BCHW, skip_BCHW)
            self.tick()
        out_BCHW = self.head(h_BCHW).float()
        rgb_from_colour = self.get_buffer("rgb_from_colour")
        rgb_BCHW = torch.einsum("rc,bchw->brhw", rgb_from_colour, out_BCHW[:, :3])
        return torch.cat([rgb_BCHW, out_BCHW[:, 3:]], dim=1)


def finished(logits_B4HW: Tensor, detail_B1HW: Tensor | None = None) -> Tensor:
    """Logits → layer. Detail is added to the colours' logits, not to alpha's."""
    if detail_B1HW is None:
        return logits_B4HW.sigmoid()
    rgb_B3HW = logits_B4HW[:, :3] + detail_B1HW
    return torch.cat([rgb_B3HW, logits_B4HW[:, 3:]], dim=1).sigmoid()


def levels(side: int, wanted: int) -> int:
    """How many halvings of an image's shorter side leave at least 3 pixels; 1..wanted."""
    count = 0
    while count < wanted and -(-side // 2) >= 3:
        side, count = -(-side // 2), count + 1
    return max(1, count)


def _conv(inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    """Convolution → BatchNorm → LeakyReLU."""
    return nn.Sequential(_convolution(inputs, outputs, kernel, stride), *_activation(outputs))


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """1×1 or 3×3 convolution, with reflection padding."""
    if kernel == 1:
        return Pointwise(inputs, outputs, 1)
    return ReflectedConvolution(inputs, outputs, stride=stride)


def _activation(channels: int) -> tuple[nn.Module, ...]:
    """BatchNorm → LeakyReLU."""
    return nn.BatchNorm2d(channels, track_running_stats=False), nn.LeakyReLU(0.2, inplace=True)


class DecoderBlock(nn.Module):
    """Upsample ×2, concatenate the skip, BatchNorm, 3×3 and 1×1 convolution."""

    def __init__(self, channels: int, skip_channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels + skip_channels, track_running_stats=False)
        self.wide = _convolution(channels + skip_channels, channels, 3)
        self.rest = nn.Sequential(*_activation(channels), _conv(channels, channels, 1))

    def leave_last_norm(self) -> None:
        """Drop the normalisation after the 1×1 convolution."""
        last: Any = self.rest[-1]
        self.rest[-1] = nn.Sequential(last[0], last[2])

    def forward(self, x_BChw: Tensor, skip_BSHW: Tensor) -> Tensor:
        """skip: twice the height and width of x, or one less."""
        on_cpu = x_BChw.device.type == "cpu"
        convolved = normalised_convolution if on_cpu else plain_convolution
        made: Tensor = self.rest(convolved(x_BChw, skip_BSHW, self.norm, self.wide))
        return made


class Pointwise(nn.Conv2d):
    """A 1×1 convolution as a matrix product.

    For one image on one CPU thread, torch's own 1×1 convolution is slow.
    """

    def forward(self, input: Tensor) -> Tensor:
        """[B,C,H,W] → [B,C',H,W]."""
        out_BHWC = F.linear(input.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias)
        return out_BHWC.permute(0, 3, 1, 2)
