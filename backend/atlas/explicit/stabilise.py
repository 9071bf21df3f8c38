"""Stabilise rough masks that jitter from frame to frame, along the object's own motion.

Shapes: T frames · K times of the mean outline · h,w the working size · Ha,Wa the object's atlas.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.explicit.keyframes import add_frames, bracket, keyframe_times, spread
from backend.atlas.explicit.model import Atlas
from backend.atlas.layers import prefix
from backend.atlas.sampling import sample, splat
from backend.progress import Reporter
from protocol.jobs import OBJECTS

PHASE = "Stabilising the mask"
EVERY = 5.0  # frames between two times of the mean outline
MOST = 60  # times of the mean outline
STEADY = 0.25  # pixels: an edge that moves less from frame to frame stays as it is ...
ROUGH = 0.5  # ... and one that moves more is replaced by its mean over nearby frames


def stabilise(
    atlas: Atlas,
    masks: Sequence[NDArray[np.float32]],
    exact: Sequence[Collection[int]],
    report: Reporter,
) -> list[NDArray[np.float32]]:
    """Masks of the objects without edge jitter.

    atlas: its maps already follow the flow. masks: the visible part of each object, front to back,
    float32 [T,h,w], 0..1. exact: for each object, frames whose mask must not change. Each object's
    masks are blended with their mean over nearby frames, taken in its atlas; the more they jitter,
    the more weight the mean gets. Steady masks are returned unchanged.
    """
    out = []
    front = np.zeros(masks[0].shape, np.bool_)
    for layer, mask, keep in zip(OBJECTS, masks, exact, strict=False):
        rough = torch.from_numpy(mask)[:, None].to(atlas.device)
        known = torch.from_numpy(~front)[:, None].to(atlas.device)
        mean = _mean(atlas, layer, rough, known, report)
        share = ((_jitter(rough, mean) - STEADY) / (ROUGH - STEADY)).clamp(0, 1)
        blended = (rough + share * (mean - rough))[:, 0].cpu().numpy()
        blended[list(keep)] = mask[list(keep)]
        front = front | (mask > 0.5)
        out.append(np.asarray(blended, np.float32))
    return out


@torch.no_grad()
def _mean(atlas: Atlas, layer: str, masks: Tensor, known: Tensor, report: Reporter) -> Tensor:
    """Masks [T,1,h,w] as their mean over nearby frames, 0 where opacity cannot reach.

    known: bool, false where another object is in front.
    """
    report.step(PHASE, 0, 2 * atlas.frames)
    host_times = keyframe_times(atlas.frames, MOST, EVERY)
    times = host_times.to(masks.device)
    if len(times) < 2:
        return masks
    image = atlas.image(layer)
    size = (image.shape[2], image.shape[3])
    total = torch.zeros(len(times), 2, *size, device=masks.device)
    frames = torch.arange(atlas.frames, device=masks.device)[:, None]
    for number, t in enumerate(frames):
        report.step(PHASE, number, 2 * atlas.frames)
        both = torch.cat([masks[t] * known[t], known[t].float()], 1)
        here = splat(both, atlas.uv(layer, t, atlas.work), size)
        add_frames(total, host_times, torch.tensor([number]), here)
    total = spread(total)
    mean = total[:, :1] / total[:, 1:].clamp(min=1e-6)
    out = torch.zeros_like(masks)
    reach = atlas.tensors[f"{prefix(layer)}_reach"]
    for number, t in enumerate(frames):
        report.step(PHASE, atlas.frames + number, 2 * atlas.frames)
        before, share = bracket(times, t)
        outline = torch.lerp(mean[before], mean[before + 1], share[:, None, None, None])
        near = atlas.distance(layer, t, atlas.work) < reach[t][:, None, None, None]
        out[t] = sample(outline, atlas.uv(layer, t, atlas.work)) * (near & known[t])
    return out


def _jitter(masks: Tensor, mean: Tensor) -> Tensor:
    """Mean distance in pixels between the edges of two masks [T,1,h,w]: 0-dim."""
    inside = masks > 0.5
    differs = (inside != (mean > 0.5)).sum()
    edge = inside.diff(dim=2).sum() + inside.diff(dim=3).sum()
    return differs / edge.clamp(min=1)
