"""Names of text-image models as people type them."""

from __future__ import annotations

from .jobs import ClipModel


def parse_clip_model(text: str) -> ClipModel:
    """Read ``NAME``, ``NAME:TAG`` (open_clip's tag of the weights) or ``NAME:FILE``.

    Empty text means the backend's default model. A file has a slash in its path or ends in .pt or
    .safetensors.
    """
    name, _, weights = text.strip().partition(":")
    if not name:
        return ClipModel(name="")
    if "/" in weights or "\\" in weights or weights.endswith((".pt", ".safetensors")):
        return ClipModel(name=name, checkpoint=weights)
    return ClipModel(name=name, pretrained=weights)
