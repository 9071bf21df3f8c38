"""Whole edits, of a still and of a clip, steered by full-size models with random weights.

    python -m scripts.measure.full_size [MODEL ...] [--steps 2] [--device cpu]

Shows that a family of models runs at its own size, from the text regions to the finished layer, and
what it costs. Random weights say nothing about what an edit looks like. The default models are
OpenAI's ViT-B/32 and ViT-L/14@336px, a SigLIP 2 and a MobileCLIP 2. On a CPU, seconds are
CPU time.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

from backend.clip import families
from backend.clip.model import TextImageModel
from backend.edit.config import EditConfig, EditTexts, preset
from backend.edit.image import edit_image
from backend.edit.recipes import with_bootstrap
from backend.edit.train import Setup
from backend.edit.video import edit_atlas
from backend.memory import keep_freed
from backend.progress import Silent
from scripts.measure.benchmark_edit import FlatAtlas, machine

MODELS = ("ViT-B-32-quickgelu", "MobileCLIP2-S0", "ViT-B-16-SigLIP2", "ViT-L-14-336-quickgelu")
TEXTS = EditTexts(prompt=("a golden swan",), source=("a black swan",), region=("a swan",))
FRAMES, SIDE = 5, 160


def random_model(name: str, device: torch.device) -> TextImageModel:
    """A model of this architecture with random weights, and the built-in tokenizer."""
    cfg = open_clip.get_model_config(name)
    families.check_architecture(name, cfg)
    text = {k: v for k, v in cfg["text_cfg"].items() if k not in ("hf_tokenizer_name",)}
    torch.manual_seed(0)
    clip: Any = families.build({**cfg, "text_cfg": text})
    return families.kind_of(name, clip)(
        clip, open_clip.SimpleTokenizer(context_length=int(clip.context_length)),
        mean=OPENAI_DATASET_MEAN, std=OPENAI_DATASET_STD, name=name, device=device,
    )  # fmt: skip


def settings(video: bool, steps: int) -> EditConfig:
    """The preset draft with its bootstrap, in a few steps with one view of each image."""
    config = with_bootstrap(preset("draft", video=video, layer="foreground"))
    return replace(
        config, steps=steps, bootstrap_steps=steps, relevancy_frames=1, relevancy_windows=1,
        views=replace(config.views, count=1),
    )  # fmt: skip


def still(model: TextImageModel, steps: int) -> float:
    """Edit an image; seconds."""
    image = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    begun = _now(model.device)
    layer = edit_image(image, Setup(TEXTS, model, settings(False, steps), Silent()))
    assert layer.shape == (SIDE, SIDE, 4)
    return _now(model.device) - begun


def clip(model: TextImageModel, steps: int) -> float:
    """Edit a layer of a clip; seconds."""
    frames = np.random.default_rng(0).integers(0, 255, (FRAMES, 90, SIDE, 3), np.uint8)
    atlas: Any = FlatAtlas(frames, model.device)
    begun = _now(model.device)
    made = edit_atlas(
        frames, atlas, "foreground", Setup(TEXTS, model, settings(True, steps), Silent())
    )
    assert bool(torch.isfinite(made).all())
    return _now(model.device) - begun


def _now(device: torch.device) -> float:
    """CPU seconds of this process, or wall seconds where a GPU computes."""
    return time.process_time() if device.type == "cpu" else time.perf_counter()


def main(words: list[str] | None = None) -> int:
    """Print the table."""
    p = argparse.ArgumentParser(prog="python -m scripts.measure.full_size", description=__doc__,
                                formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip
    p.add_argument("models", nargs="*", default=list(MODELS), help="open_clip's names")
    p.add_argument("--steps", type=int, default=2)
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--threads", type=int, default=1, help="CPU threads")
    args = p.parse_args(words)
    torch.set_num_threads(args.threads)
    keep_freed()
    device = torch.device(args.device)
    print(f"{machine(device)}, torch {torch.__version__}, {args.steps} steps\n")
    print("| model | parameters, million | built, s | still, s | clip, s |\n|---|---|---|---|---|")
    for name in args.models:
        begun = _now(device)
        model = random_model(name, device)
        built = _now(device) - begun
        count = sum(one.numel() for one in model.clip.parameters()) / 1e6
        costs = [f"{work(model, args.steps):.0f}" for work in (still, clip)]
        print(f"| {name} | {count:.0f} | {built:.0f} | {' | '.join(costs)} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
