"""Inputs of both engines: the checked clip, its working size, and the held-out blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from backend.masks.prompts import MaskPrompts
from backend.motion.flow import MIN_SIDE
from protocol.jobs import OBJECTS, JobError
from protocol.layers import error_of_object

BLOCK = 8  # pixels
MIN_FRAMES = 8  # of a clip with held-out blocks; in shorter clips no other frame fills them


def check_clip(frames: NDArray[np.uint8], objects: Sequence[MaskPrompts]) -> list[MaskPrompts]:
    """The objects' prompts with masks as [H,W]; JobError if the clip or a mask cannot be used."""
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise ValueError(f"frames are uint8 [T,H,W,3], not {frames.dtype} {list(frames.shape)}")
    count, h, w, _ = frames.shape
    if count < 1:
        raise JobError("no_frames", "The clip has no frames.", "Choose at least one frame.")
    if min(h, w) < MIN_SIDE:
        raise JobError(
            "clip_too_small",
            f"Frames of {w}×{h} are too small.",
            f"Use frames of at least {MIN_SIDE} pixels on each side.",
        )
    if not 1 <= len(objects) <= len(OBJECTS):
        raise ValueError(f"a clip has 1 to {len(OBJECTS)} objects, not {len(objects)}")
    out = []
    for number, one in enumerate(objects, 1):
        for t, mask in one.keys.items():
            if mask.shape[:2] != (h, w) or mask.size != h * w:
                why = JobError(
                    "mask_size",
                    f"The mask of frame {t + 1} is {mask.shape[1]}×{mask.shape[0]}, "
                    f"but the frames are {w}×{h}.",
                    "Make the mask at the size of the clip.",
                )
                raise error_of_object(why, number, len(objects))
        out.append(replace(one, keys={t: mask.reshape(h, w) for t, mask in one.keys.items()}))
    return out


def shrink(frames: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Frames [T,H,W,3] at the working size (rows, columns)."""
    small = np.stack([cv2.resize(f, size[::-1], interpolation=cv2.INTER_AREA) for f in frames])
    return np.ascontiguousarray(small, np.uint8)


def held_out_blocks(size: tuple[int, int, int], share: float, generator: torch.Generator) -> Tensor:
    """Pixels that colours may be fitted to: bool [T,1,h,w]; a share of 8×8 blocks is left out."""
    count, h, w = size
    rows, columns = -(-h // BLOCK), -(-w // BLOCK)
    draw = torch.rand(count, 1, rows, columns, generator=generator)
    if count < MIN_FRAMES:
        return torch.ones(count, 1, h, w, dtype=torch.bool)
    blocks = F.interpolate((draw >= share).float(), scale_factor=BLOCK, mode="nearest")
    return blocks[:, :, :h, :w].bool()
