"""Compare bfloat16 with float32: the same edit of the demo clip in both, from the same seeds.

    python -m scripts.measure.compare_precision [--preset draft] [--seeds 0 1 2] \\
        [--steps N] [--out DIR]

One atlas, one text, the built-in model. Both runs of a seed make the same draws. Losses: the mean
of the last tenth of the steps, and the largest gap between the curves, smoothed over a tenth of the
run. Images: mean absolute difference of the middle frame's composite, 0..255, between the
precisions of one seed, and between the seeds in float32. Seconds are CPU time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from statistics import mean
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from backend.atlas.explicit import config as atlas_config
from backend.atlas.explicit.fit import decompose
from backend.atlas.interface import LayeredAtlas
from backend.atlas.render import render_layer
from backend.checkpoint import Checkpoint
from backend.clip.load import load_clip
from backend.clip.model import TextImageModel
from backend.edit.config import EditConfig, EditTexts, preset
from backend.edit.resume import LOSSES
from backend.edit.train import Setup, uses_bfloat16
from backend.edit.video import edit_atlas
from backend.masks.prompts import MaskPrompts
from backend.media import write_png
from backend.progress import Silent
from protocol.jobs import PRESETS, ClipModel
from scripts.make_clip import make_clip

CPU = torch.device("cpu")
TEXTS = EditTexts(prompt=("a golden swan",), source=("a blue swan",))
PRECISIONS: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16")
Pixels = NDArray[np.uint8]


def run(
    frames: Pixels, atlas: LayeredAtlas, clip: TextImageModel, config: EditConfig
) -> tuple[NDArray[np.float64], Pixels, float]:
    """Losses of all steps, the middle frame with the layer over it, seconds."""
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder) / "edit.part")
        rgba = edit_atlas(
            frames, atlas, "foreground", Setup(TEXTS, clip, config, Silent(), checkpoint)
        )
        state = checkpoint.load(CPU)
    assert state is not None
    seconds = time.process_time() - started
    middle = len(frames) // 2
    layer = list(render_layer(atlas, "foreground", rgba, Silent()))[middle].astype(np.float32)
    alpha = layer[..., 3:] / 255
    shown = alpha * layer[..., :3] + (1 - alpha) * frames[middle]
    return state.tensors[LOSSES].numpy(), np.rint(shown).astype(np.uint8), seconds


def apart(one: Pixels, other: Pixels) -> float:
    """Mean absolute difference, 0..255."""
    return float(np.abs(one.astype(np.int16) - other).mean())


def smoothed(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over a tenth of the run."""
    window = max(1, len(losses) // 10)
    return np.convolve(losses, np.full(window, 1 / window), mode="valid")


def main(words: list[str] | None = None) -> int:
    """Print the table."""
    p = argparse.ArgumentParser(
        prog="python -m scripts.measure.compare_precision", description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )  # fmt: skip
    p.add_argument("--preset", choices=PRESETS, default="draft")
    p.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    p.add_argument("--steps", type=int, default=0, help="steps of each edit; 0: the preset's")
    p.add_argument("--frames", type=int, default=30)
    p.add_argument("--out", type=Path, help="folder for the images")
    args = p.parse_args(words)
    made = make_clip(args.frames, 216, 384)
    keys = {0: np.ascontiguousarray(made.masks()[0])}
    prompts = MaskPrompts("key", keys, size=(216, 384))
    atlas = decompose(made.frames, [prompts], atlas_config.preset("draft"), CPU, Silent())
    clip = load_clip(ClipModel(), CPU)
    config = preset(args.preset, video=True, layer="foreground")
    if args.steps:
        config = replace(config, steps=args.steps, bootstrap_steps=args.steps)
    taken = uses_bfloat16(replace(config, precision="bfloat16"), CPU)
    print(f"bfloat16 is {'used' if taken else 'NOT used, it would be slower'} on this CPU\n")
    print("| seed | final loss float32 | bfloat16 | largest gap | images differ by | s | s |")
    print("|---|---|---|---|---|---|---|")
    pictures: dict[tuple[int, str], Pixels] = {}
    for seed in args.seeds:
        ends, curves, seconds = [], [], []
        for precision in PRECISIONS:
            losses, shown, spent = run(
                made.frames, atlas, clip, replace(config, seed=seed, precision=precision)
            )
            pictures[seed, precision] = shown
            ends.append(losses[-max(1, len(losses) // 10) :].mean())
            curves.append(smoothed(losses))
            seconds.append(spent)
        gap = np.abs(curves[0] - curves[1]).max()
        difference = apart(*(pictures[seed, precision] for precision in PRECISIONS))
        print(
            f"| {seed} | {ends[0]:.4f} | {ends[1]:.4f} | {gap:.4f} | {difference:.2f} "
            f"| {seconds[0]:.1f} | {seconds[1]:.1f} |",
            flush=True,
        )
    if len(args.seeds) > 1:
        pairs = combinations(args.seeds, 2)
        seeds = mean(apart(pictures[a, "float32"], pictures[b, "float32"]) for a, b in pairs)
        print(f"\nImages of two seeds, both in float32, differ by {seeds:.2f} on average.")
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        rows = [np.hstack([pictures[seed, p] for p in PRECISIONS]) for seed in args.seeds]
        write_png(args.out / "precisions.png", np.ascontiguousarray(np.vstack(rows)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
