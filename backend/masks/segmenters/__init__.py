"""Optional segmentation models behind one small interface, loaded by name."""

from __future__ import annotations

import torch

from backend.masks.segmenters import maskrcnn, sam2
from backend.masks.segmenters.base import Segmenter, weights_at
from protocol.jobs import SEGMENTERS, JobError


def load_segmenter(name: str, weights: str, device: torch.device) -> Segmenter:
    """A segmenter with the weights at a path on this machine.

    JobError unknown_segmenter, segmenter_missing (its package), segmenter_weights (its weights).
    """
    if name not in SEGMENTERS:
        raise JobError(
            "unknown_segmenter",
            f"There is no segmentation model “{name}”.",
            f"Choose one of: {', '.join(SEGMENTERS)}.",
        )
    if name == "sam2":
        return sam2.load(weights_at(weights, "a folder with SAM 2 video weights"), device)
    return maskrcnn.load(weights_at(weights, "a file with Mask R-CNN weights"), device)
