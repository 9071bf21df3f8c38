"""A tiny, real CLIP with random weights, for tests."""

from __future__ import annotations

from functools import cache
from typing import Any

import open_clip
import torch
from open_clip.model import CLIP

from backend.clip.model import TextImageModel

# Tensors this small are slower in many threads than in one.
torch.set_num_threads(1)

CFG: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {
        "image_size": 32, "layers": 3, "width": 32, "head_width": 8, "patch_size": 8,
    },
    "text_cfg": {
        "context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1,
    },
}  # fmt: skip


def tiny_clip(seed: int = 0, **vision: Any) -> CLIP:
    """open_clip's own model, seeded without touching the global generator."""
    cfg = {**CFG, "vision_cfg": {**CFG["vision_cfg"], **vision}}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        clip = CLIP(**cfg)
        # open_clip starts biases and norms at constants, which would hide mistakes.
        for name, parameter in clip.named_parameters():
            if parameter.ndim == 1 and name.startswith("visual"):
                torch.nn.init.normal_(parameter, mean=float(parameter.detach().mean()), std=0.2)
    return clip


@cache
def tokenizer() -> open_clip.SimpleTokenizer:
    """open_clip's tokenizer, built once: that takes longer than the tiny model."""
    return open_clip.SimpleTokenizer(context_length=CFG["text_cfg"]["context_length"])


def tiny_model(seed: int = 0, **vision: Any) -> TextImageModel:
    """The same, as the edit sees it."""
    return TextImageModel(
        tiny_clip(seed, **vision),
        tokenizer(),
        mean=(0.48, 0.46, 0.41),
        std=(0.27, 0.26, 0.28),
        name="tiny",
    )
