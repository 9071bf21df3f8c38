"""A sheet of images that a diffusion model draws: python -m scripts.demo_diffusion.sheet MODEL."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from backend.diffusion.model import DiffusionModel, load_model

PROMPTS = (
    "a golden swan in the sea",
    "a wooden swan",
    "a red car in the desert",
    "a house made of bricks in a meadow",
    "a cat made of marble",
    "lava texture",
    "a forest in the fog",
    "a blue ball over a green screen",
)


def draw_sheet(
    model: DiffusionModel, path: Path, prompts: Sequence[str] = PROMPTS, samples: int = 4,
    steps: int = 30, guidance: float = 4.0,
) -> None:  # fmt: skip
    """Write a PNG of one row per prompt; the same model and prompts give the same noise."""
    size = model.config.size
    shape = (len(prompts) * samples, 3, size, size)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(model.device)
    states = model.encode(prompts).repeat_interleave(samples, 0)
    images = model.sample(noise, states, steps=steps, guidance=guidance)
    pixels = ((images + 1) * 127.5).round().clamp(0, 255).byte().cpu()
    rows = pixels.view(len(prompts), samples, 3, size, size).permute(0, 3, 1, 4, 2)
    sheet = rows.reshape(len(prompts) * size, samples * size, 3).numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), np.ascontiguousarray(sheet[..., ::-1])):
        raise OSError(f"{path} cannot be written")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, help="folder of the model")
    parser.add_argument("--out", type=Path, help="the PNG (default: MODEL/samples.png)")
    parser.add_argument("--prompts", nargs="+", default=PROMPTS)
    parser.add_argument("--samples", type=int, default=4, help="images per prompt")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--guidance", type=float, default=4.0)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    draw_sheet(
        load_model(options.model, options.device), options.out or options.model / "samples.png",
        options.prompts, options.samples, options.steps, options.guidance,
    )  # fmt: skip


if __name__ == "__main__":
    main()
