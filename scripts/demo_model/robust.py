"""Make the demo CLIP robust: python -m scripts.demo_model.robust --work DIR --pool POOL ...

Starts from the clean weights (by scripts.demo_model.train) and trains on adversarial views of drawn
scenes, photographs and renders, so that the gradients an edit follows show what the words mean
(Santurkar et al. 2019; CLIPAG, Ganz and Elad 2023). The attack costs nothing extra: every batch is
used several times, and the gradient that trains the weights also moves the views ("free"
adversarial training, Shafahi et al. 2019). Views, captions and draws are functions of the seeds; a
run resumes from DIR/checkpoint.pt.
"""

from __future__ import annotations

import argparse
import math
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_clip.model import CLIP
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from scripts.demo_model import losses
from scripts.demo_model.captions import say
from scripts.demo_model.export import (
    MODEL_CFG,
    TWIN_CFG,
    build_twin,
    export,
    retaught,
)
from scripts.demo_model.sources import Sources, add_source_arguments
from scripts.demo_model.tower import encode_text, fastest_dtype, look
from scripts.demo_model.train import stacked, to_input
from scripts.demo_model.views import film

CLEAN = Path(__file__).parent / "clean"
"""The weights that training starts from: scripts.demo_model.train's."""
NAMES = ("caption", "look", "thing", "background", "effect", "relevancy", "clean", "attacked")
"""What the log shows: means since the last line. The last two are shares of looks named rightly,
in views as they are and in views at the end of the attack."""


