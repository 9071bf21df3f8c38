"""An atlas whose maps are known: every frame is the atlas picture, scaled and shifted."""

from __future__ import annotations

import torch


class FlatAtlas:
    """Maps pixel x to texel x·scale + shift·t, on both layers; the object is a rectangle.

    texels: rows and columns of an atlas picture. object: x0 y0 x1 y1, the pixels it fills.
    """

    def __init__(
        self,
        size: tuple[int, int, int],
        texels: tuple[int, int],
        scale: float = 1.0,
        shift: float = 0.0,
        object: tuple[int, int, int, int] | None = None,
    ) -> None:
        self.frames, self.height, self.width = size
        self.texels, self.scale, self.shift = texels, scale, shift
        self.object = object or (0, 0, self.width, self.height)
        self.device = torch.device("cpu")
        self.layers = ("foreground", "background")
        self.numbers: dict[str, float] = {}

    def uv(self, layer: str, t: torch.Tensor, size: tuple[int, int] | None = None) -> torch.Tensor:
        h, w = size or (self.height, self.width)
        y = (torch.arange(h) + 0.5) * self.height / h * self.scale
        x = (torch.arange(w) + 0.5) * self.width / w * self.scale
        move = t.float()[:, None, None] * self.shift
        flat = [x.expand(len(t), h, w) + move, y[:, None].expand(len(t), h, w) + move]
        rows, columns = self.texels
        return torch.stack([flat[0] * 2 / columns - 1, flat[1] * 2 / rows - 1], -1)

    def opacity(
        self, layer: str, t: torch.Tensor, size: tuple[int, int] | None = None
    ) -> torch.Tensor:
        out = torch.zeros(len(t), 1, self.height, self.width)
        x0, y0, x1, y1 = self.object
        out[:, :, y0:y1, x0:x1] = 1
        return out

    def box(self, layer: str, t: torch.Tensor) -> torch.Tensor:
        return torch.tensor([self.object]).expand(len(t), 4)

    def image(self, layer: str) -> torch.Tensor:
        return torch.full((1, 3, *self.texels), 0.5)

    def texture(self, layer: str, t: torch.Tensor) -> torch.Tensor:
        return self.image(layer)

    def coverage(self, layer: str) -> torch.Tensor:
        return torch.ones(1, 1, *self.texels)
