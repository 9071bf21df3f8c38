"""Names of text-image models as people type them."""

from __future__ import annotations

import pytest

from protocol.jobs import ClipModel
from protocol.models import parse_clip_model


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("", ClipModel(name="")),
        ("  ", ClipModel(name="")),
        ("demo", ClipModel(name="demo")),
        (" ViT-B-32 ", ClipModel(name="ViT-B-32")),
        ("ViT-B-32:openai", ClipModel(name="ViT-B-32", pretrained="openai")),
        ("ViT-B-32:/m/b.pt", ClipModel(name="ViT-B-32", checkpoint="/m/b.pt")),
        ("ViT-B-32:C:\\m\\b.pt", ClipModel(name="ViT-B-32", checkpoint="C:\\m\\b.pt")),
        ("ViT-B-32:a.safetensors", ClipModel(name="ViT-B-32", checkpoint="a.safetensors")),
    ],
)
def test_model_names(text, model):
    assert parse_clip_model(text) == model
