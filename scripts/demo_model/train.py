"""Train the demo CLIP from scratch: python -m scripts.demo_model.train --work DIR [--export DIR].

Images, captions and initial weights are functions of the seeds, and a run resumes from
DIR/checkpoint.pt if there is one. Scenes come from a pool on disk that several runs can share
(pool.py); every view of them is new. Losses: losses.py. Matrices are trained with Muon, the rest
with AdamW; the exported weights are a running average.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from open_clip.model import CLIP
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from scripts.demo_model import losses
from scripts.demo_model.captions import Facts, say
from scripts.demo_model.export import CONTEXT, build_model, export
from scripts.demo_model.looks import COLOURS
from scripts.demo_model.noise import Rng
from scripts.demo_model.pool import Pool
from scripts.demo_model.scenes import BACKGROUNDS
from scripts.demo_model.tokens import UNKNOWN, Tokens
from scripts.demo_model.tower import encode_text, look
from scripts.demo_model.views import photograph
from scripts.demo_model.world import World

Pixels = NDArray[np.uint8]
FIRST_SHARDS = 6
"""Shards of the pool that are open at step 0; the others open evenly until OPEN_ALL of the run."""
OPEN_ALL = 0.7
ICONS_UNTIL = 0.85
"""Large things in plain colours teach shapes first; after this share most are skipped."""
EASY_GROUNDS = ("plain", "green screen")
NAMES = ("caption", "look", "thing", "background", "effect", "patch", "figure", "relevancy")
"""What the log shows: the mean of each loss since the last line."""


def is_easy(facts: Facts) -> bool:
    """Whether a scene is a thing in a plain colour before a plain or green ground."""
    plain = facts.background >= 0 and BACKGROUNDS[facts.background] in EASY_GROUNDS
    return plain and 0 <= facts.look < len(COLOURS)


def to_input(images: Tensor) -> Tensor:
    """uint8 `[B, H, W, 3]` to the model's float32 `[B, 3, H, W]` (mean and deviation ½)."""
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def stacked(
    rng: Rng,
    tokens: Tokens,
    images: Sequence[Pixels],
    mattes: Sequence[Pixels],
    captions: Sequence[str],
    seen: Sequence[tuple[int, ...]],
    told: Sequence[tuple[int, ...]],
) -> tuple[Tensor, ...]:
    """One batch: images, mattes, token rows, seen and said facts, class token rows.

    One word in fifty is forgotten, so that the row of unknown words is trained too.
    """
    rows = tokens(captions)
    forget = (
        torch.from_numpy(rng.random(rows.shape) < 0.02)
        & (rows > UNKNOWN + 1)
        & (rows < tokens.size - 1)
    )
    rows[forget] = UNKNOWN
    return (
        torch.from_numpy(np.stack(images)),
        torch.from_numpy(np.stack(mattes)),
        rows,
        torch.tensor(seen),
        torch.tensor(told),
        tokens(losses.class_texts(rng)),
    )


class Batches(IterableDataset[tuple[Tensor, ...]]):
    """Batches from a step on: images, mattes, token rows, seen and said facts, class token rows."""

    def __init__(self, options: argparse.Namespace, start: int) -> None:
        super().__init__()
        self.options, self.start = options, start

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        cv2.setNumThreads(1)
        options = self.options
        world = World(seed=options.world)
        pool, tokens = Pool(Path(options.pool), world), Tokens.taught(CONTEXT)
        for step in range(self.start, options.steps):
            rng = np.random.default_rng([options.seed, 1, step])
            done = step / (OPEN_ALL * options.steps)
            shards = FIRST_SHARDS + int(min(1.0, done) * (options.shards - FIRST_SHARDS))
            late = step > ICONS_UNTIL * options.steps
            images, mattes, captions, seen, told = [], [], [], [], []
            for _ in range(options.batch):
                scene = pool.random(rng, shards)
                while late and is_easy(scene.facts) and rng.random() < 0.85:
                    scene = pool.random(rng, shards)
                image, matte = photograph(rng, scene, rng.random() < world.rough)
                caption, said = say(rng, scene.facts)
                images.append(image)
                mattes.append(matte)
                captions.append(caption)
                seen.append(scene.facts.row())
                told.append(said.row())
            yield stacked(rng, tokens, images, mattes, captions, seen, told)


