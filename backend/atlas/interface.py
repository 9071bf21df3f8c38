"""The interface of every engine's atlas, so that rendering and editing need not know the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor


class LayeredAtlas(Protocol):
    """Per layer an atlas image and a UV map of every pixel; opacities of the objects.

    layer is one of `layers`; t [B] long: frames; size: rows and columns of the output, by default
    the clip's own; work: the working size. How objects cover each other: `backend.atlas.layers`.
    """

    frames: int
    height: int
    width: int
    work: tuple[int, int]
    numbers: dict[str, float]

    @property
    def layers(self) -> tuple[str, ...]:
        """The objects' layers, front to back, at least one; the last is ``background``."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        ...

    def uv(self, layer: str, t: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Where pixels lie in a layer's atlas: [B,H,W,2], −1..1, for grid_sample."""
        ...

    def opacity(self, layer: str, t: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """An object's own alpha, regardless of what is in front of it: [B,1,H,W], 0..1."""
        ...

    def gain(self, layer: str, t: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """How much brighter a frame shows a layer than its atlas: [B,1,H,W], > 0."""
        ...

    def distance(self, layer: str, t: Tensor, size: tuple[int, int]) -> Tensor:
        """Signed distance to an object's rough mask, working pixels, negative inside: [B,1,H,W]."""
        ...

    def image(self, layer: str) -> Tensor:
        """The atlas as one image, to edit and to paint on: [1,3,Ha,Wa], 0..1 sRGB."""
        ...

    def texture(self, layer: str, t: Tensor) -> Tensor:
        """The atlas's colours at frames: [B,3,Ha,Wa], or [1,3,Ha,Wa] if they never change."""
        ...

    def coverage(self, layer: str) -> Tensor:
        """1 where some frame sees the texel, else 0: [1,1,Ha,Wa] float."""
        ...

    def box(self, layer: str, t: Tensor) -> Tensor:
        """Where an object's opacity may be above 0: [B,4] long, x0 y0 x1 y1, the clip's pixels."""
        ...

    def save(self, folder: Path) -> None:
        """Write the atlas into a folder atomically, replacing an existing one."""
        ...
