"""Atlas colours by linear algebra: splat, fill, and sweeps that undo the blur of both."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.atlas.explicit.config import AtlasConfig
from backend.atlas.explicit.keyframes import add_frames, denoise, keyframe_times, spread
from backend.atlas.explicit.model import Atlas
from backend.atlas.layers import BACKGROUND, opacities, over, prefix, shares, visibility
from backend.atlas.sampling import push_pull, sample, splat
from backend.progress import Reporter

PHASE = "Filling the atlas"
SEEN = 0.05  # pixels that must fall on a texel for it to be seen
OWN = 0.4  # least weighted mean share of the layer in a texel's pixels for a known colour
RELIGHT = 0.5  # damping: image and light both correct the same residual
STILL = 0.02  # squared brightness below which a cell's light hardly moves
MAX_LOG_GAIN = 1.0  # largest logarithm of a gain
BATCH = 2  # frames at a time


@torch.no_grad()
def initial_colours(atlas: Atlas, frames: Tensor, kept: Tensor, report: Reporter) -> None:
    """Set all images to the frames' mean colours, holes filled from around them; set coverage.

    frames: uint8 [T,3,h,w]; kept: bool [T,1,h,w].
    """
    for layer in atlas.layers:
        k, size = prefix(layer), _texels(atlas, layer)
        total = torch.zeros(1, 5, *size, device=atlas.device)
        for first, t in _batches(atlas):
            report.step(PHASE, first, atlas.frames)
            share = visibility(atlas, layer, t, atlas.work)
            weight = share * share * kept[t]
            values = torch.cat([frames[t].float() / 255 * weight, weight, share * kept[t]], 1)
            total += splat(values, atlas.uv(layer, t, atlas.work), size)
        mean = total[:, :3] / total[:, 3:4].clamp(min=1e-6)
        own, cover = _coverage(total[:, 3:4], total[:, 4:])
        atlas.tensors[f"{k}_cover"] = cover
        atlas.tensors[f"{k}_image"] = push_pull(mean, own).clamp(0, 1)


def split_into_keyframes(atlas: Atlas, config: AtlasConfig) -> None:
    """Give each layer one image per keyframe, all equal at first; none if one image is enough."""
    for layer in atlas.layers:
        k, image = prefix(layer), atlas.image(layer)
        most = min(config.keys, int(config.key_texels / image[0, 0].numel()))
        times = keyframe_times(atlas.frames, most, config.key_every).to(atlas.device)
        if len(times) > 1:
            atlas.tensors[f"{k}_times"] = times
            atlas.tensors[f"{k}_keys"] = image.repeat(len(times), 1, 1, 1)


def denoise_keyframes(atlas: Atlas, config: AtlasConfig) -> None:
    """Remove differences between keyframes that are below the noise."""
    for layer in atlas.layers:
        k = prefix(layer)
        if f"{k}_keys" in atlas.tensors:
            density = config.bg_texels if layer == BACKGROUND else config.fg_texels
            keys, cover = atlas.tensors[f"{k}_keys"], atlas.coverage(layer)
            smooth = denoise(keys, atlas.image(layer), cover, config.key_blur * density)
            atlas.tensors[f"{k}_keys"] = smooth.clamp(0, 1)


@torch.no_grad()
def pick_images(atlas: Atlas) -> None:
    """Make the keyframe that shows most of an object the image of its atlas.

    The background's image stays the mean over time: the clean plate.
    """
    for layer in atlas.layers:
        k = prefix(layer)
        if f"{k}_keys" not in atlas.tensors:
            continue
        atlas.tensors[f"{k}_keys"] = atlas.tensors[f"{k}_keys"].half()
        if layer == BACKGROUND:
            continue
        size = _texels(atlas, layer)
        shown = []
        for t in atlas.tensors[f"{k}_times"].round().long()[:, None]:
            share = visibility(atlas, layer, t, atlas.work)
            found = splat(share, atlas.uv(layer, t, atlas.work), size) > SEEN
            shown.append(found.sum())
        counts = torch.stack(shown).tolist()
        best = counts.index(max(counts))
        atlas.tensors[f"{k}_image"] = atlas.tensors[f"{k}_keys"][best : best + 1].float()


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

    fill: give texels that no frame shows their neighbours' colours. Not after the joint phase: it
    has found better colours for the object's edge.
    """
    layers = {layer: prefix(layer) for layer in atlas.layers}
    sums = {
        k: torch.zeros(
            len(atlas.tensors[_colours_of(atlas, k)]),
            6,
            *_texels(atlas, layer),
            device=atlas.device,
        )
        for layer, k in layers.items()
    }
    times = {k: atlas.tensors[f"{k}_times"].cpu() for k in sums if len(sums[k]) > 1}
    for first, t in _batches(atlas):
        report.step(PHASE, first, atlas.frames)
        alphas = opacities(atlas, t, atlas.work)
        uv = {layer: atlas.uv(layer, t, atlas.work) for layer in layers}
        light = {layer: atlas.gain(layer, t, atlas.work) for layer in layers}
        seen = {
            layer: sample(atlas.texture(layer, t), uv[layer]) * light[layer] for layer in layers
        }
        residual = frames[t].float() / 255 - over(seen, alphas)
        for layer, share in shares(alphas).items():
            k, weight = layers[layer], share * kept[t]
            lit = weight * light[layer]
            values = [residual * lit, share * light[layer] * lit, weight, share * weight]
            _collect(torch.cat(values, 1), uv[layer], sums[k], first, times.get(k))
            _relight(atlas, k, t, residual, seen[layer], weight)
    for k in layers.values():
        shown = sums[k][:, 4:].sum(0, keepdim=True)
        own, cover = _coverage(shown[:, 1:], shown[:, :1])
        now, found = atlas.tensors[_colours_of(atlas, k)], sums[k][:, :4]
        found = spread(found) if len(now) > 1 else found
        step = gain * found[:, :3] / found[:, 3:].clamp(min=SEEN)
        if fill:
            now = push_pull(now + step, own)
        else:
            cover = torch.maximum(cover, atlas.tensors[f"{k}_cover"])
            now = now + step * cover
        atlas.tensors[f"{k}_cover"] = cover
        atlas.tensors[_colours_of(atlas, k)] = now.clamp(0, 1)


