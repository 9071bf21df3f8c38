"""Atlas colours by linear algebra: splat, fill, and sweeps that undo the blur of both."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.atlas.model import Atlas
from backend.atlas.sampling import push_pull, sample, splat
from backend.progress import Reporter

PHASE = "Painting the atlas"
BLOCK = 8
SEEN = 0.05  # pixels that must fall on a texel for it to be seen
OWN = 0.4  # weighted mean share of the layer in a texel's pixels that makes the colour its own
RELIGHT = 0.5  # damping: image and light answer the same residual
STILL = 0.02  # squared brightness below which a cell's light hardly moves
DARKEST = 1.0  # largest logarithm of a gain
LAYERS = (("bg", "background"), ("fg", "foreground"))
BATCH = 2  # frames at a time


def held_out_blocks(size: tuple[int, int, int], share: float, generator: torch.Generator) -> Tensor:
    """Pixels that colours may use: bool [T,1,h,w]; a share of 8×8 blocks is kept out.

    Clips under eight frames keep every pixel: there other frames could not fill the gaps.
    """
    count, h, w = size
    rows, columns = -(-h // BLOCK), -(-w // BLOCK)
    draw = torch.rand(count, 1, rows, columns, generator=generator)
    if count < 8:
        return torch.ones(count, 1, h, w, dtype=torch.bool)
    blocks = F.interpolate((draw >= share).float(), scale_factor=BLOCK, mode="nearest")
    return blocks[:, :, :h, :w].bool()


def _batches(atlas: Atlas) -> list[Tensor]:
    return list(torch.split(torch.arange(atlas.frames, device=atlas.device), BATCH))


@torch.no_grad()
def paint(atlas: Atlas, frames: Tensor, kept: Tensor, report: Reporter) -> None:
    """Fill both images with the frames' mean colours, and holes from round them.

    frames: uint8 [T,3,h,w]; kept: bool [T,1,h,w]. Also sets the coverage.
    """
    for k, layer in LAYERS:
        size = _texels(atlas, layer)
        total = torch.zeros(1, 5, *size, device=atlas.device)
        for t in _batches(atlas):
            report.step(PHASE, int(t[0]), atlas.frames)
            alpha = atlas.opacity(t, atlas.work)
            share = alpha if k == "fg" else 1 - alpha
            weight = share * share * kept[t]
            values = torch.cat([frames[t].float() / 255 * weight, weight, share * kept[t]], 1)
            total += splat(values, atlas.uv(layer, t, atlas.work), size)
        mean = total[:, :3] / total[:, 3:4].clamp(min=1e-6)
        _settle(atlas, k, mean, total[:, 3:4], total[:, 4:])


def _settle(atlas: Atlas, k: str, image: Tensor, squares: Tensor, shares: Tensor) -> None:
    """Set a layer's image and coverage from what its texels gathered.

    A texel only ever seen through a soft edge is the other layer's colour as much as its own:
    it is not covered, and takes its colour from its neighbours like an unseen one.
    """
    own = (shares > SEEN) & (squares > OWN * shares)
    # Texels are smaller than pixels: what lies between two seen ones is seen.
    cover = -F.max_pool2d(-F.max_pool2d(own.float(), 3, 1, 1), 3, 1, 1)
    atlas.tensors[f"{k}_cover"] = cover
    atlas.tensors[f"{k}_image"] = push_pull(image, own.float()).clamp(0, 1)


@torch.no_grad()
def sweep(atlas: Atlas, frames: Tensor, kept: Tensor, gain: float, report: Reporter) -> None:
    """One SIRT sweep: A += gain · splat(w·residual) / splat(w²), w the layer's share of a pixel."""
    sums = {
        k: torch.zeros(1, 6, *_texels(atlas, layer), device=atlas.device) for k, layer in LAYERS
    }
    for t in _batches(atlas):
        report.step(PHASE, int(t[0]), atlas.frames)
        alpha = atlas.opacity(t, atlas.work)
        uv = {k: atlas.uv(layer, t, atlas.work) for k, layer in LAYERS}
        light = {k: atlas.gain(layer, t, atlas.work) for k, layer in LAYERS}
        seen = {k: sample(atlas.image(layer), uv[k]) * light[k] for k, layer in LAYERS}
        both = seen["bg"] + alpha * (seen["fg"] - seen["bg"])
        residual = frames[t].float() / 255 - both
        for k, layer in LAYERS:
            share = alpha if k == "fg" else 1 - alpha
            weight = share * kept[t]
            lit = weight * light[k]
            values = torch.cat([residual * lit, share * light[k] * lit, weight, share * weight], 1)
            sums[k] += splat(values, uv[k], _texels(atlas, layer))
            _relight(atlas, k, t, residual, seen[k], weight)
    for k, layer in LAYERS:
        change = sums[k][:, :3] / sums[k][:, 3:4].clamp(min=SEEN)
        image = atlas.image(layer) + gain * change
        _settle(atlas, k, image, sums[k][:, 5:], sums[k][:, 4:5])


def _relight(
    atlas: Atlas, k: str, t: Tensor, residual: Tensor, seen: Tensor, weight: Tensor
) -> None:
    """Move the light grids of frames towards the least squares of what is left over, per cell."""
    grid = atlas.tensors[f"{k}_gain"]
    size = (grid.shape[2], grid.shape[3])
    left = F.adaptive_avg_pool2d((residual * seen).sum(1, keepdim=True) * weight, size)
    square = F.adaptive_avg_pool2d((seen * seen).sum(1, keepdim=True) * weight, size)
    grid[t] = (grid[t] + RELIGHT * left / (square + STILL)).clamp(-DARKEST, DARKEST)


def _texels(atlas: Atlas, layer: str) -> tuple[int, int]:
    shape = atlas.image(layer).shape
    return shape[2], shape[3]
