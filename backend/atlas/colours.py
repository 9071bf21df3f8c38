"""Atlas colours by linear algebra: splat, fill, and sweeps that undo the blur of both."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from backend.atlas.model import Atlas
from backend.atlas.sampling import push_pull, sample, splat
from backend.progress import Reporter

PHASE = "Painting the atlas"
BLOCK = 8
TRUSTED = 0.05  # a texel that gathered less weight than this takes its colour from its neighbours
BATCH = 4  # frames at a time


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
    for k, layer in (("bg", "background"), ("fg", "foreground")):
        shape = atlas.image(layer).shape[2:]
        size = (shape[0], shape[1])
        total = torch.zeros(1, 4, *size, device=atlas.device)
        seen = torch.zeros(1, 1, *size, device=atlas.device)
        for t in _batches(atlas):
            report.step(PHASE, int(t[0]), atlas.frames)
            alpha = atlas.opacity(t, atlas.work)
            share = alpha if k == "fg" else 1 - alpha
            weight = share * kept[t]
            values = torch.cat([frames[t].float() / 255 * weight, weight, share], 1)
            out = splat(values, atlas.uv(layer, t, atlas.work), size)
            total += out[:, :4]
            seen += out[:, 4:]
        weight = total[:, 3:]
        mean = total[:, :3] / weight.clamp(min=1e-6)
        atlas.tensors[f"{k}_image"] = push_pull(mean, (weight / TRUSTED).clamp(max=1))
        # Texels are smaller than pixels: what lies between two seen ones is seen.
        near = F.max_pool2d((seen > TRUSTED).float(), 3, 1, 1)
        atlas.tensors[f"{k}_cover"] = -F.max_pool2d(-near, 3, 1, 1)


@torch.no_grad()
def sweep(atlas: Atlas, frames: Tensor, kept: Tensor, gain: float, report: Reporter) -> None:
    """One SIRT sweep: A += gain · splat(w·residual) / splat(w²), w the layer's share of a pixel."""
    layers = (("fg", "foreground"), ("bg", "background"))
    sums = {}
    for k, layer in layers:
        shape = atlas.image(layer).shape
        sums[k] = torch.zeros(1, 4, shape[2], shape[3], device=atlas.device)
    for t in _batches(atlas):
        report.step(PHASE, int(t[0]), atlas.frames)
        alpha = atlas.opacity(t, atlas.work)
        uv = {k: atlas.uv(layer, t, atlas.work) for k, layer in layers}
        seen = {k: sample(atlas.image(layer), uv[k]) for k, layer in layers}
        both = seen["bg"] + alpha * (seen["fg"] - seen["bg"])
        residual = frames[t].float() / 255 - both
        for k, _ in layers:
            share = alpha if k == "fg" else 1 - alpha
            weight = share * kept[t]
            values = torch.cat([residual * weight, share * weight], 1)
            shape = sums[k].shape
            sums[k] += splat(values, uv[k], (shape[2], shape[3]))
    for k, _ in layers:
        change = sums[k][:, :3] / sums[k][:, 3:].clamp(min=TRUSTED)
        image = atlas.tensors[f"{k}_image"]
        atlas.tensors[f"{k}_image"] = (image + gain * change).clamp(0, 1)
