"""Measures of a layer made from edited frames: its flicker, what it leaves, how close it is."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.layers import visibility
from backend.atlas.pyramid import Pyramid
from backend.atlas.render import premultiply
from backend.atlas.sampling import splat
from backend.edited.project import Projection
from backend.progress import Tick

MOST = 99.0  # a PSNR above this means that all pixels are equal
SOLID = 0.5  # alpha from which a pixel belongs to the edit
SEEN = 1.5  # weight that a texel must gather for its colours to be compared over time
PREVIEW = 320


@torch.no_grad()
def measures(projection: Projection, rgba: Tensor, tick: Tick) -> dict[str, float]:
    """flicker_before, flicker_after: of the given and of the new frames, standard deviation over
    time of what a point of the layer shows, 1/255. untouched: share of pixels that stay as they
    are. edit_psnr: of the new frames against the given ones, registered, where they were edited.
    """
    pyramid = Pyramid(premultiply(rgba))
    colours = Pyramid(rgba[:, :3])
    size = projection.atlas.image(projection.layer).shape[-2:]
    before, after = _Spread((size[0], size[1])), _Spread((size[0], size[1]))
    error, inside, touched = 0.0, 0.0, 0.0
    for index, one in enumerate(projection.edited):
        tick()
        x0, y0, x1, y1 = projection.boxes[index]
        given, edit = projection.seen(index, as_given=True), projection.seen(index)
        painted, usual = pyramid.lookup(given.uv), colours.lookup(given.uv)
        t = torch.tensor([one.frame], device=rgba.device)
        share = visibility(projection.atlas, projection.layer, t)[..., y0:y1, x0:x1]
        new = painted[:, :3] * share + (1 - painted[:, 3:] * share) * projection.footage(index)
        solid = given.weight * (painted[:, 3:] > SOLID)
        before.add(given.values - usual, solid, given.uv)
        after.add(new - usual, solid, given.uv)
        error += float((solid * (new - edit.values).square()).sum())
        inside += float(solid.sum())
        touched += float((painted[:, 3:] * share > 0.5 / 255).sum())
    pixels = projection.frames.shape[1] * projection.frames.shape[2] * len(projection.edited)
    made = {"untouched": 1 - touched / pixels, "edit_psnr": _decibels(error, 3 * inside)}
    if len(projection.edited) > 1:
        made |= {"flicker_before": before.deviation(), "flicker_after": after.deviation()}
    return made


class _Spread:
    """Variance over time of values, texel by texel."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._sums: Tensor | None = None

    def add(self, values: Tensor, weight: Tensor, uv: Tensor) -> None:
        """Add a frame: values [1,3,h,w], weight [1,1,h,w], uv [1,h,w,2]."""
        parts = torch.cat([values * weight, values.square() * weight, weight], 1)
        made = splat(parts, uv, self._size)
        self._sums = made if self._sums is None else self._sums + made

    def deviation(self) -> float:
        """The root mean variance, in 1/255."""
        assert self._sums is not None
        weight = self._sums[:, 6:]
        mean = self._sums[:, :3] / weight.clamp(min=1e-6)
        variance = self._sums[:, 3:6] / weight.clamp(min=1e-6) - mean.square()
        seen = (weight > SEEN).expand_as(variance)
        return 255 * float(variance[seen].clamp(min=0).mean().sqrt()) if bool(seen.any()) else 0.0


def psnr(difference: NDArray[np.floating], inside: NDArray[np.bool_]) -> float:
    """PSNR in dB of differences [H,W,3] in 1/255 where inside."""
    squared = (difference[inside] / 255) ** 2
    return _decibels(float(squared.sum()), float(squared.size))


def _decibels(error: float, count: float) -> float:
    if not count or error / count < 10 ** (-MOST / 10):
        return MOST
    return float(-10 * np.log10(error / count))


@torch.no_grad()
def preview(projection: Projection, rgba: Tensor) -> NDArray[np.uint8]:
    """The middle edited frame's part with the layer over it, and the matte beside it."""
    index = len(projection.edited) // 2
    x0, y0, x1, y1 = projection.boxes[index]
    t = torch.tensor([projection.edited[index].frame], device=rgba.device)
    share = visibility(projection.atlas, projection.layer, t)[..., y0:y1, x0:x1]
    seen = Pyramid(premultiply(rgba)).lookup(projection.uvs[index]) * share
    shown = seen[:, :3] + (1 - seen[:, 3:]) * projection.footage(index)
    both = torch.cat([shown, seen[:, 3:].expand(-1, 3, -1, -1)], 3)[0].permute(1, 2, 0)
    return small(np.rint(both.clamp(0, 1).cpu().numpy() * 255).astype(np.uint8))


def small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image at a preview's size."""
    scale = min(1.0, PREVIEW / max(image.shape[:2]))
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
