"""The demo CLIP's shape, and its files in open_clip's own format."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from open_clip.model import CLIP
from safetensors.torch import load_file, save_file
from torch import Tensor

from scripts.demo_model.captions import classes, other_phrases
from scripts.demo_model.tokens import UNKNOWN, Tokens

CONTEXT = 32
"""Longest text in tokens, with start and end."""

MODEL_CFG: dict[str, Any] = {
    "embed_dim": 256,
    "vision_cfg": {"image_size": 64, "patch_size": 8, "width": 256, "layers": 6, "head_width": 64},
    "text_cfg": {"context_length": CONTEXT, "vocab_size": 0, "width": 192, "heads": 3, "layers": 3},
}
"""open_clip's model configuration; vocab_size is set to the size of the trimmed token table."""

TWIN_CFG: dict[str, Any] = {
    **MODEL_CFG,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 32, "head_width": 64},
}
"""The judge's: another kind of network, a small ResNet."""

PREPROCESS_CFG = {
    "size": [64, 64],
    "mode": "RGB",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "interpolation": "bilinear",
    "resize_mode": "squash",
}


def model_cfg(shape: dict[str, Any] = MODEL_CFG) -> dict[str, Any]:
    """The configuration with the token table's size filled in."""
    cfg = copy.deepcopy(shape)
    cfg["text_cfg"]["vocab_size"] = Tokens.taught(CONTEXT).size
    return cfg


def build_model() -> CLIP:
    """A new model for training, with room for leaving patches out."""
    cfg = model_cfg()
    cfg["vision_cfg"]["patch_dropout"] = 0.5
    return CLIP(**cfg)


def build_twin() -> CLIP:
    """A new model of the judge's shape, for training."""
    return CLIP(**model_cfg(TWIN_CFG))


def export(state: Mapping[str, Tensor], folder: Path, shape: dict[str, Any] = MODEL_CFG) -> None:
    """Write config, half-precision weights and token table into a folder, over what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": model_cfg(shape), "preprocess_cfg": PREPROCESS_CFG}
    (folder / "open_clip_config.json").write_text(
        json.dumps(config, indent=2) + "\n", encoding="utf-8"
    )
    Tokens.taught(CONTEXT).save(folder / "vocab.json")
    words = {"classes": classes(), "other": other_phrases()}
    (folder / "words.json").write_text(json.dumps(words, indent=1) + "\n", encoding="utf-8")
    half = {
        name: value.detach().to("cpu", torch.float16).contiguous() for name, value in state.items()
    }
    partial = folder / "open_clip_model.partial"
    save_file(half, partial)
    partial.replace(folder / "open_clip_model.safetensors")


def load_exported(folder: Path) -> tuple[CLIP, Tokens]:
    """Model (float32, eval, frozen) and tokenizer from an exported folder."""
    cfg = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))["model_cfg"]
    model = CLIP(**cfg)
    state = load_file(folder / "open_clip_model.safetensors")
    model.load_state_dict({name: value.float() for name, value in state.items()})
    model.eval().requires_grad_(False)
    return model, Tokens.load(folder / "vocab.json", cfg["text_cfg"]["context_length"])


def retaught(folder: Path) -> CLIP:
    """An exported model with today's token table, to train on: new words start as unknown ones."""
    model, before = load_exported(folder)
    now = Tokens.taught(CONTEXT)
    cfg = model_cfg()
    again = CLIP(**cfg)
    state = model.state_dict()
    table = state["token_embedding.weight"]
    grown = table[UNKNOWN].repeat(now.size, 1)
    grown += 0.5 * table.std() * torch.randn(grown.shape)
    for token, row in now.rows.items():
        if token in before.rows:
            grown[row] = table[before.rows[token]]
    grown[UNKNOWN] = table[UNKNOWN]
    again.load_state_dict({**state, "token_embedding.weight": grown})
    return again
