"""What trainings draw their views from: a pool of scenes, renders, and the words' tokens."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import cv2

from scripts.demo_model.export import CONTEXT
from scripts.demo_model.noise import Rng
from scripts.demo_model.photo_bank import PhotoBank
from scripts.demo_model.pool import Pool, world_of
from scripts.demo_model.renders import read_renders
from scripts.demo_model.tokens import Tokens
from scripts.demo_model.world import Scene

OPEN_ALL = 0.6
"""Share of a run after which the whole pool is in use."""


@dataclass(frozen=True)
class Sources:
    """The pool, the renders (there may be none) and the token table."""

    pool: Pool
    renders: list[Scene]
    tokens: Tokens

    @classmethod
    def open(cls, options: argparse.Namespace) -> Sources:
        """Open them in the process that draws the views. Raises FileNotFoundError."""
        cv2.setNumThreads(1)
        bank = PhotoBank.read(Path(options.photos), Path(options.frames))
        pool = Pool(Path(options.pool), world_of(options.world, bank))
        renders = [scene for folder in options.renders for scene in read_renders(Path(folder))]
        return cls(pool, renders, Tokens.taught(CONTEXT))

    def scene(self, rng: Rng, options: argparse.Namespace, step: int) -> Scene:
        """A random scene of a step, rendered or from the shards that are open by then."""
        if self.renders and rng.random() < options.render_share:
            return self.renders[rng.integers(len(self.renders))]
        return self.pool.random(rng, open_shards(step, options.steps, options.shards))


def open_shards(step: int, steps: int, shards: int) -> int:
    """Shards in use at a step: a third at the start, all from OPEN_ALL of the run on.

    So training can begin while the rest of the pool is still being drawn.
    """
    first = math.ceil(shards / 3)
    return first + int(min(1.0, step / (OPEN_ALL * steps)) * (shards - first))


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that `Sources` reads."""
    parser.add_argument("--pool", required=True, help="folder of the scenes, 38 MB per shard")
    parser.add_argument("--photos", required=True, help="folder of material photographs")
    parser.add_argument("--frames", required=True, help="folder of clips (CLIP/frames/*.jpg)")
    parser.add_argument(
        "--renders", nargs="*", default=[],
        help="folders of scripts.demo_model.blender_set --training",
    )  # fmt: skip
    parser.add_argument(
        "--render-share", type=float, default=0.12, help="share of renders among the views"
    )
    parser.add_argument("--shards", type=int, default=16, help="shards of 1024 scenes to use")
    parser.add_argument("--world", type=int, default=0, help="seed of the drawn scenes")
