"""Train the demo CLIP: python -m scripts.demo_clip.train --work DIR [--export DIR].

One process draws (pictures are a function of seed and step), one trains. The run continues from
DIR/checkpoint.pt when there is one. Loss: CLIP's contrastive loss in which captions that are also
true of another picture of the batch are not its negatives, plus a classification loss over short
texts of all looks, things, backgrounds and effects, so that the words themselves are learnt, plus
the same through a linear layer that is not exported: shapes are hard to start on while both their
words and their pictures are still alike, and it breaks that deadlock.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from open_clip.model import CLIP
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, IterableDataset

from scripts.demo_clip.captions import BACKGROUNDS, EFFECT_NAMES, LOOKS, THINGS, Facts, compose
from scripts.demo_clip.export import CONTEXT, build_model, export
from scripts.demo_clip.noise import Rng
from scripts.demo_clip.tokens import UNKNOWN, Tokens
from scripts.demo_clip.world import World, batch

COUNTS = (len(LOOKS), len(THINGS), len(BACKGROUNDS), len(EFFECT_NAMES))
WEIGHTS = torch.tensor([0.5, 0.5, 0.25, 0.25])
"""Weights of the facets' losses: look, thing, background, effect."""


def to_input(images: np.ndarray) -> Tensor:
    """uint8 `[B, H, W, 3]` to the model's float32 `[B, 3, H, W]` (mean and deviation ½)."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def class_texts(rng: Rng) -> list[str]:
    """One random sentence for each class, in the order looks, things, backgrounds, effects."""
    texts = []
    for facet, count in enumerate(COUNTS):
        for number in range(count):
            row = [-1, -1, -1, -1]
            row[facet] = number
            texts.append(compose(rng, Facts(*row)))
    return texts


class Batches(IterableDataset[tuple[Tensor, ...]]):
    """Batches from a step on: images, token rows, seen and said facts, class token rows."""

    def __init__(self, seed: int, start: int, steps: int, count: int, world: World) -> None:
        super().__init__()
        self.seed, self.start, self.steps, self.count, self.world = seed, start, steps, count, world

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        os.nice(5)  # drawing runs ahead anyway: the training thread comes first
        cv2.setNumThreads(1)
        tokens = Tokens.taught(CONTEXT)
        for step in range(self.start, self.steps):
            rng = np.random.default_rng([self.seed, 1, step])
            examples = batch(self.seed, step, self.count, self.world)
            rows = tokens([e.caption for e in examples])
            forget = (
                torch.from_numpy(rng.random(rows.shape) < 0.02)
                & (rows > UNKNOWN + 1)
                & (rows < tokens.size - 1)
            )
            rows[forget] = UNKNOWN
            yield (
                torch.from_numpy(np.stack([e.image for e in examples])),
                rows,
                torch.tensor([e.seen.row() for e in examples]),
                torch.tensor([e.said.row() for e in examples]),
                tokens(class_texts(rng)),
            )


def encode_text(model: CLIP, rows: Tensor) -> Tensor:
    """Unit text embeddings; only as many positions are computed as the longest text needs."""
    length = int((rows != 0).sum(1).max())
    rows = rows[:, :length]
    x = model.token_embedding(rows) + model.positional_embedding[:length]
    x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
    x = model.ln_final(x)[torch.arange(len(rows)), rows.argmax(-1)]
    return functional.normalize((x @ model.text_projection).float(), dim=-1)


def contrastive(image: Tensor, text: Tensor, scale: Tensor, seen: Tensor, said: Tensor) -> Tensor:
    """Symmetric cross-entropy over the batch without the captions that are also true elsewhere."""
    silent = said < 0
    true_of = (silent[None] | (said[None] == seen[:, None])).all(-1)
    true_of &= ~torch.eye(len(seen), dtype=torch.bool)
    logits = (scale * image @ text.T).masked_fill(true_of, -1e4)
    target = torch.arange(len(seen))
    return 0.5 * (
        functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)
    )


def facets(logits: Tensor, seen: Tensor) -> Tensor:
    """Cross-entropy `[4]` of each facet's classes, over the pictures that have the facet.

    `logits` `[B, all classes]`, in the order of `class_texts`.
    """
    losses = []
    for facet, part in enumerate(logits.split(COUNTS, dim=1)):
        have = seen[:, facet] >= 0
        losses.append(functional.cross_entropy(part[have], seen[have, facet]))
    return torch.stack(losses)


def rate(step: int, steps: int, peak: float) -> float:
    """Learning rate: linear warm-up, then a cosine down to 2 % of the peak."""
    warm = min(150, steps // 10)
    if step < warm:
        return peak * (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))


def groups(model: nn.Module) -> list[dict[str, object]]:
    """Matrices decay, vectors and tables do not."""
    decay = [p for n, p in model.named_parameters() if p.ndim >= 2 and "embedding" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim < 2 or "embedding" in n]
    return [{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]


def train(options: argparse.Namespace) -> None:
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    work = Path(options.work)
    work.mkdir(parents=True, exist_ok=True)
    model = build_model()
    heads = nn.Linear(model.visual.output_dim, sum(COUNTS))
    parameters = [*groups(model), {"params": list(heads.parameters()), "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(parameters, lr=options.rate, betas=(0.9, 0.98))
    averaged = {k: v.detach().clone() for k, v in model.state_dict().items()}
    if options.compile:
        model.visual.transformer.compile(dynamic=False)
    start, checkpoint = 0, work / "checkpoint.pt"
    if checkpoint.exists():
        kept = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(kept["model"])
        heads.load_state_dict(kept["heads"])
        optimiser.load_state_dict(kept["optimiser"])
        averaged, start = kept["averaged"], kept["step"]
        del kept
        print(f"continuing at step {start}", flush=True)
    batches = Batches(options.seed, start, options.steps, options.batch, World(seed=options.seed))
    loader = DataLoader(batches, batch_size=None, num_workers=1, prefetch_factor=3)
    began, spent = time.monotonic(), 0.0
    sums = np.zeros(6)
    for step, (images, rows, seen, said, class_rows) in enumerate(loader, start):
        since = time.monotonic()
        done = step / options.steps
        model.visual.patch_dropout.prob = options.drop if done < options.drop_until else 0.0
        for group in optimiser.param_groups:
            group["lr"] = rate(step, options.steps, options.rate)
        with sdpa_kernel(SDPBackend.MATH), torch.autocast("cpu", torch.bfloat16):
            feature = model.encode_image(to_input(images.numpy())).float()
            text, words = encode_text(model, rows), encode_text(model, class_rows)
        scale = model.logit_scale.exp()
        image = functional.normalize(feature, dim=-1)
        main = contrastive(image, text, scale, seen, said)
        parts = facets(scale * image @ words.T, seen)
        loss = main + (WEIGHTS * (parts + facets(heads(feature), seen))).sum()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(60))
            keep = min(0.995, (1 + step) / (10 + step))
            for name, value in model.state_dict().items():
                averaged[name].lerp_(value, 1 - keep)
        spent += time.monotonic() - since
        sums += [main.item(), *parts.tolist(), 1]
        if (step + 1) % 25 == 0:
            values = " ".join(f"{v:.3f}" for v in sums[:5] / sums[5])
            wall = time.monotonic() - began
            print(
                f"step {step + 1} wall {wall:.0f}s training {spent / wall:.0%} "
                f"lr {rate(step, options.steps, options.rate):.1e} scale {scale.item():.1f} "
                f"loss, look, thing, background, effect: {values}",
                flush=True,
            )
            sums[:] = 0
        if (step + 1) % options.save_every == 0 or step + 1 == options.steps:
            kept = {
                "model": model.state_dict(),
                "heads": heads.state_dict(),
                "optimiser": optimiser.state_dict(),
                "averaged": averaged,
                "step": step + 1,
            }
            torch.save(kept, work / "checkpoint.tmp")
            (work / "checkpoint.tmp").replace(checkpoint)
            export(averaged, Path(options.export or work / "export"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", required=True, help="folder of the checkpoint (about 150 MB)")
    parser.add_argument(
        "--export", help="folder that receives the model at every save; default: WORK/export"
    )
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=8e-4, help="peak learning rate")
    parser.add_argument(
        "--drop", type=float, default=0.5, help="share of patches left out at first"
    )
    parser.add_argument(
        "--drop-until", type=float, default=0.6, help="part of the run that leaves patches out"
    )
    parser.add_argument("--save-every", type=int, default=100)
    parser.add_argument("--compile", action="store_true", help="fuse the vision tower (needs g++)")
    parser.add_argument("--seed", type=int, default=0)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