def rate(step: int, steps: int) -> float:
    """Share of the peak learning rate: linear warm-up, flat, then a line down to 1 %."""
    warm, flat = min(200, steps // 10), 0.35 * steps
    if step < warm:
        return (step + 1) / warm
    return 1.0 if step < flat else 1 - 0.99 * (step - flat) / max(1.0, steps - flat)


class Optimisers:
    """Muon for the blocks' matrices, AdamW for everything else."""

    def __init__(self, model: CLIP, heads: nn.Module, peak: float) -> None:
        blocks = {n: p for n, p in model.named_parameters() if "resblocks" in n and p.ndim == 2}
        rest = [p for n, p in model.named_parameters() if n not in blocks]
        self.peak = peak
        self.parts: list[Any] = [
            torch.optim.Muon(blocks.values(), lr=peak, weight_decay=0.05,
                             adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW([*rest, *heads.parameters()], lr=peak, betas=(0.9, 0.98),
                              weight_decay=0.0),
        ]  # fmt: skip

    def step(self, share: float) -> None:
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = self.peak * share
            part.step()
            part.zero_grad()


def all_losses(
    model: CLIP, heads: losses.Heads, batch: tuple[Tensor, ...], at: float
) -> tuple[Tensor, list[float]]:
    """The weighted sum, and the values in the order of NAMES; `at` is the run's share done."""
    images, matte, rows, seen, said, class_rows = batch
    view = look(model, to_input(images))
    image = functional.normalize(view.feature, dim=-1)
    encoded = encode_text(model, torch.cat([rows, class_rows]))
    text, words = torch.split(encoded, [len(rows), len(class_rows)])
    scale = model.logit_scale.exp()
    main = losses.contrastive(image, text, scale, seen, said)
    classes = losses.facets(scale * image @ words.T, seen)
    direct = losses.facets(heads.picture(view.feature), seen)
    patch = losses.patches(heads, view.late, matte, seen)
    figure = losses.figure(heads, view.middle, matte, seen)
    things = words[losses.COUNTS[0] : losses.COUNTS[0] + losses.COUNTS[1]]
    where = losses.relevancy(view, image, things, matte, seen)
    loss = (
        main
        + (losses.WEIGHTS * (classes + direct)).sum()
        + (losses.WEIGHTS[:3] * patch).sum()
        + figure
        + 0.3 * min(1.0, 5 * at) * where
    )
    values = [main, *classes, patch[1], figure, where]
    return loss, [float(v.detach()) for v in values]


def train(options: argparse.Namespace) -> None:
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    work = Path(options.work)
    work.mkdir(parents=True, exist_ok=True)
    model = build_model()
    heads = losses.Heads(model.visual.conv1.out_channels, model.visual.output_dim)
    optimisers = Optimisers(model, heads, options.rate)
    averaged = {k: v.detach().clone() for k, v in model.state_dict().items()}
    start, checkpoint = 0, work / "checkpoint.pt"
    if checkpoint.exists():
        kept = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(kept["model"])
        heads.load_state_dict(kept["heads"])
        for part, state in zip(optimisers.parts, kept["optimisers"], strict=True):
            part.load_state_dict(state)
        averaged, start = kept["averaged"], kept["step"]
        del kept
        print(f"continuing at step {start}", flush=True)
    ahead: dict[str, Any] = {"num_workers": 1, "prefetch_factor": 4} if options.draw_ahead else {}
    loader = DataLoader(Batches(options, start), batch_size=None, **ahead)
    began, spent = time.monotonic(), 0.0
    sums: list[list[float]] = []
    for step, batch in enumerate(loader, start):
        since = time.monotonic()
        loss, values = all_losses(model, heads, batch, step / options.steps)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimisers.step(rate(step, options.steps))
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(60))
            keep = min(0.998, (1 + step) / (10 + step))
            for name, value in model.state_dict().items():
                averaged[name].lerp_(value, 1 - keep)
        spent += time.monotonic() - since
        sums.append(values)
        if (step + 1) % options.log_every == 0:
            means = " ".join(f"{n} {v:.3f}" for n, v in zip(NAMES, np.mean(sums, 0), strict=True))
            wall = time.monotonic() - began
            print(f"step {step + 1} {wall:.0f}s ({spent / wall:.0%} training) {means}", flush=True)
            sums.clear()
        if (step + 1) % options.save_every == 0 or step + 1 == options.steps:
            kept = {
                "model": model.state_dict(),
                "heads": heads.state_dict(),
                "optimisers": [part.state_dict() for part in optimisers.parts],
                "averaged": averaged,
                "step": step + 1,
            }
            torch.save(kept, work / "checkpoint.tmp")
            (work / "checkpoint.tmp").replace(checkpoint)
            export(averaged, Path(options.export or work / "export"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", required=True, help="folder of the checkpoint (about 100 MB)")
    parser.add_argument(
        "--export", help="folder for the model, written at every save (default: WORK/export)"
    )
    parser.add_argument("--pool", required=True, help="folder of the drawn scenes, 38 MB per shard")
    parser.add_argument(
        "--shards", type=int, default=200, help="number of shards of 1024 scenes to use"
    )
    parser.add_argument("--world", type=int, default=0, help="seed of the drawn scenes")
    parser.add_argument("--steps", type=int, default=16000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument("--save-every", type=int, default=200)
    parser.add_argument("--log-every", type=int, default=50)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--no-draw-ahead", dest="draw_ahead", action="store_false",
        help="draw the views in this process instead of another",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the weights, views and captions"
    )
    train(parser.parse_args())


if __name__ == "__main__":
    main()
