"""The text loss that stills end at, with and without the generator's last normalisation.

    python -m scripts.measure.last_norm [--prompts 3] [--seeds 2]

The demo clip's middle frame with its mask, the built-in model, preset draft at 96 pixels, 60 steps.
The loss is that of composition, direction and screen, its mean over the last ten steps.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from backend.clip.load import load_clip
from backend.clip.model import TextImageModel
from backend.edit import train
from backend.edit.config import EditTexts, preset
from backend.edit.criterion import Criterion, Example
from backend.edit.image import Still
from backend.progress import Silent
from protocol.jobs import ClipModel
from scripts.make_clip import SyntheticClip, make_clip

PROMPTS = ("a golden swan", "a wooden swan", "a zebra striped swan")
STEPS, SIZE, LAST = 60, 96, 10
TEXT_TERMS = ("composition", "direction", "screen")


class Listening(Criterion):
    """Remembers the text terms of every step."""

    def __init__(self, setup: train.Setup) -> None:
        super().__init__(setup.clip, setup.targets, setup.config, setup.random)
        self.seen: list[float] = []

    def __call__(self, examples: Sequence[Example], step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """As `Criterion`."""
        total, terms = super().__call__(examples, step)
        self.seen.append(sum(float(terms[name]) for name in TEXT_TERMS))
        return total, terms


def final_loss(
    model: TextImageModel, shot: SyntheticClip, prompt: str, seed: int, last_norm: bool
) -> float:
    """The text loss that one edit ends at."""
    config = replace(
        preset("draft", video=False, layer="foreground", seed=seed), last_norm=last_norm,
        steps=STEPS, bootstrap_steps=STEPS, size=SIZE, precision="float32",
    )  # fmt: skip
    texts = EditTexts(prompt=(prompt,), source=("a blue swan",))
    setup = train.Setup(texts, model, config, Silent())
    middle = len(shot.frames) // 2
    mask = (np.asarray(shot.masks()[middle]) > 0).astype(np.uint8) * 255
    still = Still(shot.frames[middle], setup, mask)
    setup.criterion = listening = Listening(setup)
    train.train(setup, still)
    return float(np.mean(listening.seen[-LAST:]))


def main(words: list[str] | None = None) -> int:
    """Print the table."""
    p = argparse.ArgumentParser(prog="python -m scripts.measure.last_norm", description=__doc__,
                                formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip
    p.add_argument("--prompts", type=int, default=len(PROMPTS))
    p.add_argument("--seeds", type=int, default=2)
    args = p.parse_args(words)
    torch.set_num_threads(1)
    model, shot = load_clip(ClipModel(), "cpu"), make_clip(frames=9)
    print("| prompt | seed | with | without |\n|---|---|---|---|")
    for prompt in PROMPTS[: args.prompts]:
        for seed in range(args.seeds):
            losses = [final_loss(model, shot, prompt, seed, one) for one in (True, False)]
            print(f"| {prompt} | {seed} | {losses[0]:.3f} | {losses[1]:.3f} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
