"""The text-image models that a worker keeps between its jobs."""

from __future__ import annotations

from functools import lru_cache

import torch

from backend.clip.load import load_clip
from backend.clip.model import TextImageModel
from protocol.jobs import ClipModel


@lru_cache(maxsize=2)  # an edit's own, and the one that its masks' texts are read by
def text_image_model(model: ClipModel, device: str) -> TextImageModel:
    """A text-image model, kept between the jobs of one worker."""
    return load_clip(model, torch.device(device))
