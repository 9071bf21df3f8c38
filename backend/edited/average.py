"""Average edited frames in a layer's atlas: robustly, sharp, and without their flicker.

Shapes: N frames, h×w pixels of a frame's part, Ha×Wa texels of the painted atlas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.atlas.pyramid import Pyramid
from backend.atlas.sampling import push_pull, splat

KNOWN = 1e-3  # weight a texel must gather for its colour to be known
GAIN = 1.4  # over-relaxation of a sweep
OUTLIER = 4.685  # standard deviations beyond which a pixel counts for nothing (Tukey)
LEAST_SPREAD = 2.0 / 255
SHARPEST = 4.0  # power of a frame's sharpness, against the sharpest, in its weight
POINTS = 2  # splatted points per pixel side

Tick = Callable[[], None]


@dataclass(frozen=True)
class Seen:
    """What one frame shows of the layer: a part of the frame.

    values: [1,C,h,w]. weight: [1,1,h,w] ≥ 0. uv: [1,h,w,2], −1..1 on the atlas.
    """

    values: Tensor
    weight: Tensor
    uv: Tensor


@dataclass(frozen=True)
class Mean:
    """An average in the atlas: image [1,C,Ha,Wa], its gaps filled; weight [1,1,Ha,Wa], gathered."""

    image: Tensor
    weight: Tensor

    @property
    def known(self) -> Tensor:
        """1 where frames show the texel or texels around it, else 0: [1,1,Ha,Wa]."""
        seen = (self.weight > KNOWN).float()
        return -F.max_pool2d(-F.max_pool2d(seen, 5, 1, 2), 5, 1, 2)


@torch.no_grad()
def mean_of(frames: Sequence[Seen], size: tuple[int, int], tick: Tick) -> Mean:
    """The weighted mean of all frames, texel by texel."""
    total: Tensor | None = None
    for seen in frames:
        tick()
        values, weight, uv = _finer(seen.values), _finer(seen.weight), _finer_uv(seen.uv)
        made = splat(torch.cat([values * weight, weight], 1), uv, size)
        total = made if total is None else total + made
    assert total is not None
    known = (total[:, -1:] > KNOWN).float()
    mean = total[:, :-1] / total[:, -1:].clamp(min=KNOWN) * known
    return Mean(push_pull(mean, known), total[:, -1:] / POINTS**2)


@torch.no_grad()
def robust(frames: Sequence[Seen], mean: Mean, tick: Tick) -> list[Seen]:
    """The frames with less weight where they differ from the mean by far more than most do."""
    pyramid = Pyramid(mean.image)
    rest = []
    for seen in frames:
        tick()
        off = (seen.values - pyramid.lookup(seen.uv)).square().mean(1, keepdim=True)
        rest.append(_smoothed(off).sqrt())
    spreads = [r[seen.weight > 0.5] for r, seen in zip(rest, frames, strict=True)]
    middle = torch.cat(spreads).median() if any(len(one) for one in spreads) else torch.zeros(())
    limit = OUTLIER * max(float(middle), LEAST_SPREAD)
    return [
        replace(
            seen, weight=seen.weight * ((1 - (r / limit).square()).clamp(min=0).square() + 1e-3)
        )
        for seen, r in zip(frames, rest, strict=True)
    ]


@torch.no_grad()
def sharpest(frames: Sequence[Seen], size: tuple[int, int], tick: Tick) -> list[Seen]:
    """The frames with more weight where they show the layer more sharply than others do."""
    energies = [replace(seen, values=_energy(seen.values)) for seen in frames]
    powered = [replace(one, values=one.values.pow(SHARPEST)) for one in energies]
    usual = Pyramid(mean_of(powered, size, tick).image)
    weighted = []
    for seen, energy in zip(frames, energies, strict=True):
        tick()
        best = usual.lookup(seen.uv).clamp(min=1e-12).pow(1 / SHARPEST)
        share = (energy.values / best.clamp(min=1e-3)).clamp(0.1, 1)
        weighted.append(replace(seen, weight=seen.weight * share.pow(SHARPEST)))
    return weighted


@torch.no_grad()
def sweep(frames: Sequence[Seen], mean: Mean, tick: Tick) -> Mean:
    """One SIRT sweep: the mean corrected by what its rendering lacks, so that it gets sharper."""
    image = mean.image
    pyramid = Pyramid(image)
    change, gathered = torch.zeros_like(image), torch.zeros_like(image[:, :1])
    for seen in frames:
        tick()
        missing = seen.weight * (seen.values - pyramid.lookup(seen.uv))
        change += transposed(missing, seen.uv, image)
        gathered += transposed(seen.weight, seen.uv, image[:, :1])
    least = max(0.05 * float(gathered.max()), 1e-6)
    return replace(mean, image=(image + GAIN * change / gathered.clamp(min=least)).clamp(0, 1))


def transposed(values: Tensor, uv: Tensor, like: Tensor) -> Tensor:
    """The transpose of rendering an image `like` [1,C,h,w] at uv: values added to its texels."""
    empty = torch.zeros_like(like, requires_grad=True)
    with torch.enable_grad():
        (out,) = torch.autograd.grad(Pyramid(empty).lookup(uv), empty, values)
    return out


def _energy(values: Tensor) -> Tensor:
    """Local contrast of an image [1,C,h,w], over a few pixels: [1,1,h,w]."""
    grey = values.mean(1, keepdim=True)
    across = F.pad(grey.diff(dim=3), (0, 1)).square()
    down = F.pad(grey.diff(dim=2), (0, 0, 0, 1)).square()
    return _smoothed(_smoothed(across + down)).sqrt()


def _smoothed(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 5, 1, 2, count_include_pad=False)


def _finer(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=POINTS, mode="bilinear", align_corners=False)


def _finer_uv(uv: Tensor) -> Tensor:
    return _finer(uv.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