class Batches(Dataset[tuple[Tensor, ...]]):
    """Batch of every step: images, mattes, token rows, seen and said facts, class token rows."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options

    def __len__(self) -> int:
        return int(self.options.steps)

    @cached_property
    def _sources(self) -> Sources:
        """Opened in the process that draws the views."""
        return Sources.open(self.options)

    def __getitem__(self, step: int) -> tuple[Tensor, ...]:
        options = self.options
        sources = self._sources
        rng = np.random.default_rng([options.seed, 2, step])
        images, mattes, captions, seen, told = [], [], [], [], []
        for _ in range(options.batch):
            scene = sources.scene(rng, options, step)
            image, matte, facts = film(rng, scene, rng.random() < sources.pool.world.rough)
            caption, said = say(rng, facts)
            images.append(image)
            mattes.append(matte)
            captions.append(caption)
            seen.append(facts.row())
            told.append(said.row())
        return stacked(rng, sources.tokens, images, mattes, captions, seen, told)


def random_start(rng: torch.Generator, like: Tensor, size: float, spared: Tensor) -> Tensor:
    """Changes of the views `[B, 3, S, S]`, of L2 norm up to `size`; none where `spared`."""
    noise = torch.randn(like.shape, generator=rng, device=like.device)
    norm = noise.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    far = torch.rand(len(noise), 1, 1, 1, generator=rng, device=like.device)
    change: Tensor = noise / norm * size * far
    change[spared] = 0.0
    return change


def pushed(change: Tensor, gradient: Tensor, size: float, spared: Tensor) -> Tensor:
    """The change after one step of length `size` up the loss, back inside the ball of `size`."""
    norm = gradient.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
    change = change + gradient / norm * size
    far = change.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
    change = change * (size / far).clamp_max(1.0)
    change[spared] = 0.0
    return change


def loss_of(
    model: CLIP, views: Tensor, batch: tuple[Tensor, ...], encoded: Tensor, spared: Tensor
) -> tuple[Tensor, list[Tensor], Tensor]:
    """The weighted sum, its parts (NAMES without the last two), and which looks are named rightly.

    encoded: embeddings of the captions, then of the classes' words. Relevancy is learnt on the
    views that are not attacked: an attack may well move it.
    """
    _, matte, rows, seen, said, class_rows = batch
    visual: Any = model.visual
    view = None
    if isinstance(visual, VisionTransformer):
        view = look(model, views, fastest_dtype(views.device))
        image = functional.normalize(view.feature, dim=-1)
    else:
        image = functional.normalize(visual(views), dim=-1)
    text, words = torch.split(encoded, [len(rows), len(class_rows)])
    scale = model.logit_scale.exp()
    main = losses.contrastive(image, text, scale, seen, said)
    logits = scale * image @ words.T
    classes = losses.facets(logits, seen)
    weights = losses.WEIGHTS.to(views.device)
    loss = main + (weights * classes).sum()
    where = torch.zeros_like(main)
    if view is not None:
        things = words[losses.COUNTS[0] : losses.COUNTS[0] + losses.COUNTS[1]]
        watched = seen.clone()
        watched[~spared, 1] = -1
        where = losses.relevancy(view, image, things, matte, watched)
        loss = loss + 0.3 * where
    right = logits[:, : losses.COUNTS[0]].argmax(1) == seen[:, 0]
    return loss, [main, *classes, where], right


def rate(step: int, steps: int) -> float:
    """Share of the peak learning rate: linear warm-up, flat, then a line down to 3 %."""
    warm, flat = min(20, steps // 10), 0.4 * steps
    if step < warm:
        return (step + 1) / warm
    return 1.0 if step < flat else 1 - 0.97 * (step - flat) / max(1.0, steps - flat)


class Run:
    """Model, optimiser and running average of a training, with its checkpoint."""

    def __init__(self, options: argparse.Namespace) -> None:
        torch.manual_seed(options.seed)
        torch.set_num_threads(options.threads)
        self.options = options
        self.device = torch.device(options.device)
        torch.set_float32_matmul_precision("high")
        model = build_twin() if options.twin else retaught(Path(options.start))
        self.model = model.to(self.device)
        self.model.train().requires_grad_(True)
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=options.rate, betas=(0.9, 0.98), weight_decay=0.0
        )
        self.averaged = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.step = 0
        self.path = Path(options.work) / "checkpoint.pt"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            kept = torch.load(self.path, weights_only=True, map_location=self.device)
            self.model.load_state_dict(kept["model"])
            self.optimiser.load_state_dict(kept["optimiser"])
            self.averaged, self.step = kept["averaged"], kept["step"]
            print(f"continuing at step {self.step}", flush=True)

    def learn(self, batch: tuple[Tensor, ...]) -> Tensor:
        """Use a batch `replays` times, attacking it a step further each time; values of NAMES."""
        options, model = self.options, self.model
        batch = tuple(t.to(self.device, non_blocking=True) for t in batch)
        views = to_input(batch[0])
        spared = torch.arange(len(views), device=self.device) % 4 == 0
        grown = (self.step + 1) / (0.25 * options.steps if options.twin else 30)
        size = 2 * options.size * min(1.0, grown)  # pixels are -1..1 here
        rng = torch.Generator(self.device).manual_seed(options.seed * 1_000_003 + self.step)
        change = random_start(rng, views, size, spared)
        for group in self.optimiser.param_groups:
            group["lr"] = options.rate * rate(self.step, options.steps)
        # The texts are the same in every replay: they are encoded, and trained, in the first.
        rows = torch.cat([batch[2], batch[5]])
        encoded = encode_text(model, rows, fastest_dtype(self.device))
        values: list[Tensor] = []
        for _ in range(options.replays):
            shown = (views + change).requires_grad_()
            loss, values, right = loss_of(model, shown, batch, encoded, spared)
            loss.backward()  # type: ignore[no-untyped-call]
            assert shown.grad is not None
            change = pushed(change, shown.grad, size, spared)
            encoded = encoded.detach()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            self.optimiser.step()
            self.optimiser.zero_grad()
            self._average()
        have = batch[3][:, 0] >= 0
        shares = [(right & have & who).sum() / (have & who).sum() for who in (spared, ~spared)]
        self.step += 1
        return torch.stack([*values, *shares]).detach()

    @torch.no_grad()
    def _average(self) -> None:
        self.model.logit_scale.clamp_(0, math.log(60))
        keep = min(self.options.keep, (1 + self.step) / (10 + self.step))
        state = self.model.state_dict()
        floats = [name for name, value in state.items() if value.is_floating_point()]
        torch._foreach_lerp_(
            [self.averaged[n] for n in floats], [state[n] for n in floats], 1 - keep
        )

    def save(self) -> None:
        kept = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "averaged": self.averaged,
            "step": self.step,
        }
        partial = self.path.with_suffix(".tmp")
        torch.save(kept, partial)
        partial.replace(self.path)
        folder = Path(self.options.export or self.path.parent / "export")
        export(self.averaged, folder, TWIN_CFG if self.options.twin else MODEL_CFG)


def train(options: argparse.Namespace) -> None:
    run = Run(options)
    ahead: dict[str, Any] = (
        {"num_workers": options.workers, "prefetch_factor": 4} if options.workers else {}
    )
    steps = range(run.step, options.steps)
    pinned = run.device.type == "cuda"
    loader = DataLoader(Batches(options), None, sampler=steps, pin_memory=pinned, **ahead)
    began = time.monotonic()
    log: list[Tensor] = []
    for batch in loader:
        log.append(run.learn(batch))
        if run.step % options.log_every == 0:
            means = zip(NAMES, torch.stack(log).nanmean(0).tolist(), strict=True)
            shown = " ".join(f"{name} {mean:.3f}" for name, mean in means)
            print(f"step {run.step} {time.monotonic() - began:.0f}s {shown}", flush=True)
            log.clear()
        if run.step % options.save_every == 0 or run.step == options.steps:
            run.save()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", required=True, help="folder of the checkpoint (about 100 MB)")
    parser.add_argument("--export", help="folder for the model (default: WORK/export)")
    parser.add_argument("--start", default=str(CLEAN), help="folder of the weights to start from")
    parser.add_argument(
        "--twin", action="store_true",
        help="train the judge: a convolutional network, from scratch; give it other seeds",
    )  # fmt: skip
    add_source_arguments(parser)
    parser.add_argument("--steps", type=int, default=1000, help="batches")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--replays", type=int, default=3, help="updates a batch")
    parser.add_argument(
        "--size", type=float, default=1.5, help="L2 norm of the attack, pixels in 0..1"
    )
    parser.add_argument("--rate", type=float, default=3e-4, help="peak learning rate")
    parser.add_argument(
        "--keep", type=float, default=0.995, help="share of the running average kept at an update"
    )
    parser.add_argument("--save-every", type=int, default=25)
    parser.add_argument("--log-every", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--workers", type=int, default=1, help="processes that draw views; 0: this process does"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of views, captions and attacks")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
