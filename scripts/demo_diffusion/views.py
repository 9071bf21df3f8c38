"""What the demo diffusion model learns to draw: clean views of the demo model's scenes."""

from __future__ import annotations

import argparse
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from scripts.demo_model.captions import Facts, say
from scripts.demo_model.noise import Rng
from scripts.demo_model.sources import Sources
from scripts.demo_model.views import CLOSE_UPS, close_up, photograph
from scripts.demo_model.world import Scene

ROUGH = 0.2
"""Share of views that are turned, jittered, blurred or noisy; the rest are clean crops."""


def view(rng: Rng, scene: Scene) -> tuple[NDArray[np.uint8], Facts]:
    """A view `[64, 64, 3]` uint8 RGB of a scene, and what can be seen in it; never compressed."""
    facts = scene.facts
    if facts.look >= 0 and rng.random() < CLOSE_UPS:
        close = close_up(rng, scene)
        if close is not None:
            image = np.clip(np.rint(close), 0, 255).astype(np.uint8)
            return image, Facts(look=facts.look, effect=facts.effect)
    image, _ = photograph(rng, scene, rng.random() < ROUGH)
    return image, facts


class Batches(Dataset[tuple[Tensor, Tensor]]):
    """The batch of every step: images `[B, 64, 64, 3]` uint8 and token rows `[B, L]`."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options

    def __len__(self) -> int:
        return int(self.options.steps)

    @cached_property
    def _sources(self) -> Sources:
        """Opened in the process that draws the views."""
        return Sources.open(self.options)

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        options = self.options
        sources = self._sources
        rng = np.random.default_rng([options.seed, 3, step])
        images, captions = [], []
        for _ in range(options.batch):
            image, facts = view(rng, sources.scene(rng, options, step))
            images.append(image)
            captions.append(say(rng, facts)[0])
        return torch.from_numpy(np.stack(images)), sources.tokens(captions)
