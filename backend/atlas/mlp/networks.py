"""The four networks, and the square of the UV plane that each layer's atlas occupies.

Shapes: N points. A point p = (x, y, t): x and y from the frame's centre over half its longer side,
t from −1 to 1 over the clip; or as MlpConfig.coordinates says.
(E1) M_f(p), M_b(p) = (u, v) in (−1, 1)²          mapping networks, no positional encoding
(E2) foreground at (u, v)/2 + ½ in [0, 1]², background at (u, v)/2 − ½ in [−1, 0]²
(E3) α(p) = 0.99·(tanh + 1)/2 + 0.001             opacity network, encoded p
(E4) c = α·A(M_f(p)) + (1 − α)·A(M_b(p))          one atlas network A, encoded (u, v)
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.atlas.mlp.config import MlpConfig
from backend.to_device import constant

ALPHA_SCALE, ALPHA_FLOOR = 0.99, 0.001
SHIFT = {"fg": 0.5, "bg": -0.5}


def encode(x: Tensor, octaves: int) -> Tensor:
    """sin and cos of 2^k·π·x for k below octaves: [N,D] → [N,2·D·octaves]."""
    rate = math.pi * 2.0 ** torch.arange(octaves, device=x.device, dtype=x.dtype)
    phase = (x[:, :, None] * rate).flatten(1)
    return torch.cat([phase.sin(), phase.cos()], 1)


class Mlp(nn.Module):
    """Linear layers with ReLU between and tanh at the end: [N,inputs] → [N,outputs] in (−1,1)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        layers: int,
        generator: torch.Generator,
        skips: tuple[int, ...] = (),
        skip_gradient: bool = True,
    ) -> None:
        super().__init__()
        self.skips, self.skip_gradient = skips, skip_gradient
        made = []
        for index in range(layers):
            wide = inputs if index == 0 else width + (inputs if index in skips else 0)
            made.append(_linear(wide, outputs if index == layers - 1 else width, generator))
        self.layers = nn.ModuleList(made)

    def forward(self, x: Tensor) -> Tensor:
        """[N,inputs] → [N,outputs]."""
        out = x
        for index, layer in enumerate(self.layers):
            if index:
                out = F.relu(out)
            if index in self.skips:
                out = torch.cat([out, x if self.skip_gradient else x.detach()], 1)
            out = layer(out)
        return out.tanh()


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """A layer with torch's default initial weights, drawn from the given generator."""
    with torch.random.fork_rng(devices=[]):  # nn.Linear draws from the global generator
        layer = nn.Linear(inputs, outputs)
    bound = 1 / math.sqrt(inputs)
    for values in (layer.weight, layer.bias):
        nn.init.uniform_(values, -bound, bound, generator=generator)
    return layer


class Networks(nn.Module):
    """A mapping per layer, the opacity, and the atlas both layers share; seeded by config.seed."""

    def __init__(self, config: MlpConfig) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(config.seed)
        self.config = config
        self.map_fg = Mlp(3, 2, config.map_width, config.fg_layers, g)
        self.map_bg = Mlp(3, 2, config.map_width, config.bg_layers, g)
        self.opacity = Mlp(
            6 * config.alpha_frequencies, 1, config.alpha_width, config.alpha_layers, g
        )
        self.atlas = Mlp(
            4 * config.atlas_frequencies, 3, config.atlas_width, config.atlas_layers, g,
            config.atlas_skips, config.atlas_skip_gradient,
        )  # fmt: skip

    def uv(self, layer: str, p: Tensor) -> Tensor:
        """(E1) of layer ``fg`` or ``bg``: [N,3] → [N,2], −1..1 on the layer's own square."""
        out: Tensor = (self.map_fg if layer == "fg" else self.map_bg)(p)
        return out

    def alpha(self, p: Tensor) -> Tensor:
        """(E3): [N,3] → [N,1], 0.001..0.991."""
        raw: Tensor = self.opacity(encode(p, self.config.alpha_frequencies))
        return ALPHA_SCALE * 0.5 * (raw + 1) + ALPHA_FLOOR

    def colour(self, layer: str, uv: Tensor) -> Tensor:
        """(E2) then A: coordinates of a layer [N,2] → sRGB [N,3], 0..1."""
        place = 0.5 * uv + SHIFT[layer]
        raw: Tensor = self.atlas(encode(place, self.config.atlas_frequencies))
        return 0.5 * (raw + 1)

    def render(self, p: Tensor) -> tuple[Tensor, Tensor]:
        """(E4): [N,3] → colour of the frames [N,3] and opacity [N,1]."""
        alpha = self.alpha(p)
        fg, bg = (self.colour(layer, self.uv(layer, p)) for layer in ("fg", "bg"))
        return alpha * fg + (1 - alpha) * bg, alpha


class Frame:
    """Converts pixels to points, from the clip's working size and number of frames."""

    def __init__(
        self, size: tuple[int, int], frames: int, uv_scale: float, coordinates: str = "centre"
    ) -> None:
        self.size, self.frames, self.coordinates = size, frames, coordinates
        self.longer = max(size)
        self.pixels_per_uv = self.longer / (2 * uv_scale)
        """Pixels per unit of (u, v), as the warm start lays the frame out."""

    def points(self, xy: Tensor, t: Tensor, span: int | None = None) -> Tensor:
        """Pixels [N,2], centres at +0.5, of frames t [N] → [N,3].

        span: side whose half becomes 1, by default the longer one.
        """
        if self.coordinates == "corner":
            place = (xy - 0.5) * (2 / (span or self.longer)) - 1
            time = t.to(xy.dtype) * (2 / self.frames) - 1
            return torch.cat([place, time[:, None]], 1)
        centre = constant((self.size[1] / 2, self.size[0] / 2), xy.device)
        place = (xy - centre) * (2 / (span or self.longer))
        time = t.to(xy.dtype) * (2 / max(1, self.frames - 1)) - 1
        return torch.cat([place, time[:, None]], 1)
