"""Texel slip: unwrap two frames into a layer's atlas and measure the motion between them.

Where the maps are right the two images agree. What still moves from one to the other, by an optical
flow that the fit did not use, is how far a painted pattern slips. Large motions do not matter: the
maps have removed them.
Shapes: Ha,Wa the atlas · h,w the working size.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.interface import LayeredAtlas
from backend.atlas.layers import visibility
from backend.atlas.sampling import push_pull, splat

CORE = 0.95  # visibility above which a pixel belongs to one layer alone
SEEN = 0.05  # pixels that must fall on a texel for it to be seen
POINTS = 2  # samples per pixel and axis: texels are smaller than pixels
RIM = 2  # texels ignored at the edge of what both frames show, as flow looks beyond it
ROUND_TRIP = 1.0  # pixels; flow with a larger round-trip error is ignored
LEVELS, WINDOW = 5, 15  # of Farnebäck's method


def slip(atlas: LayeredAtlas, layer: str, frames: Tensor, start: int, end: int) -> Tensor:
    """Distances in pixels that a layer's texels slip between two frames, where measurable.

    frames: uint8 [T,3,h,w] at the working size. Returns [N], on the CPU.
    """
    both = [_unwrapped(atlas, layer, frames, t) for t in (start, end)]
    known = cv2.erode(
        (both[0][1] & both[1][1]).astype(np.uint8), np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)
    )
    if not known.any():
        return torch.empty(0)
    ys, xs = np.nonzero(known)
    part = np.s_[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    here, there = (one[part] for one, _ in both)
    # Texels that only one frame shows are copied to the other, so that they do not seem to move.
    there = np.where(both[1][1][part], there, here)
    here = np.where(both[0][1][part], here, there)
    inside = known[part] > 0
    ahead, back = (_flow(*pair) for pair in ((here, there), (there, here)))
    y, x = np.mgrid[: here.shape[0], : here.shape[1]].astype(np.float32)
    home = cv2.remap(
        back, x + ahead[..., 0], y + ahead[..., 1], cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    texels = 1 / _texel_side(atlas, layer, start)
    sure = np.linalg.norm(ahead + home, axis=-1) < ROUND_TRIP * texels
    moved = np.linalg.norm(ahead, axis=-1)[inside & sure] / texels
    return torch.from_numpy(np.asarray(moved, np.float32))


def folded(atlas: LayeredAtlas, layer: str, t: int) -> Tensor:
    """Which pixels inside a layer have a flipped map: bool [N], on the CPU."""
    area, inside = _areas(atlas, layer, t)
    if not inside.any():
        return torch.empty(0, dtype=torch.bool)
    return (area[inside] * torch.sign(area[inside].median()) <= 0).cpu()


def _areas(atlas: LayeredAtlas, layer: str, t: int) -> tuple[Tensor, Tensor]:
    """Texels that each pixel covers, signed, and whether it is the layer's own: [h,w] each."""
    at = torch.tensor([t], device=atlas.device)
    image = atlas.image(layer)
    scale = torch.tensor([image.shape[3], image.shape[2]], device=atlas.device) / 2
    uv = atlas.uv(layer, at, atlas.work) * scale
    across, down = uv[:, :-1, 1:] - uv[:, :-1, :-1], uv[:, 1:, :-1] - uv[:, :-1, :-1]
    area = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
    inside = visibility(atlas, layer, at, atlas.work)[0, 0] > CORE
    inside[-1], inside[:, -1] = False, False
    return F.pad(area, (0, 1, 0, 1))[0], inside


def _texel_side(atlas: LayeredAtlas, layer: str, t: int) -> float:
    """Typical side of a layer's texel in a frame, pixels."""
    area, inside = _areas(atlas, layer, t)
    typical = float(area[inside].abs().median()) if inside.any() else 1.0
    return float(max(typical, 1e-6) ** -0.5)


def _unwrapped(
    atlas: LayeredAtlas, layer: str, frames: Tensor, t: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A frame unwrapped into a layer's atlas, grey, in the atlas's light, and where it is known."""
    at = torch.tensor([t], device=atlas.device)
    h, w = atlas.work
    size = (POINTS * h, POINTS * w)
    image = atlas.image(layer)
    grey = frames[at].float().mean(1, keepdim=True) / atlas.gain(layer, at, atlas.work)
    own = (visibility(atlas, layer, at, size) > CORE).float()
    fine = F.interpolate(grey, size=size, mode="bilinear", align_corners=False)
    total = splat(
        torch.cat([fine * own, own], 1), atlas.uv(layer, at, size), (image.shape[2], image.shape[3])
    )
    known = total[:, 1:] > SEEN
    mean = push_pull(total[:, :1] / total[:, 1:].clamp(min=SEEN), known.float())
    laid_out = mean[0, 0].clamp(0, 255).round().to(torch.uint8).cpu().numpy()
    return np.asarray(laid_out), np.asarray(known[0, 0].cpu().numpy())


def _flow(here: NDArray[np.uint8], there: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Farnebäck's flow between two grey images: [h,w,2]."""
    empty = np.zeros((*here.shape, 2), np.float32)
    return np.asarray(
        cv2.calcOpticalFlowFarneback(here, there, empty, 0.5, LEVELS, WINDOW, 4, 7, 1.5, 0),
        np.float32,
    )
