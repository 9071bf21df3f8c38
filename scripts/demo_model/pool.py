"""A pool of composed scenes on disk, so that drawing is paid once and shared between runs.

Shard n is a function of the pool's seed and n only. Whoever needs a shard that is not there draws
it; two runs that draw the same one write the same bytes.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.demo_model.captions import Facts
from scripts.demo_model.noise import Rng
from scripts.demo_model.photo_bank import PhotoBank
from scripts.demo_model.world import CANVAS, Scene, World, compose_scene

SHARD = 1024
"""Scenes in a shard (38 MB)."""


class Pool:
    """Scenes of a world; `folder` holds the shards drawn so far."""

    def __init__(self, folder: Path, world: World) -> None:
        self.folder, self.world = folder, world
        folder.mkdir(parents=True, exist_ok=True)
        self._opened: dict[int, NDArray[np.uint8]] = {}

    def shard(self, number: int) -> NDArray[np.uint8]:
        """`[SHARD, 97, 96, 4]` uint8: RGB and matte; the last row holds the facts + 1."""
        if number not in self._opened:
            self._opened[number] = self._load(number)
        return self._opened[number]

    def scene(self, number: int) -> Scene:
        """Scene `number` of all shards."""
        page = self.shard(number // SHARD)[number % SHARD]
        look, thing, background, effect = (int(v) - 1 for v in page[CANVAS, 0])
        return Scene(
            np.ascontiguousarray(page[:CANVAS, :, :3]),
            np.ascontiguousarray(page[:CANVAS, :, 3]),
            Facts(look, thing, background, effect),
        )

    def random(self, rng: Rng, shards: int) -> Scene:
        """A scene of the first `shards` shards."""
        return self.scene(int(rng.integers(shards * SHARD)))

    def drawn(self, number: int) -> int:
        """Draw a shard unless it is there; its number. Runs in a process of its own."""
        self._load(number)
        return number

    def _load(self, number: int) -> NDArray[np.uint8]:
        path = self.folder / f"shard_{self.world.name}_{number:04d}.npy"
        if not path.exists():
            partial = path.with_suffix(f".{os.getpid()}")
            with partial.open("wb") as file:
                np.save(file, draw_shard(self.world, number))
            partial.replace(path)
        pages: NDArray[np.uint8] = np.load(path, mmap_mode="r")
        return pages


def world_of(seed: int, photos: PhotoBank | None) -> World:
    """The world of a seed; with photographs, fewer things in plain colours on plain grounds."""
    return World(seed) if photos is None else World(seed, icons=0.15, photos=photos)


def draw_shard(world: World, number: int) -> NDArray[np.uint8]:
    """The pages of a shard, see `Pool.shard`."""
    rng = np.random.default_rng([world.seed, 7, number])
    pages = np.zeros((SHARD, CANVAS + 1, CANVAS, 4), np.uint8)
    for page in pages:
        scene = compose_scene(rng, world)
        page[:CANVAS, :, :3], page[:CANVAS, :, 3] = scene.canvas, scene.matte
        page[CANVAS, 0] = np.array(scene.facts.row()) + 1
    return pages


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw shards of the pool ahead of training.")
    parser.add_argument("--pool", type=Path, required=True, help="folder of the shards")
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="seed of the world")
    parser.add_argument("--jobs", type=int, default=1, help="shards that are drawn at a time")
    parser.add_argument("--photos", type=Path, help="folder of material photographs")
    parser.add_argument("--frames", type=Path, help="folder of clips, with --photos")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    bank = PhotoBank.read(options.photos, options.frames) if options.photos else None
    pool = Pool(options.pool, world_of(options.seed, bank))
    with ProcessPoolExecutor(options.jobs) as jobs:
        for number in jobs.map(pool.drawn, range(options.shards)):
            print(f"shard {number + 1} of {options.shards}", flush=True)


if __name__ == "__main__":
    main()
