"""Bake fitted networks into an atlas: coordinates, opacity and images, evaluated once.

Shapes: T frames · h,w the working size · N points · Ha,Wa of an atlas.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from backend.atlas.layers import visibility
from backend.atlas.mlp.model import NETWORK, MlpAtlas
from backend.atlas.mlp.networks import ALPHA_FLOOR, ALPHA_SCALE, Frame, Networks
from backend.atlas.sampling import splat
from backend.motion.fields import signed_distance
from backend.progress import Reporter

PHASE = "Filling the atlas"
LATTICE = 4  # most working pixels between the points at which the mappings are stored
CELLS = 96  # ... or this many cells along the longer side, if that is finer
CLEAR = 0.5 / 255  # opacity that rounds to 0 in 8 bits
MARGIN = 4.0  # pixels around the used part of an atlas
SEEN, OWN = 0.05, 0.4  # of a texel, as in backend.atlas.explicit.colours
BATCH = {"cpu": 2048, "cuda": 1 << 17}  # points per pass
LAYERS = (("bg", "background"), ("fg", "foreground"))


class Clip(Protocol):
    """What baking needs of a clip: its masks [T,h,w] at the working size, above ½ on the object."""

    count: int
    height: int
    width: int
    device: torch.device
    masks: Tensor


class Masked:
    """A clip of which only the masks are known."""

    def __init__(self, masks_Thw: Tensor) -> None:
        self.count, self.height, self.width = masks_Thw.shape
        self.device, self.masks = masks_Thw.device, masks_Thw


@torch.no_grad()
def bake(
    networks: Networks,
    frame: Frame,
    clip: Clip,
    size: tuple[int, int, int],
    report: Reporter,
    alpha: Tensor | None = None,
) -> MlpAtlas:
    """The atlas of fitted networks.

    size: frames, height, width of the clip. alpha: the opacity, if it is known.
    """
    if alpha is None:
        alpha = opacity(networks, frame, clip, report)
    tensors = {
        "alpha": alpha.half(),
        "boxes": _boxes(alpha[:, 0] > 0),
        "distance": _distance(clip).half(),
    }
    for k, _ in LAYERS:
        tensors[f"{k}_uv"] = _lattice(networks, k, frame, clip, report)
    texels_per_uv = networks.config.bake / 2
    for k, _ in LAYERS:
        window, shape = _window(tensors[f"{k}_uv"], alpha if k == "fg" else 1 - alpha,
                                MARGIN / frame.pixels_per_uv, texels_per_uv)  # fmt: skip
        tensors[f"{k}_window"] = window
        tensors[f"{k}_image"] = _image(networks, k, window, shape, report)
        tensors[f"{k}_cover"] = torch.zeros(1, 1, *shape, device=clip.device)
    weights = {NETWORK + k: v.detach().clone() for k, v in networks.state_dict().items()}
    atlas = MlpAtlas(size, frame.size, asdict(networks.config), {**tensors, **weights}, {})
    for k, layer in LAYERS:
        tensors[f"{k}_cover"].copy_(_cover(atlas, layer, report))
    return atlas


def _run(network: Callable[[Tensor], Tensor], points: Tensor, report: Reporter) -> Tensor:
    """Evaluate a network on many points, [N,D] → [N,C], in batches."""
    out = []
    for part in torch.split(points, BATCH[points.device.type]):
        report.step(PHASE, 0, 1)
        out.append(network(part))
    return torch.cat(out)


def _grid(rows: Tensor, columns: Tensor) -> Tensor:
    """Pixels (x, y) of a grid, row by row: [rows·columns,2]."""
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y], -1).reshape(-1, 2)


def opacity(networks: Networks, frame: Frame, clip: Clip, report: Reporter) -> Tensor:
    """Opacity at every working pixel, [T,1,h,w]: the network's range stretched back to 0..1."""
    (h, w), device = frame.size, clip.device
    if not bool(clip.masks.any()):  # a clip without an object
        return torch.zeros(clip.count, 1, h, w, device=device)
    xy = _grid(torch.arange(h, device=device) + 0.5, torch.arange(w, device=device) + 0.5)
    out = []
    for t in range(clip.count):
        frames = torch.full((len(xy),), t, device=device)
        raw = _run(networks.alpha, frame.points(xy, frames), report)
        alpha = ((raw - ALPHA_FLOOR) / ALPHA_SCALE).clamp(0, 1)
        out.append((alpha * (alpha > CLEAR)).view(1, 1, h, w))
    return torch.cat(out)


