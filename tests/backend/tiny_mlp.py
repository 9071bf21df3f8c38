"""The network engine at its smallest: a clip of four frames, and networks of a few units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from backend.atlas.mlp.config import TUNED, MlpConfig
from backend.atlas.mlp.rays import RaySampler
from backend.atlas.mlp.train import prepare
from backend.masks.prompts import MaskPrompts
from backend.progress import Silent
from scripts.make_clip import SyntheticClip

H, W, T = 40, 64, 4
CPU = torch.device("cpu")
TINY = replace(
    TUNED, long_side=W, steps=12, rays=256, chunk=256, warm_passes=8, warm_until=0.0,
    mask_steps=150, global_steps=100, bake=80, lr=4e-3, map_width=24, alpha_width=24,
    atlas_width=32, fg_layers=3, bg_layers=3, alpha_layers=3, atlas_layers=3, atlas_skips=(2,),
    alpha_frequencies=3, atlas_frequencies=5,
)  # fmt: skip


def keys(clip: SyntheticClip) -> dict[int, np.ndarray]:
    return dict(enumerate(clip.masks()))


def footage_of(clip: SyntheticClip, config: MlpConfig = TINY) -> RaySampler:
    footage, _ = prepare(clip.frames, MaskPrompts("all", keys(clip)), config, CPU, Silent())
    return footage
