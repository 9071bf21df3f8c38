"""Folders of tiny models, and the problem that loading a model ends in."""

import json

import pytest
from safetensors.torch import save_file
from tiny_clip import CFG

from backend.clip.load import load_clip
from protocol.jobs import JobError

TEXTS = ["a golden car", "ice"]


def problem_of(model):
    with pytest.raises(JobError) as caught:
        load_clip(model, "cpu")
    return caught.value.problem


def folder_of(path, clip, vocabulary=None, vocab_size=None):
    """An open_clip folder of a model, weights in half precision."""
    path.mkdir()
    text = {**CFG["text_cfg"], "vocab_size": vocab_size or CFG["text_cfg"]["vocab_size"]}
    config = {
        "model_cfg": {**CFG, "text_cfg": text},
        "preprocess_cfg": {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]},
    }
    (path / "open_clip_config.json").write_text(json.dumps(config))
    weights = {k: v.half().contiguous() for k, v in clip.state_dict().items()}
    save_file(weights, path / "open_clip_model.safetensors")
    if vocabulary:
        (path / "vocab.json").write_text(json.dumps(vocabulary))
    return path
