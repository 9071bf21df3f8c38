"""Rough masks that tremble from frame to frame, calmed along the object's own motion.

Shapes: T frames · K moments · h,w the working size · Ha,Wa the object's atlas.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.explicit.keyframes import add, between, moments, spread
from backend.atlas.explicit.model import Atlas
from backend.atlas.layers import prefix
from backend.atlas.sampling import sample, splat
from backend.progress import Reporter
from protocol.jobs import OBJECTS

PHASE = "Steadying the mask"
EVERY = 5.0  # frames between two moments of the mean outline
MOST = 60  # moments
CALM = 0.25  # pixels: an edge that moves less from frame to frame is taken as it is ...
ROUGH = 0.5  # ... and one that moves more is replaced by its mean over nearby frames


def steadied(
    atlas: Atlas,
    masks: Sequence[NDArray[np.float32]],
    exact: Sequence[Collection[int]],
    report: Reporter,
) -> list[NDArray[np.float32]]:
    """Masks of the objects whose edges no longer tremble.

    atlas: its maps follow the flow already. masks: what is seen of each object, front to back,
    float32 [T,h,w], 0..1. exact: frames of each whose mask is not touched. Each object's masks are
    blended with their mean over nearby frames, laid out in its atlas, by how much they tremble:
    steady ones come back as they are.
    """
    out = []
    front = np.zeros(masks[0].shape, np.bool_)
    for layer, mask, keep in zip(OBJECTS, masks, exact, strict=False):
        rough = torch.from_numpy(mask)[:, None].to(atlas.device)
        known = torch.from_numpy(~front)[:, None].to(atlas.device)
        calmed = _mean(atlas, layer, rough, known, report)
        share = ((_tremble(rough, calmed) - CALM) / (ROUGH - CALM)).clamp(0, 1)
        fresh = (rough + share * (calmed - rough))[:, 0].cpu().numpy()
        fresh[list(keep)] = mask[list(keep)]
        front = front | (mask > 0.5)
        out.append(np.asarray(fresh, np.float32))
    return out


@torch.no_grad()
def _mean(atlas: Atlas, layer: str, masks: Tensor, known: Tensor, report: Reporter) -> Tensor:
    """Masks [T,1,h,w] as the mean of nearby frames says they are, 0 where opacity cannot reach.

    known: bool, where a mask says something: not where another object is in front.
    """
    report.step(PHASE, 0, 2 * atlas.frames)
    times = moments(atlas.frames, MOST, EVERY).to(masks.device)
    if len(times) < 2:
        return masks
    image = atlas.image(layer)
    size = (image.shape[2], image.shape[3])
    total = torch.zeros(len(times), 2, *size, device=masks.device)
    frames = torch.arange(atlas.frames, device=masks.device)[:, None]
    for t in frames:
        report.step(PHASE, int(t), 2 * atlas.frames)
        both = torch.cat([masks[t] * known[t], known[t].float()], 1)
        here = splat(both, atlas.uv(layer, t, atlas.work), size)
        add(total, times, t, here)
    total = spread(total)
    mean = total[:, :1] / total[:, 1:].clamp(min=1e-6)
    calmed = torch.zeros_like(masks)
    reach = atlas.tensors[f"{prefix(layer)}_reach"]
    for t in frames:
        report.step(PHASE, atlas.frames + int(t), 2 * atlas.frames)
        before, share = between(times, t)
        outline = torch.lerp(mean[before], mean[before + 1], share[:, None, None, None])
        near = atlas.distance(layer, t, atlas.work) < reach[t][:, None, None, None]
        calmed[t] = sample(outline, atlas.uv(layer, t, atlas.work)) * (near & known[t])
    return calmed


def _tremble(masks: Tensor, calmed: Tensor) -> Tensor:
    """Mean distance in pixels between the edges of two masks [T,1,h,w]: 0-dim."""
    inside = masks > 0.5
    differs = (inside != (calmed > 0.5)).sum()
    edge = inside.diff(dim=2).sum() + inside.diff(dim=3).sum()
    return differs / edge.clamp(min=1)
