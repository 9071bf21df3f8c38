"""Colours along a layer's edge, where a pixel shows the layer and what is behind it.

Laid over the footage with the layer's own visibility o, an edit would leave o·(1−o) of the old
colour there: a fringe. Here the pixel becomes S + α·o·(new − old), with S the footage, which keeps
what is behind the layer and changes only its share.
"""

from __future__ import annotations

import torch
from torch import Tensor

from backend.atlas.interface import LayeredAtlas
from backend.atlas.sampling import sample

RAISED = 2.0  # alpha along an edge, against the visibility


def without_fringe(
    atlas: LayeredAtlas,
    layer: str,
    t: Tensor,
    seen: Tensor,
    share: Tensor,
    uv: Tensor,
    frame: Tensor,
) -> tuple[Tensor, Tensor]:
    """Colours [1,3,h,w] and alpha [1,1,h,w] of a part of a frame, straight.

    seen: the edit's colours and alpha there, premultiplied [1,4,h,w]. share: the layer's visibility
    [1,1,h,w]. uv: [1,h,w,2] on the whole atlas. frame: the footage [1,3,h,w], 0..1. t: [1] long.
    """
    alpha = seen[:, 3:]
    new = (seen[:, :3] / alpha.clamp(min=1e-6)).clamp(0, 1)
    old = sample(atlas.texture(layer, t), uv).clamp(0, 1)
    raised = (RAISED * share).clamp(max=1)
    edge = frame + share / raised.clamp(min=1e-6) * (new - old)
    on_edge = (share < 1).to(new.dtype)
    return torch.lerp(new, edge.clamp(0, 1), on_edge), alpha * torch.lerp(share, raised, on_edge)
