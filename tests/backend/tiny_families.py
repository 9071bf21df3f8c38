"""Tiny models of every family of text-image models, with random weights.

Each is built from one of open_clip's own configurations with fewer and narrower layers.
"""

from __future__ import annotations

from typing import Any

import open_clip
import pytest
import timm
import torch
from torch import nn

from backend.clip import families
from backend.clip.model import TextImageModel

SMALL: dict[str, Any] = {"depth": 2, "embed_dim": 48, "num_heads": 4}
# open_clip's name → the options that make timm's network small, and the side of its images.
FAMILIES: dict[str, tuple[dict[str, Any], int]] = {
    "ViT-B-16-SigLIP": ({**SMALL, "img_size": 64}, 64),
    "ViT-B-16-SigLIP2": ({**SMALL, "img_size": 64}, 64),
    "MobileCLIP2-L-14": ({**SMALL, "img_size": 56}, 56),
    "vit_medium_patch16_gap_256": ({**SMALL, "img_size": 64}, 64),
    "MobileCLIP2-B": ({"depth": 2, "img_size": 64}, 64),
    "ViTamin-S": ({"depth": 2, "img_size": 64}, 64),
    "EVA01-g-14": ({**SMALL, "img_size": 56}, 56),
    "EVA02-B-16": ({**SMALL, "img_size": 64}, 64),
    "PE-Core-B-16": ({**SMALL, "img_size": 64, "attn_pool_num_heads": 4}, 64),
    "MobileCLIP2-S0": ({"layers": (1, 1, 1, 2), "embed_dims": (16, 16, 32, 64)}, 128),
    "MobileCLIP2-S3": ({"layers": (1, 1, 1, 1, 2), "embed_dims": (16, 16, 32, 32, 64)}, 256),
}
PLAIN = ("ViT-B-32", "ViT-B-32-quickgelu", "ViT-H-14", "ViT-L-14-336")


def tiny_cfg(name: str) -> dict[str, Any]:
    """open_clip's configuration, with towers of two narrow layers."""
    cfg = open_clip.get_model_config(name)
    text = {**cfg["text_cfg"], "layers": 1, "width": 32, "heads": 4}
    text["vocab_size"] = 49408  # that of the tokenizer built in
    text.pop("hf_tokenizer_name", None)
    text.pop("tokenizer_kwargs", None)
    vision = dict(cfg["vision_cfg"])
    embed = 48 if vision.get("timm_proj") == "none" else 40
    if "timm_model_name" in vision:
        vision["image_size"] = FAMILIES[name][1]
    else:
        patch = vision["patch_size"]
        vision |= {"layers": 2, "width": 32, "head_width": 8, "image_size": 4 * patch}
    return {**cfg, "embed_dim": embed, "vision_cfg": vision, "text_cfg": text}


def tiny_family(name: str, monkeypatch: pytest.MonkeyPatch) -> TextImageModel:
    """The model of this name, tiny, as the edit sees it."""
    options = FAMILIES.get(name, ({}, 0))[0]
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda *a, **kw: create(*a, **{**options, **kw}))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        clip = families.build(tiny_cfg(name))
        randomise(clip.visual)
    tokenize = open_clip.SimpleTokenizer(context_length=int(clip.context_length))
    return families.kind_of(name, clip)(
        clip, tokenize, mean=(0.48, 0.46, 0.41), std=(0.27, 0.26, 0.28), name=name
    )


def randomise(module: nn.Module) -> None:
    """Give biases, norms and scales random values: their constants would hide mistakes."""
    for parameter in module.parameters():
        if parameter.numel() == max(parameter.shape):
            nn.init.normal_(parameter, mean=float(parameter.detach().mean()), std=0.2)
