"""How legible a model's gradients are: python -m scripts.demo_model.legibility --judge FOLDER.

For every look, pixels are moved from grey noise towards its words by the model's gradient alone,
with no network, structure or footage in between. A judge that took no part then names what was
drawn. The share of looks that it names rightly is the model's legibility. An ordinary network draws
noise that satisfies it; one whose gradients mean something draws the look (Santurkar et al. 2019).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from open_clip.model import CLIP
from torch import Tensor
from torch.nn import functional

from scripts.demo_model.evaluate import DEMO, class_embeddings
from scripts.demo_model.export import load_exported
from scripts.demo_model.looks import LOOKS
from scripts.demo_model.views import SIZE

STEPS = 60
STRIDE = 1.5
"""L2 length of a step, pixels in 0..1; it falls to a tenth."""
SHIFT = 4
"""Largest shift of the view in a step, pixels, so that no single pixel matters."""


@torch.enable_grad()
def drawn(model: CLIP, words: Tensor, seed: int = 0) -> Tensor:
    """Images `[N, 3, 64, 64]` in 0..1 moved from grey noise towards embeddings `[N, D]`."""
    rng = torch.Generator().manual_seed(seed)
    x = 0.5 + 0.05 * torch.randn(len(words), 3, SIZE, SIZE, generator=rng)
    for step in range(STEPS):
        shift = torch.randint(-SHIFT, SHIFT + 1, (2,), generator=rng).tolist()
        view = torch.roll(x, shift, (2, 3)).requires_grad_()
        image = functional.normalize(model.encode_image(2 * view - 1), dim=-1)
        (gradient,) = torch.autograd.grad((image * words).sum(), view)
        gradient = torch.roll(gradient, [-s for s in shift], (2, 3))
        length = gradient.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
        x = (x + STRIDE * (1 - 0.9 * step / STEPS) * gradient / length).clamp(0, 1)
    return x


@torch.no_grad()
def named(judge: CLIP, words: Tensor, images: Tensor) -> list[int]:
    """The class that a judge sees in each image."""
    seen = judge.encode_image(2 * images - 1, normalize=True)
    chosen: list[int] = (seen @ words.T).argmax(1).tolist()
    return chosen


def sheet(images: Tensor, columns: int = 13) -> np.ndarray:
    """All images side by side, `[H, W, 3]` uint8."""
    pixels = (images.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
    blank = np.zeros_like(pixels[:1])
    rows = [pixels[i : i + columns] for i in range(0, len(pixels), columns)]
    full = [np.concatenate([r, *[blank] * (columns - len(r))]) for r in rows]
    return np.concatenate([np.concatenate(list(row), 1) for row in full], 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=DEMO, help="folder of the model that draws")
    parser.add_argument("--judge", type=Path, required=True, help="folder of another model")
    parser.add_argument("--sheet", type=Path, help="PNG of everything drawn")
    options = parser.parse_args()
    model, tokens = load_exported(options.model)
    judge, judge_tokens = load_exported(options.judge)
    with torch.no_grad():
        words = class_embeddings(model, tokens, "look")
        judge_words = class_embeddings(judge, judge_tokens, "look")
    images = drawn(model, words)
    chosen = named(judge, judge_words, images)
    wrong = [f"{LOOKS[i]} taken for {LOOKS[n]}" for i, n in enumerate(chosen) if i != n]
    print(f"{len(LOOKS) - len(wrong)} of {len(LOOKS)} looks are legible")
    print("; ".join(wrong))
    if options.sheet:
        cv2.imwrite(str(options.sheet), sheet(images)[..., ::-1])


if __name__ == "__main__":
    main()
