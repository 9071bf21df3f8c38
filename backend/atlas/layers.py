"""The layers of an atlas: their names, and how those in front cover those behind.

Layers are ordered front to back; the background is last. They are composited with `over`: the
visibility of a layer is its opacity times what the objects in front leave of the pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from protocol.jobs import LAYERS, OBJECTS

if TYPE_CHECKING:
    from backend.atlas.interface import LayeredAtlas

BACKGROUND = LAYERS[-1]
PREFIXES = dict(zip(LAYERS, ("fg", "fg2", "fg3", "bg"), strict=True))
"""Prefix of the names of a layer's tensors and measures."""


def prefix(layer: str) -> str:
    """A layer's prefix; ValueError for an unknown layer."""
    if layer not in PREFIXES:
        raise ValueError(f"layer is one of {LAYERS}, not {layer!r}")
    return PREFIXES[layer]


def object_prefix(layer: str) -> str:
    """An object's prefix; ValueError for a layer that is no object."""
    if layer not in OBJECTS:
        raise ValueError(f"an object is one of {OBJECTS}, not {layer!r}")
    return PREFIXES[layer]


def opacities(
    atlas: LayeredAtlas, t: Tensor, size: tuple[int, int] | None = None
) -> dict[str, Tensor]:
    """The opacity of every object, front to back: each [B,1,H,W], 0..1. t: [B] long."""
    return {layer: atlas.opacity(layer, t, size) for layer in atlas.layers if layer != BACKGROUND}


def shares(alphas: dict[str, Tensor]) -> dict[str, Tensor]:
    """Visibility of every layer from the objects' opacities, front to back.

    Both [B,1,H,W] by layer; the shares include the background's, and sum to 1.
    """
    seen: dict[str, Tensor] = {}
    left: Tensor | None = None  # what the objects so far leave of the pixel
    for layer, alpha in alphas.items():
        seen[layer] = alpha if left is None else alpha * left
        left = 1 - alpha if left is None else (1 - alpha) * left
    if left is None:
        raise ValueError("an atlas has at least one object, even if it is empty")
    seen[BACKGROUND] = left
    return seen


def visibility(
    atlas: LayeredAtlas, layer: str, t: Tensor, size: tuple[int, int] | None = None
) -> Tensor:
    """Share of each pixel that shows a layer: t [B] long → [B,1,H,W], 0..1."""
    if layer not in atlas.layers:
        raise ValueError(f"layer is one of {atlas.layers}, not {layer!r}")
    return shares(opacities(atlas, t, size))[layer]


def over(colours: dict[str, Tensor], alphas: dict[str, Tensor]) -> Tensor:
    """Composite all layers: colours [B,3,H,W] of each, opacities [B,1,H,W] of the objects."""
    image = colours[BACKGROUND]
    for layer in reversed(alphas):
        image = image + alphas[layer] * (colours[layer] - image)
    return image
