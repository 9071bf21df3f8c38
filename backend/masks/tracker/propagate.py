"""Label propagation: each place of a frame takes the mask of the places most like it elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from backend.masks.tracker.features import ClipFeatures
from backend.motion.flow import F32

ALIKE = 10  # most similar places that vote
TEMPERATURE = 0.05  # of their votes, in units of the cosine
NEAR = 6  # frames apart within which only places near by are compared
REACH = 1 / 9  # how near, share of the frame's long side


@dataclass(frozen=True)
class Labels:
    """The mask of a frame, by area at stride 8: float32 [N]."""

    frame: int
    share: Tensor


def labels(features: ClipFeatures, frame: int, mask: F32) -> Labels:
    """The labels of a frame's mask [h,w], 0..1."""
    size = _grid(features)
    share = cv2.resize(mask, size[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
    return Labels(frame, torch.from_numpy(share.ravel()).to(features.network.device))


def _grid(features: ClipFeatures) -> tuple[int, int]:
    h, w = features.frames.shape[1:3]
    return -(-h // 8), -(-w // 8)


@torch.no_grad()
def propagated(features: ClipFeatures, t: int, known: Sequence[Labels]) -> F32:
    """The object's share of frame t at stride 8, [h/8,w/8], 0..1, from labels of other frames."""
    here = features.key(t)
    size = _grid(features)
    alike, shares = [], []
    for one in known:
        likeness = here.T @ features.key(one.frame)
        if abs(one.frame - t) <= NEAR:
            likeness = likeness.masked_fill(_far(size, here.device), -1)
        best, where = likeness.topk(ALIKE, 1)
        alike.append(best)
        shares.append(one.share[where])
    best, which = torch.cat(alike, 1).topk(ALIKE, 1)
    votes = torch.softmax(best / TEMPERATURE, 1)
    share = (votes * torch.cat(shares, 1).gather(1, which)).sum(1)
    return np.asarray(share.view(size).cpu().numpy(), np.float32)


_FAR: dict[tuple[tuple[int, int], torch.device], Tensor] = {}


def _far(size: tuple[int, int], device: torch.device) -> Tensor:
    """Which pairs of places are too far apart, bool [N,N]; the last one asked for is kept."""
    if (size, device) not in _FAR:
        _FAR.clear()
        reach = max(4, round(REACH * max(size)))
        y, x = (one.flatten() for one in torch.meshgrid(
            torch.arange(size[0]), torch.arange(size[1]), indexing="ij"))  # fmt: skip
        near = ((y[:, None] - y).abs() <= reach) & ((x[:, None] - x).abs() <= reach)
        _FAR[size, device] = ~near.to(device)
    return _FAR[size, device]
