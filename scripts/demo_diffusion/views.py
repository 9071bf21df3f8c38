"""What the demo diffusion model learns to draw: clean views of the demo model's scenes."""

from __future__ import annotations

import argparse
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from scripts.demo_model.captions import Facts, say
from scripts.demo_model.export import CONTEXT
from scripts.demo_model.noise import Rng
from scripts.demo_model.photo_bank import PhotoBank
from scripts.demo_model.pool import Pool, world_of
from scripts.demo_model.renders import read_renders
from scripts.demo_model.robust import open_shards
from scripts.demo_model.tokens import Tokens
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
    def _sources(self) -> tuple[Pool, Tokens, list[Scene]]:
        """Opened in the process that draws the views."""
        cv2.setNumThreads(1)
        options = self.options
        bank = PhotoBank.read(Path(options.photos), Path(options.frames))
        pool = Pool(Path(options.pool), world_of(options.world, bank))
        renders = [scene for folder in options.renders for scene in read_renders(Path(folder))]
        return pool, Tokens.taught(CONTEXT), renders

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        options = self.options
        pool, tokens, renders = self._sources
        rng = np.random.default_rng([options.seed, 3, step])
        shards = open_shards(step, options.steps, options.shards)
        images, captions = [], []
        for _ in range(options.batch):
            if renders and rng.random() < options.render_share:
                scene = renders[rng.integers(len(renders))]
            else:
                scene = pool.random(rng, shards)
            image, facts = view(rng, scene)
            images.append(image)
            captions.append(say(rng, facts)[0])
        return torch.from_numpy(np.stack(images)), tokens(captions)
