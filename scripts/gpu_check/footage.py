"""The clip of the large items. It is rendered in a process of its own, beside the first items."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.masks.prompts import MaskPrompts
from scripts.make_clip import make_clip

CLIP_FILE = "clip.npz"
FINAL_SIZE = (70, 432, 768)  # frames, height, width
QUICK_SIZE = (5, 54, 96)


@dataclass(frozen=True)
class Footage:
    """A clip with a mask for every frame: uint8 [T,H,W,3] and [T,H,W]."""

    frames: NDArray[np.uint8]
    masks: NDArray[np.uint8]

    @property
    def prompts(self) -> MaskPrompts:
        """Its masks as an atlas takes them."""
        return MaskPrompts("all", dict(enumerate(self.masks)))


def render_footage(path: Path, quick: bool) -> None:
    """Render the clip into a file, which appears when it is complete."""
    made = make_clip(*(QUICK_SIZE if quick else FINAL_SIZE))
    partial = path.with_name("partial.npz")
    np.savez(partial, frames=made.frames, masks=made.masks())
    partial.rename(path)


def wait_for_footage(path: Path) -> Footage:
    """The clip, once it is rendered."""
    while not path.exists():
        time.sleep(0.1)
    with np.load(path) as saved:
        return Footage(saved["frames"], saved["masks"])
