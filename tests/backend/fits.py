"""Short fits of the explicit engine, and a diary of what they report."""

from dataclasses import replace

import numpy as np
import torch

from backend.atlas.explicit.config import AtlasConfig, preset
from backend.atlas.explicit.fit import decompose
from backend.atlas.explicit.model import Atlas
from backend.masks.prompts import MaskPrompts
from backend.progress import Silent
from scripts.make_clip import SyntheticClip

H, W, T = 96, 160, 10

CPU = torch.device("cpu")
SHORT = replace(preset("preview"), uv_steps=40, half_steps=50, full_steps=70)
TINY = replace(preset("draft"), uv_steps=2, half_steps=2, full_steps=2, sweeps=1)


class Diary(Silent):
    """Records what is reported."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int, int]] = []
        self.pictures: list[np.ndarray] = []
        self.notes: list[str] = []

    def step(self, phase: str, done: int, total: int) -> None:
        self.steps.append((phase, done, total))

    def preview(self, image: np.ndarray) -> None:
        self.pictures.append(image)

    def note(self, text: str) -> None:
        self.notes.append(text)

    @property
    def phases(self) -> list[str]:
        return list(dict.fromkeys(phase for phase, _, _ in self.steps))


def every_mask(clip: SyntheticClip) -> dict[int, np.ndarray]:
    return dict(enumerate(clip.masks()))


def fitted(
    frames: np.ndarray,
    keys: dict[int, np.ndarray],
    mode: str = "all",
    config: AtlasConfig = TINY,
) -> Atlas:
    return decompose(frames, [MaskPrompts(mode, keys)], config, CPU, Silent())
