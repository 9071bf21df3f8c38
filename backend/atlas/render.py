"""Laying a painted atlas back over the frames."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.model import Atlas
from backend.atlas.sampling import sample
from backend.progress import Reporter

PHASE = "Rendering the layer"


@torch.no_grad()
def render_layer(
    atlas: Atlas, layer: str, rgba: Tensor, report: Reporter
) -> Iterator[NDArray[np.uint8]]:
    """Render an RGBA atlas as one RGBA picture per frame, at the clip's own size.

    layer: ``foreground``, times the object's opacity, or ``background``, times the rest: an edited
    background stays behind the object.
    rgba: [1,4,Ha',Wa'], 0..1, straight alpha, any resolution. Yields uint8 [H,W,4] sRGB, straight
    alpha; fully transparent pixels are 0 in every channel.
    """
    rgba = rgba.to(atlas.device, torch.float32)
    # Filtered premultiplied: colours of transparent texels must not bleed into the edge.
    stored = torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], 1)
    for index in range(atlas.frames):
        report.step(PHASE, index, atlas.frames)
        t = torch.tensor([index], device=atlas.device)
        seen = sample(stored, atlas.uv(layer, t))
        alpha = seen[:, 3:]
        colour = seen[:, :3] / alpha.clamp(min=1e-6)
        opacity = atlas.opacity(t)
        alpha = alpha * (opacity if layer == "foreground" else 1 - opacity)
        level = (alpha.clamp(0, 1) * 255).round()
        picture = torch.cat([(colour.clamp(0, 1) * 255).round() * (level > 0), level], 1)
        yield picture[0].permute(1, 2, 0).to(torch.uint8).cpu().numpy()
    report.step(PHASE, atlas.frames, atlas.frames)