def _boxes(shown: Tensor) -> Tensor:
    """Box of what is shown [T,h,w], one pixel larger for interpolation: [T,4] long."""
    count, h, w = shown.shape
    out = torch.zeros(count, 4, dtype=torch.long, device=shown.device)
    for t in range(count):
        rows, columns = shown[t].any(1).nonzero(), shown[t].any(0).nonzero()
        if len(rows):
            y0, y1 = int(rows[0, 0]) - 1, int(rows[-1, 0]) + 2
            x0, x1 = int(columns[0, 0]) - 1, int(columns[-1, 0]) + 2
            out[t] = torch.tensor([max(0, x0), max(0, y0), min(w, x1), min(h, y1)])
    return out


def _distance(clip: Clip) -> Tensor:
    """Signed distance to the rough masks at half the working size: [T,1,h/2,w/2]."""
    hard = (clip.masks > 0.5).cpu().numpy()
    distance = torch.from_numpy(np.stack([signed_distance(m) for m in hard]))[:, None]
    half = ((clip.height + 1) // 2, (clip.width + 1) // 2)
    small = F.interpolate(distance.clamp(-60, 60), half, mode="bilinear", align_corners=False)
    return small.to(clip.device)


def _lattice(networks: Networks, k: str, frame: Frame, clip: Clip, report: Reporter) -> Tensor:
    """(u, v) of a layer on a lattice from edge to edge of every frame: [T,2,Ky,Kx]."""
    (h, w), device = frame.size, clip.device
    step = min(LATTICE, frame.longer / CELLS)
    rows, columns = (torch.linspace(0, n, math.ceil(n / step) + 1, device=device) for n in (h, w))
    xy = _grid(rows, columns)
    out = []
    for t in range(clip.count):
        frames = torch.full((len(xy),), t, device=device)
        flat = _run(lambda p: networks.uv(k, p), frame.points(xy, frames), report)
        out.append(flat.T.reshape(1, 2, len(rows), len(columns)))
    return torch.cat(out)


def _window(
    uv: Tensor, share: Tensor, margin: float, texels_per_uv: float
) -> tuple[Tensor, tuple[int, int]]:
    """Part of a layer's square that its pixels use: u0 v0 u1 v1 [4], and its rows and columns.

    uv [T,2,Ky,Kx]; share [T,1,h,w]: the layer's share of each pixel.
    """
    at = F.adaptive_max_pool2d(share, (uv.shape[2], uv.shape[3]))
    used = uv.transpose(0, 1)[:, at[:, 0] > 0.5]
    if not used.numel():  # no frame shows the layer: keep all of it
        used = uv.transpose(0, 1).flatten(1)
    low, high = used.amin(1) - margin, used.amax(1) + margin
    low, high = low.clamp(min=-1), high.clamp(max=1)
    texels = ((high - low) * texels_per_uv).ceil().clamp(min=8)
    middle = (low + high) / 2
    half = texels / texels_per_uv / 2
    return torch.cat([middle - half, middle + half]), (int(texels[1]), int(texels[0]))


def _image(
    networks: Networks, k: str, window: Tensor, shape: tuple[int, int], report: Reporter
) -> Tensor:
    """The atlas network on the window's texel centres: [1,3,Ha,Wa]."""
    place = [(torch.arange(n, device=window.device) + 0.5) / n for n in shape]
    uv = window[:2] + _grid(*place) * (window[2:] - window[:2])
    colours = _run(lambda p: networks.colour(k, p), uv, report)
    return colours.T.reshape(1, 3, *shape)


def _cover(atlas: MlpAtlas, layer: str, report: Reporter) -> Tensor:
    """Texels that some frame shows as the layer's own, not only through a soft edge."""
    image = atlas.image(layer)
    total = image.new_zeros(1, 2, image.shape[2], image.shape[3])
    for index in range(atlas.frames):
        report.step(PHASE, index, atlas.frames)
        t = torch.tensor([index], device=atlas.device)
        share = visibility(atlas, layer, t, atlas.work)
        uv = atlas.uv(layer, t, atlas.work)
        # grid_sample would add what lies outside to the border.
        share = share * (uv.abs() <= 1).all(-1)[:, None]
        total += splat(torch.cat([share, share * share], 1), uv, (image.shape[2], image.shape[3]))
    own = (total[:, :1] > SEEN) & (total[:, 1:] > OWN * total[:, :1])
    # Texels are smaller than pixels: those between two seen texels count as seen.
    return -F.max_pool2d(-F.max_pool2d(own.float(), 3, 1, 1), 3, 1, 1)
