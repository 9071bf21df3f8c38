"""Photographs in memory: crops of materials as textures, crops of frames as backgrounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.demo_model import photos
from scripts.demo_model.noise import Field, Rng

Pixels = NDArray[np.uint8]
TILE = 128
FRAME = (427, 240)
"""Width and height of the frames kept, in pixels."""


@dataclass(frozen=True, eq=False)
class PhotoBank:
    """tiles: by look, each `[128, 128, 3]` uint8 RGB; frames `[240, 427, 3]`."""

    tiles: Mapping[str, Sequence[Pixels]]
    frames: Sequence[Pixels]

    @classmethod
    def read(cls, materials: Path, clips: Path, *, held_out: bool = False) -> PhotoBank:
        """Read photographs of materials and frames of clips.

        held_out: the photographs kept out of training instead of the others.
        Raises FileNotFoundError where there are none.
        """
        tiles = {
            look: [load(path, (TILE, TILE)) for path in paths]
            for look, paths in photos.tiles(materials, held_out=held_out).items()
        }
        return cls(tiles, [load(path, FRAME) for path in photos.frames(clips)])

    def texture(self, rng: Rng, look: str, size: int) -> Field:
        """A random crop of a photograph, turned, mirrored, in other light: `[size, size, 3]`."""
        tile = self.tiles[look][int(rng.integers(len(self.tiles[look])))]
        side = int(rng.integers(36, TILE + 1))
        top, left = rng.integers(0, TILE - side + 1, 2)
        piece = np.rot90(tile[top : top + side, left : left + side], int(rng.integers(4)))
        if rng.random() < 0.5:
            piece = piece[:, ::-1]
        how = cv2.INTER_AREA if side >= size else cv2.INTER_LINEAR
        shown = cv2.resize(np.ascontiguousarray(piece), (size, size), interpolation=how)
        light = rng.uniform(0.75, 1.25) * rng.uniform(0.93, 1.07, 3)
        return np.asarray(np.clip(shown * light, 0, 255), np.float32)

    def ground(self, rng: Rng, size: int) -> Field:
        """A random square of a frame, `[size, size, 3]` float32."""
        frame = self.frames[int(rng.integers(len(self.frames)))]
        height, width = frame.shape[:2]
        side = int(rng.integers(96, height + 1))
        top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
        piece = frame[top : top + side, left : left + side]
        if rng.random() < 0.5:
            piece = piece[:, ::-1]
        shown = cv2.resize(np.ascontiguousarray(piece), (size, size), interpolation=cv2.INTER_AREA)
        return np.asarray(np.clip(shown * rng.uniform(0.75, 1.2), 0, 255), np.float32)


def load(path: Path, size: tuple[int, int]) -> Pixels:
    """An image file at a size (width, height), uint8 RGB. Raises FileNotFoundError."""
    image = cv2.imread(str(path))
    if image is None:
        raise FileNotFoundError(f"{path} cannot be read as an image")
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB), np.uint8)
