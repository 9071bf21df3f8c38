"""Render an edited or painted atlas as one RGBA image per frame."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.edges import without_fringe
from backend.atlas.interface import LayeredAtlas
from backend.atlas.layers import BACKGROUND, visibility
from backend.atlas.pyramid import Occupancy, Pyramid
from backend.progress import Reporter

PHASE = "Rendering the layer"
WHOLE = (-1.0, -1.0, 1.0, 1.0)
COARSE = 8  # pixels between the samples that find what a frame shows of the painting

Window = tuple[float, float, float, float]
Box = tuple[int, int, int, int]


@torch.no_grad()
def render_layer(
    atlas: LayeredAtlas,
    layer: str,
    rgba: Tensor,
    report: Reporter,
    frames: tuple[int, int] | None = None,
    window: Window = WHOLE,
    footage: NDArray[np.uint8] | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """Render an RGBA atlas as one RGBA image per frame, at the clip's own size.

    layer: a layer of the atlas; alpha is multiplied by its visibility, so the edit stays behind the
    objects in front of it. rgba: [1,4,Ha',Wa'], 0..1, straight alpha, any resolution. frames: first
    and last, both included; all by default. window: the part of the atlas that rgba covers, u0 v0
    u1 v1 in −1..1; the rest is transparent. footage: the clip [T,H,W,3]; with it, no fringe of the
    old colours stays along the layer's edges. Yields uint8 [H,W,4] sRGB, straight alpha,
    antialiased; fully transparent pixels are 0 in every channel.
    """
    first, last = frames or (0, atlas.frames - 1)
    if not 0 <= first <= last < atlas.frames:
        raise ValueError(f"frames {first} to {last} of a clip of {atlas.frames}")
    rgba = rgba.to(atlas.device, torch.float32)
    stored = premultiply(rgba)
    padding = "border" if window == WHOLE else "zeros"
    pyramid, filled = Pyramid(stored, padding), Occupancy(rgba[:, 3:], padding)
    for index in range(first, last + 1):
        report.step(PHASE, index - first, last + 1 - first)
        t = torch.tensor([index], device=atlas.device)
        out = np.zeros((atlas.height, atlas.width, 4), np.uint8)
        box = visible_box(atlas, layer, t, filled, window)
        if box is not None:
            x0, y0, x1, y1 = box
            uv = to_window(atlas.uv(layer, t)[:, y0:y1, x0:x1], window)
            share = visibility(atlas, layer, t)[..., y0:y1, x0:x1]
            seen = pyramid.lookup(uv)
            if footage is None:
                colour, alpha = seen[:, :3] / seen[:, 3:].clamp(min=1e-6), seen[:, 3:] * share
            else:
                part = torch.from_numpy(footage[index, y0:y1, x0:x1]).to(atlas.device)
                part = part.permute(2, 0, 1)[None].float() / 255
                whole = atlas.uv(layer, t)[:, y0:y1, x0:x1]
                colour, alpha = without_fringe(atlas, layer, t, seen, share, whole, part)
            out[y0:y1, x0:x1] = _to_bytes(colour, alpha)
        yield out
    report.step(PHASE, last + 1 - first, last + 1 - first)


def premultiply(rgba: Tensor) -> Tensor:
    """Straight-alpha images [B,4,h,w], 0..1, with colours times alpha.

    Filtering is done on these: colours of transparent texels must not bleed into the edge.
    """
    return torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], 1)


def to_window(uv: Tensor, window: Window) -> Tensor:
    """Atlas coordinates [...,2] as coordinates of a part of the atlas, −1..1 on it."""
    if window == WHOLE:
        return uv
    low, high = uv.new_tensor(window[:2]), uv.new_tensor(window[2:])
    return (uv - low) * (2 / (high - low)) - 1


def visible_box(
    atlas: LayeredAtlas, layer: str, t: Tensor, filled: Occupancy, window: Window
) -> Box | None:
    """Box x0 y0 x1 y1 of one frame (t [1] long) outside which the layer is transparent, or None."""
    height, width = atlas.height, atlas.width
    rows, columns = max(2, -(-height // COARSE)), max(2, -(-width // COARSE))
    near = filled.near(to_window(atlas.uv(layer, t, (rows, columns)), window))[0]
    if not near.any():
        return None
    ys, xs = near.any(1).nonzero(), near.any(0).nonzero()
    # One sample more on each side, for the pixels' footprints.
    y0, y1 = (int(ys[0]) - 1) * height // rows, -(-(int(ys[-1]) + 2) * height // rows)
    x0, x1 = (int(xs[0]) - 1) * width // columns, -(-(int(xs[-1]) + 2) * width // columns)
    box = (max(0, x0), max(0, y0), min(width, x1), min(height, y1))
    if layer != BACKGROUND:
        bx0, by0, bx1, by1 = (int(edge) for edge in atlas.box(layer, t)[0])
        box = (max(box[0], bx0), max(box[1], by0), min(box[2], bx1), min(box[3], by1))
    return box if box[0] < box[2] and box[1] < box[3] else None


def _to_bytes(colour: Tensor, alpha: Tensor) -> NDArray[np.uint8]:
    """Straight colours [1,3,h,w] and alpha [1,1,h,w] → [h,w,4] uint8; 0 where alpha is."""
    level = (alpha.clamp(0, 1) * 255).round()
    image = torch.cat([(colour.clamp(0, 1) * 255).round() * (level > 0), level], 1)
    return np.asarray(image[0].permute(1, 2, 0).to(torch.uint8).cpu().numpy())
