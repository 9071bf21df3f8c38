"""Train the demo diffusion model: python -m scripts.demo_diffusion.train --work DIR --pool POOL ...

A U-Net learns to predict the velocity of noisy 64 × 64 views of the demo CLIP's scenes, and with it
a text encoder that starts from the demo CLIP's. Every drawn batch is used several times with other
noise, which costs no drawing. Views, captions and noise are functions of the seeds; a run resumes
from DIR/checkpoint.pt.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from backend.clip.places import DEMO_FOLDER
from backend.diffusion.model import VOCABULARY_NAME, Networks, load_model, save_model
from backend.diffusion.network import Config
from backend.diffusion.schedule import TIMESTEPS, Schedule
from scripts.demo_diffusion.sheet import draw_sheet
from scripts.demo_diffusion.views import Batches
from scripts.demo_model.export import CONTEXT, retaught
from scripts.demo_model.sources import add_source_arguments
from scripts.demo_model.tokens import Tokens
from scripts.demo_model.train import to_input

DROPPED = 0.1
"""Share of captions that are left out, so that the model also learns images without a text."""
GAMMA = 5.0
"""Most weight of a timestep, as a ratio of signal to noise (Min-SNR, Hang et al. 2023)."""
TEXT_RATE = 0.3
"""Learning rate of the text encoder, which was trained before, relative to the U-Net's."""
RENAMED = {
    "ln_1": "norm_1", "ln_2": "norm_2", "mlp.c_fc": "wide", "mlp.c_proj": "narrow",
    "attn.out_proj": "attention.out",
}  # fmt: skip


