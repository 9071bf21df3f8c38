"""Names of text-image models as people type them."""

from __future__ import annotations

import pytest

from protocol.jobs import ClipModel
from protocol.models import parse_clip_model, spelling, with_weights

B32 = "ViT-B-32"


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("", ClipModel(name="")),
        ("  ", ClipModel(name="")),
        ("demo", ClipModel(name="demo")),
        (" ViT-B-32 ", ClipModel(name=B32)),
        ("ViT-B-32:openai", ClipModel(name=B32, pretrained="openai")),
        ("ViT-B-32:/m/b.pt", ClipModel(name=B32, checkpoint="/m/b.pt")),
        ("ViT-B-32:C:\\m\\b.pt", ClipModel(name=B32, checkpoint="C:\\m\\b.pt")),
        ("ViT-B-32:a.safetensors", ClipModel(name=B32, checkpoint="a.safetensors")),
        ("ViT-B-32:openai:/m/b", ClipModel(name=B32, pretrained="openai", checkpoint="/m/b")),
        ("ViT-B-32:openai:b.bin", ClipModel(name=B32, pretrained="openai", checkpoint="b.bin")),
        (
            "ViT-B-32:openai:C:\\m\\b.pt",
            ClipModel(name=B32, pretrained="openai", checkpoint="C:\\m\\b.pt"),
        ),
        ("ViT-B/32", ClipModel(name=B32, pretrained="openai")),
        ("ViT-L/14@336px", ClipModel(name="ViT-L-14-336", pretrained="openai")),
        ("ViT-B/32:laion2b_s34b_b79k", ClipModel(name=B32, pretrained="laion2b_s34b_b79k")),
        ("ViT-B/32:/m/b.pt", ClipModel(name=B32, checkpoint="/m/b.pt")),
        ("hf-hub:timm/ViT-B-16-SigLIP", ClipModel(name="hf-hub:timm/ViT-B-16-SigLIP")),
        ("local-dir:/m/mine", ClipModel(checkpoint="/m/mine")),
        ("local-dir:mine", ClipModel(checkpoint="mine")),
        ("/m/mine", ClipModel(checkpoint="/m/mine")),
        ("~/mine", ClipModel(checkpoint="~/mine")),
        ("./mine", ClipModel(checkpoint="./mine")),
        ("models/mine", ClipModel(checkpoint="models/mine")),
        ("C:\\m\\mine", ClipModel(checkpoint="C:\\m\\mine")),
        ("\\\\box\\m\\mine", ClipModel(checkpoint="\\\\box\\m\\mine")),
    ],
)
def test_model_names(text, model):
    assert parse_clip_model(text) == model


def test_separate_options_know_openais_spelling_too():
    assert with_weights("ViT-B/16") == ClipModel(name="ViT-B-16", pretrained="openai")
    assert with_weights("ViT-B/16", checkpoint="w.pt").pretrained == ""


@pytest.mark.parametrize("text", ["ViT-B-32:openai:/m/b.pt", "demo", "ViT-B-32:/m/b.pt"])
def test_a_spelling_can_be_read_again(text):
    assert spelling(parse_clip_model(text)) == text
