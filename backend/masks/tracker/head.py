"""The head: tells the object from its surroundings, from frozen features and the last mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from backend.masks.tracker.features import Features
from backend.masks.tracker.network import CHANNELS

WIDTHS = (24, 24, 24, 16)  # channels kept of strides 4, 8, 16, 32
COARSE, FINE = 32, 16  # channels at strides 4 and 2
MOST_WEIGHT = 6.0  # of an object's pixel, relative to one of the background


class Head(nn.Module):
    """About 50 000 weights. spread: mean and deviation of each map's channels, each [1,C,1,1]."""

    def __init__(self, spread: Sequence[tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self._spread = list(spread)
        self.reduce = nn.ModuleList(
            nn.Conv2d(channels, width, 1)
            for channels, width in zip(CHANNELS[1:], WIDTHS, strict=True)
        )
        self.coarse = nn.Conv2d(sum(WIDTHS) + 1, COARSE, 3, padding=1)
        self.coarse_again = nn.Conv2d(COARSE, COARSE, 3, padding=1)
        self.coarse_out = nn.Conv2d(COARSE, 1, 1)
        self.pass_on = nn.Conv2d(COARSE, FINE, 1)
        self.fine = nn.Conv2d(FINE + 3 + CHANNELS[0], FINE, 3, padding=1)
        self.fine_out = nn.Conv2d(FINE, 1, 1)
        nn.init.zeros_(self.fine_out.weight)
        nn.init.constant_(cast(nn.Parameter, self.fine_out.bias), 0)

    def forward(
        self, features: Features, before_B1HW: Tensor, kept: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Log-odds at strides 4 and 2, each [B,1,h,w].

        before_B1HW: the last mask at stride 4, −1 outside, 1 inside, 0 everywhere: unknown.
        kept: factors of the reduced channels, [B,C,1,1], for dropout.
        """
        maps = [
            (one - mean) / deviation
            for one, (mean, deviation) in zip(features.maps, self._spread, strict=True)
        ]
        coarse, fine = maps[1].shape[-2:], maps[0].shape[-2:]
        x = torch.cat([
            _resize(layer(one), coarse) for layer, one in zip(self.reduce, maps[1:], strict=True)
        ], 1)  # fmt: skip
        x = x if kept is None else x * kept
        batch = max(len(x), len(before_B1HW))
        x = torch.cat([x.expand(batch, -1, -1, -1), before_B1HW], 1)
        x = F.relu(self.coarse_again(F.relu(self.coarse(x))))
        rough = self.coarse_out(x)
        near = torch.cat([features.colours, maps[0]], 1).expand(batch, -1, -1, -1)
        sharp = F.relu(self.fine(torch.cat([_resize(self.pass_on(x), fine), near], 1)))
        return rough, _resize(rough, fine) + self.fine_out(sharp)


def _resize(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x, list(size), mode="bilinear", align_corners=False)


def new_head(spread: Sequence[tuple[Tensor, Tensor]], seed: int, device: torch.device) -> Head:
    """A head with the seed's weights, the same on every device; torch's own seed is unchanged."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = Head(spread)
    return head.to(device)


def dropout(share: float, count: int, rng: np.random.Generator, device: torch.device) -> Tensor:
    """Factors for `Head.forward`: 0 for a random share of the channels, [count,C,1,1]."""
    kept = (rng.random((count, sum(WIDTHS), 1, 1)) >= share) / (1 - share)
    return torch.from_numpy(kept.astype(np.float32)).to(device)


def loss(logits: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy, the object's pixels weighted up, plus half of 1 − soft IoU. All [B,1,h,w]."""
    each = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    share = truth.mean((1, 2, 3), keepdim=True).clamp(0.02, 0.5)
    inside = (0.5 / share).clamp(max=MOST_WEIGHT)
    weights = torch.where(truth > 0.5, inside, torch.ones_like(truth)) * weight
    seen = torch.sigmoid(logits)
    both = (seen * truth * weight).sum((1, 2, 3))
    either = ((seen + truth - seen * truth) * weight).sum((1, 2, 3))
    overlap = ((both + 1) / (either + 1)).mean()
    return (each * weights).sum() / weights.sum().clamp(min=1) + 0.5 * (1 - overlap)
