"""A diffusion model in a folder: configuration, half-precision weights and token table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import open_clip
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from backend.diffusion.network import Config, TextEncoder, UNet
from backend.diffusion.schedule import Schedule, spaced

CONFIG_NAME = "diffusion_config.json"
WEIGHTS_NAME = "diffusion_model.safetensors"
VOCABULARY_NAME = "vocab.json"


class Networks(nn.Module):
    """The text encoder and the U-Net, as they are trained and saved."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.text = TextEncoder(config)
        self.unet = UNet(config)


class DiffusionModel:
    """Frozen networks with their schedule and tokenizer."""

    def __init__(self, networks: Networks, table: Tensor, device: torch.device | str) -> None:
        """table: the row of every open_clip token, `[tokens]` int64."""
        self.config = networks.config
        self.networks = networks.to(device).eval().requires_grad_(False)
        self.schedule = Schedule(device)
        self.device = torch.device(device)
        self._table = table
        self._tokenize = open_clip.SimpleTokenizer(context_length=self.config.context)

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> Tensor:
        """Token states of texts, `[N, L, D]`; those of "" stand for no text."""
        rows = self._table[self._tokenize(list(texts))].to(self.device)
        states: Tensor = self.networks.text(rows)
        return states

    def velocity(self, noisy: Tensor, timestep: int, states: Tensor, guidance: float) -> Tensor:
        """Predicted velocity of images `[B, 3, S, S]` for states `[B, L, D]`.

        guidance: 1 follows the text as trained, more exaggerates it (Ho and Salimans 2022).
        """
        times = torch.full((len(noisy),), timestep, device=self.device)
        unet = self.networks.unet
        if guidance == 1.0:
            plain: Tensor = unet(noisy, times, states)
            return plain
        empty = self.encode([""]).expand_as(states)
        both = unet(noisy.repeat(2, 1, 1, 1), times.repeat(2), torch.cat([states, empty]))
        told, free = both.chunk(2)
        guided: Tensor = free + guidance * (told - free)
        return guided

    @torch.no_grad()
    def sample(self, noise: Tensor, states: Tensor, *, steps: int, guidance: float) -> Tensor:
        """Images `[B, 3, S, S]` in -1..1 from noise, by DDIM without added noise."""
        x, times = noise, spaced(steps)
        for now, after in zip(times, [*times[1:], None], strict=True):
            velocity = self.velocity(x, now, states, guidance)
            at = torch.full((len(x),), now, device=self.device)
            clean, _ = self.schedule.parts(x, velocity, at)
            clean = clean.clamp(-1, 1)
            if after is None:
                return clean
            signal, share = self.schedule.weights(at)
            left = (x - signal * clean) / share
            x = self.schedule.noised(clean, left, torch.full_like(at, after))
        return x


def save_model(state: Mapping[str, Tensor], config: Config, folder: Path) -> None:
    """Write configuration and half-precision weights, over what is there; not the token table."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_NAME).write_text(json.dumps(asdict(config), indent=2) + "\n", "utf-8")
    half = {k: v.detach().to("cpu", torch.float16).contiguous() for k, v in state.items()}
    partial = folder / "diffusion_model.partial"
    save_file(half, partial)
    partial.replace(folder / WEIGHTS_NAME)


def load_model(folder: Path, device: torch.device | str) -> DiffusionModel:
    """The model of a folder, float32. Raises OSError, ValueError, RuntimeError (other weights)."""
    read = json.loads((folder / CONFIG_NAME).read_text("utf-8"))
    networks = Networks(Config(**{**read, "channels": tuple(read["channels"])}))
    weights = load_file(folder / WEIGHTS_NAME)
    networks.load_state_dict({name: value.float() for name, value in weights.items()})
    vocabulary = json.loads((folder / VOCABULARY_NAME).read_text("utf-8"))
    table = torch.full((open_clip.SimpleTokenizer().vocab_size,), int(vocabulary["unknown"]))
    for token, row in vocabulary["rows"].items():
        table[int(token)] = row
    return DiffusionModel(networks, table, device)