def _batches(atlas: Atlas) -> list[tuple[int, Tensor]]:
    """Number of the first frame of each batch, and the numbers of all of its frames [B]."""
    frames = torch.arange(atlas.frames, device=atlas.device)
    return list(zip(range(0, atlas.frames, BATCH), torch.split(frames, BATCH), strict=True))


def _colours_of(atlas: Atlas, k: str) -> str:
    """Name of the tensor that holds a layer's colours."""
    return f"{k}_keys" if f"{k}_keys" in atlas.tensors else f"{k}_image"


def _texels(atlas: Atlas, layer: str) -> tuple[int, int]:
    shape = atlas.image(layer).shape
    return shape[2], shape[3]


def _coverage(squares: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Texels whose colour is known, and the coverage, from what they gathered: 0 or 1.

    A texel only ever seen through a soft edge holds as much of the other layer's colour as of its
    own: it is not covered, and takes its colour from its neighbours like an unseen one.
    """
    own = ((shares > SEEN) & (squares > OWN * shares)).float()
    # Texels are smaller than pixels: those between two seen texels count as seen.
    return own, -F.max_pool2d(-F.max_pool2d(own, 3, 1, 1), 3, 1, 1)


def _collect(values: Tensor, uv: Tensor, sums: Tensor, first: int, times: Tensor | None) -> None:
    """Splat frames from number `first` on, values [B,C,h,w] at uv [B,h,w,2], into a layer's sums.

    sums: [K or 1,C,Ha,Wa]. times: the K keyframes, on the host; None for one image.
    """
    size = sums.shape[2], sums.shape[3]
    if times is None:
        sums += splat(values, uv, size)
        return
    each = [splat(v[None], at[None], size)[0] for v, at in zip(values, uv, strict=True)]
    add_frames(sums, times, first + torch.arange(len(values)), torch.stack(each))


def _relight(
    atlas: Atlas, k: str, t: Tensor, residual: Tensor, seen: Tensor, weight: Tensor
) -> None:
    """Move the frames' light grids towards the least-squares fit of the residual, per cell."""
    grid = atlas.tensors[f"{k}_gain"]
    size = (grid.shape[2], grid.shape[3])
    left = F.adaptive_avg_pool2d((residual * seen).sum(1, keepdim=True) * weight, size)
    square = F.adaptive_avg_pool2d((seen * seen).sum(1, keepdim=True) * weight, size)
    grid[t] = (grid[t] + RELIGHT * left / (square + STILL)).clamp(-MAX_LOG_GAIN, MAX_LOG_GAIN)
