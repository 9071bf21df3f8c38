"""The sentences that a text is put into, and their embeddings.

Shapes: P alternatives of a text, K templates, N drawn embeddings, D embedding width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from backend.clip.model import TextImageModel

# Text2LIVE's set of neutral sentences, so that no single wording steers the edit.
TEMPLATES = (
    "photo of {}.",
    "high quality photo of {}.",
    "a photo of {}.",
    "the photo of {}.",
    "image of {}.",
    "an image of {}.",
    "high quality image of {}.",
    "a high quality image of {}.",
    "the {}.",
    "a {}.",
    "{}.",
    "{}",
    "{}!",
    "{}...",
)
SCREEN_TEMPLATES = ("{} over a green screen.", "{} in front of a green screen.")


def fill(templates: Sequence[str], text: str) -> list[str]:
    """The text in every template; braces in the text itself are left alone."""
    return [template.replace("{}", text) for template in templates]


def embed(model: TextImageModel, texts: Sequence[str], templates: Sequence[str]) -> Tensor:
    """Embeddings of every alternative in every template, float32 [P,K,D]; no gradient."""
    if not texts:
        raise ValueError("there is no text to embed")
    sentences = [sentence for text in texts for sentence in fill(templates, text)]
    return model.encode_text(sentences).reshape(len(texts), len(templates), -1)


def draw(count: int, share: float, generator: torch.Generator) -> Tensor:
    """Indices of a random subset, at least one: int64 [max(1, round(share·count))]."""
    keep = max(1, round(share * count))
    return torch.randperm(count, generator=generator)[:keep]
