"""The text-image models that a worker keeps loaded between its jobs."""

from __future__ import annotations

from functools import lru_cache

import torch

from backend.clip.load import load_clip
from backend.clip.model import TextImageModel
from protocol.jobs import ClipModel


@lru_cache(maxsize=2)  # the one that steers the edit, and the one that reads its masks' texts
def text_image_model(model: ClipModel, device: str) -> TextImageModel:
    """Load a text-image model, or return the loaded one. Jobs share it: do not change it."""
    return load_clip(model, torch.device(device))