def taught_text(folder: Path) -> dict[str, Tensor]:
    """The text encoder's weights from a CLIP in open_clip's format, with today's token table."""
    state = retaught(folder).state_dict()
    found = {
        "tokens.weight": state["token_embedding.weight"],
        "positions": state["positional_embedding"],
        "norm.weight": state["ln_final.weight"],
        "norm.bias": state["ln_final.bias"],
    }
    for name, value in state.items():
        if not name.startswith("transformer.resblocks."):
            continue
        number, _, rest = name.removeprefix("transformer.resblocks.").partition(".")
        part, _, kind = rest.rpartition(".")
        block = f"blocks.{number}."
        if part == "attn":
            query, keys = value.tensor_split([len(value) // 3])
            kind = kind.removeprefix("in_proj_")
            found[f"{block}attention.query.{kind}"] = query
            found[f"{block}attention.keys.{kind}"] = keys
        else:
            found[f"{block}{RENAMED[part]}.{kind}"] = value
    return found


class Clock:
    """How much of a run is over: by steps, or by time where that is limited."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.steps, self.seconds = int(options.steps), float(options.seconds)
        self.began = time.monotonic()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.began

    def share(self, step: int) -> float:
        """0 at the start, 1 or more at the end."""
        return max(step / self.steps, self.elapsed / self.seconds)


def rate(share: float) -> float:
    """Share of the peak learning rate: linear warm-up over 4 % of the run, then a cosine to 0."""
    return min(1.0, share / 0.04 + 0.01) * (0.5 + 0.5 * math.cos(math.pi * min(share, 1.0)))


class Run:
    """Networks, optimiser and running average of a training, with its checkpoint."""

    def __init__(self, options: argparse.Namespace) -> None:
        torch.manual_seed(options.seed)
        torch.set_num_threads(options.threads)
        torch.set_float32_matmul_precision("high")
        self.options = options
        self.device = torch.device(options.device)
        config = replace(
            Config(vocabulary=Tokens.taught(CONTEXT).size), channels=tuple(options.channels)
        )
        self.networks = Networks(config)
        self.networks.text.load_state_dict(taught_text(Path(options.text)))
        self.networks.to(self.device).to(memory_format=torch.channels_last)
        self.schedule = Schedule(self.device)
        self.empty = Tokens.taught(CONTEXT)([""]).to(self.device)
        self.optimiser = torch.optim.AdamW(
            [
                {"params": list(self.networks.unet.parameters()), "scale": 1.0},
                {"params": list(self.networks.text.parameters()), "scale": TEXT_RATE},
            ],
            lr=options.rate, betas=(0.9, 0.99), weight_decay=0.01, foreach=True,
        )  # fmt: skip
        self.averaged = {k: v.detach().clone() for k, v in self.networks.state_dict().items()}
        self.step = 0
        self.updates = 0
        self.path = Path(options.work) / "checkpoint.pt"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            kept = torch.load(self.path, weights_only=True, map_location=self.device)
            self.networks.load_state_dict(kept["networks"])
            self.optimiser.load_state_dict(kept["optimiser"])
            self.averaged = kept["averaged"]
            self.step, self.updates = kept["step"], kept["updates"]
            print(f"continuing at step {self.step}", flush=True)

    def learn(self, batch: tuple[Tensor, Tensor], share: float) -> Tensor:
        """Use a batch `replays` times with other noise; mean loss and norm of the gradient."""
        images, rows = (t.to(self.device, non_blocking=True) for t in batch)
        clean = to_input(images)
        for group in self.optimiser.param_groups:
            group["lr"] = self.options.rate * group["scale"] * rate(share)
        values = []
        for _ in range(self.options.replays):
            loss = self._loss(clean, rows)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.clip_grad_norm_(self.networks.parameters(), 1.0)
            self.optimiser.step()
            self.optimiser.zero_grad()
            self.updates += 1
            self._average()
            values.append(torch.stack([loss.detach(), norm]))
        self.step += 1
        return torch.stack(values).mean(0)

    def _loss(self, clean: Tensor, rows: Tensor) -> Tensor:
        """Weighted squared error of the velocity at timesteps spread evenly over the batch."""
        count = len(clean)
        rng = torch.Generator(self.device).manual_seed(self.options.seed * 1_000_003 + self.updates)
        draws = torch.rand(2, count, generator=rng, device=self.device)
        places = torch.arange(count, device=self.device)
        timestep = ((places + draws[0]) / count * TIMESTEPS).long().clamp_max(TIMESTEPS - 1)
        noise = torch.randn(clean.shape, generator=rng, device=self.device)
        rows = torch.where(draws[1, :, None] < DROPPED, self.empty, rows)
        noisy = self.schedule.noised(clean, noise, timestep)
        fast = self.device.type == "cuda"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=fast):
            states = self.networks.text(rows)
            told = self.networks.unet(
                noisy.contiguous(memory_format=torch.channels_last), timestep, states
            )
        ratio = self.schedule.levels[timestep] / (1 - self.schedule.levels[timestep])
        weight = ratio.clamp_max(GAMMA) / (ratio + 1)
        error = (told.float() - self.schedule.velocity(clean, noise, timestep)).square()
        loss: Tensor = (weight * error.mean((1, 2, 3))).mean() / weight.mean()
        return loss

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(self.options.keep, (1 + self.updates) / (10 + self.updates))
        state = self.networks.state_dict()
        torch._foreach_lerp_(
            list(self.averaged.values()), [state[name] for name in self.averaged], 1 - keep
        )

    @property
    def folder(self) -> Path:
        return Path(self.options.export or self.path.parent / "export")

    def save(self) -> None:
        """Write the checkpoint, and the averaged model into the export folder."""
        kept = {
            "networks": self.networks.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "averaged": self.averaged,
            "step": self.step,
            "updates": self.updates,
        }
        partial = self.path.with_suffix(".tmp")
        torch.save(kept, partial)
        partial.replace(self.path)
        save_model(self.averaged, self.networks.config, self.folder)
        Tokens.taught(CONTEXT).save(self.folder / VOCABULARY_NAME)


def train(options: argparse.Namespace) -> None:
    """Train to the end, save, and draw a sheet of samples."""
    run = Run(options)
    ahead: dict[str, Any] = (
        {"num_workers": options.workers, "prefetch_factor": 4} if options.workers else {}
    )
    pinned = run.device.type == "cuda"
    steps = range(run.step, options.steps)
    loader = DataLoader(Batches(options), None, sampler=steps, pin_memory=pinned, **ahead)
    clock = Clock(options)
    log: list[Tensor] = []
    for batch in loader:
        log.append(run.learn(batch, clock.share(run.step)))
        if run.step % options.log_every == 0:
            loss, norm = torch.stack(log).mean(0).tolist()
            print(
                f"step {run.step} updates {run.updates} {clock.elapsed:.0f}s "
                f"loss {loss:.4f} gradient {norm:.3f}",
                flush=True,
            )
            log.clear()
        if clock.share(run.step) >= 1:
            break
        if run.step % options.save_every == 0:
            run.save()
    run.save()
    if options.sheet_steps:
        model = load_model(run.folder, run.device)
        draw_sheet(model, run.folder / "samples.png", steps=options.sheet_steps)
    print(
        f"{run.step} steps, {run.updates} updates, {clock.elapsed:.0f}s: {run.folder}", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", required=True, help="folder of the checkpoint (about 130 MB)")
    parser.add_argument("--export", help="folder for the model (default: WORK/export)")
    parser.add_argument(
        "--text",
        default=str(DEMO_FOLDER),
        help="folder of the CLIP whose text encoder to start from",
    )
    add_source_arguments(parser)
    parser.add_argument("--steps", type=int, default=4000, help="batches")
    parser.add_argument(
        "--seconds", type=float, default=math.inf,
        help="end sooner, after this time, with the learning rate lowered by then; the result then "
        "depends on the machine's speed",
    )  # fmt: skip
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--replays", type=int, default=2, help="updates a batch")
    parser.add_argument("--rate", type=float, default=1e-3, help="peak learning rate")
    parser.add_argument(
        "--keep", type=float, default=0.998, help="share of the running average kept at an update"
    )
    parser.add_argument(
        "--channels", type=int, nargs="+", default=Config.channels, help="of the U-Net's levels"
    )
    parser.add_argument("--save-every", type=int, default=200)
    parser.add_argument("--log-every", type=int, default=20)
    parser.add_argument(
        "--sheet-steps", type=int, default=30, help="of the samples drawn at the end; 0: none"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--workers", type=int, default=1, help="processes that draw views; 0: this process does"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of views, captions and noise")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
