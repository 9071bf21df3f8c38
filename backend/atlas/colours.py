"""Atlas colours by linear algebra: splat, fill, and sweeps that undo the blur of both."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.atlas.model import Atlas
from backend.atlas.moments import calm, influence, moments
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
        own, cover = _seen(total[:, 3:4], total[:, 4:])
        atlas.tensors[f"{k}_cover"] = cover
        atlas.tensors[f"{k}_image"] = push_pull(mean, own).clamp(0, 1)


def part(atlas: Atlas, most: int, every: float) -> None:
    """Give the foreground a picture for each of its moments, all alike; none where one will do."""
    times = moments(atlas.frames, most, every).to(atlas.device)
    if len(times) > 1:
        atlas.tensors["fg_times"] = times
        atlas.tensors["fg_keys"] = atlas.image("foreground").repeat(len(times), 1, 1, 1)


def quieten(atlas: Atlas) -> None:
    """Keep of the foreground's changes only those that are seen."""
    if "fg_keys" in atlas.tensors:
        keys = atlas.tensors["fg_keys"]
        atlas.tensors["fg_keys"] = calm(keys, atlas.image("foreground"))


@torch.no_grad()
def choose(atlas: Atlas) -> None:
    """Make the moment that shows most of the object the picture of the atlas."""
    if "fg_keys" not in atlas.tensors:
        return
    size = _texels(atlas, "foreground")
    shown = []
    for t in atlas.tensors["fg_times"].round().long()[:, None]:
        alpha = atlas.opacity(t, atlas.work)
        found = splat(alpha, atlas.uv("foreground", t, atlas.work), size) > SEEN
        shown.append(int(found.sum()))
    best = shown.index(max(shown))
    atlas.tensors["fg_image"] = atlas.tensors["fg_keys"][best : best + 1].clone()
    atlas.tensors["fg_keys"] = atlas.tensors["fg_keys"].half()


def _seen(squares: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Texels whose colour is known, and the coverage, from what they gathered: 0 or 1.

    A texel only ever seen through a soft edge is the other layer's colour as much as its own:
    it is not covered, and takes its colour from its neighbours like an unseen one.
    """
    own = ((shares > SEEN) & (squares > OWN * shares)).float()
    # Texels are smaller than pixels: what lies between two seen ones is seen.
    return own, -F.max_pool2d(-F.max_pool2d(own, 3, 1, 1), 3, 1, 1)


def _held(atlas: Atlas, k: str) -> str:
    """Which tensor a layer's colours are in."""
    return "fg_keys" if k == "fg" and "fg_keys" in atlas.tensors else f"{k}_image"


def _sums(atlas: Atlas, k: str) -> int:
    """How many images a layer's frames are summed into: its moments' and that of all of them."""
    held = _held(atlas, k)
    return len(atlas.tensors[held]) + 1 if held == "fg_keys" else 1


@torch.no_grad()
def sweep(
    atlas: Atlas,
    frames: Tensor,
    kept: Tensor,
    gain: float,
    report: Reporter,
    *,
    fill: bool = True,
) -> None:
    """One SIRT sweep: A += gain · splat(w·residual) / splat(w²), w the layer's share of a pixel.

    fill: take colours that no frame shows from round them. Not after the joint phase: it has
    found colours for the object's edge that are better than that.
    """
    sums = {
        k: torch.zeros(_sums(atlas, k), 6, *_texels(atlas, layer), device=atlas.device)
        for k, layer in LAYERS
    }
    for t in _batches(atlas):
        report.step(PHASE, int(t[0]), atlas.frames)
        alpha = atlas.opacity(t, atlas.work)
        uv = {k: atlas.uv(layer, t, atlas.work) for k, layer in LAYERS}
        light = {k: atlas.gain(layer, t, atlas.work) for k, layer in LAYERS}
        seen = {k: sample(atlas.texture(layer, t), uv[k]) * light[k] for k, layer in LAYERS}
        both = seen["bg"] + alpha * (seen["fg"] - seen["bg"])
        residual = frames[t].float() / 255 - both
        for k, layer in LAYERS:
            share = alpha if k == "fg" else 1 - alpha
            weight = share * kept[t]
            lit = weight * light[k]
            values = torch.cat([residual * lit, share * light[k] * lit, weight, share * weight], 1)
            weights = torch.ones(len(t), 1, device=atlas.device)
            if _held(atlas, k) == "fg_keys":
                near = influence(atlas.tensors["fg_times"], t)
                weights = torch.cat([near, weights], 1)
            sums[k] += _collect(values, uv[k], _texels(atlas, layer), weights)
            _relight(atlas, k, t, residual, seen[k], weight)
    for k, _ in LAYERS:
        change = sums[k][:, :3] / sums[k][:, 3:4].clamp(min=SEEN)
        now = atlas.tensors[_held(atlas, k)]
        step = gain * change[: len(now)]
        own, cover = _seen(sums[k][-1:, 5:], sums[k][-1:, 4:5])
        if fill:
            now = push_pull(now + step, own)
        else:
            cover = torch.maximum(cover, atlas.tensors[f"{k}_cover"])
            now = now + step * cover
        atlas.tensors[f"{k}_cover"] = cover
        atlas.tensors[_held(atlas, k)] = now.clamp(0, 1)


def _collect(values: Tensor, uv: Tensor, size: tuple[int, int], weights: Tensor) -> Tensor:
    """Splat frames [B,C,H,W] into images, by the weights [B,K] of frames in them: [K,C,*size]."""
    if weights.shape[1] == 1:
        return splat(values, uv, size)
    each = torch.cat([splat(v[None], at[None], size) for v, at in zip(values, uv, strict=True)])
    return torch.einsum("bk,bcyx->kcyx", weights, each)


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
