"""The noise schedule: cosine (Nichol and Dhariwal 2021), with the velocity as what is predicted."""

from __future__ import annotations

import math

import torch
from torch import Tensor

TIMESTEPS = 1000
"""Timesteps of the schedule; 0 is almost clean, the last one is noise alone."""


def cosine_levels() -> Tensor:
    """Share of the image's variance at each timestep (ᾱ), `[TIMESTEPS]` float32, falling.

    The same as diffusers' schedule "squaredcos_cap_v2".
    """

    def level(place: float) -> float:
        return math.cos((place + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = [
        min(1 - level((t + 1) / TIMESTEPS) / level(t / TIMESTEPS), 0.999) for t in range(TIMESTEPS)
    ]
    return torch.cumprod(1 - torch.tensor(betas, dtype=torch.float64), 0).float()


class Schedule:
    """Mixes images with noise and takes predictions apart; images are -1..1, `[B, 3, S, S]`."""

    def __init__(self, device: torch.device | str) -> None:
        self.levels = cosine_levels().to(device)

    def weights(self, timestep: Tensor) -> tuple[Tensor, Tensor]:
        """Weights of the image and of the noise at timesteps `[B]`, each `[B, 1, 1, 1]`."""
        level = self.levels[timestep].view(-1, 1, 1, 1)
        return level.sqrt(), (1 - level).sqrt()

    def noised(self, image: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        """Images with noise at timesteps `[B]`."""
        signal, share = self.weights(timestep)
        return signal * image + share * noise

    def velocity(self, image: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        """What the network learns to predict (Salimans and Ho 2022)."""
        signal, share = self.weights(timestep)
        return signal * noise - share * image

    def parts(self, noisy: Tensor, velocity: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor]:
        """The clean image and the noise that a predicted velocity means."""
        signal, share = self.weights(timestep)
        return signal * noisy - share * velocity, share * noisy + signal * velocity


def spaced(steps: int, start: int = TIMESTEPS - 1) -> list[int]:
    """`steps` timesteps from `start` down, evenly spaced; the next one would be below 0."""
    return [round(start - k * (start + 1) / steps) for k in range(steps)]
