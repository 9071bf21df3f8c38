"""Project edited frames into a layer's atlas: align them with each other, average, make the matte.

Shapes: N frames, h×w pixels of the part of a frame that shows the layer, Ha×Wa texels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.brush import bounds
from backend.atlas.interface import LayeredAtlas
from backend.atlas.layers import visibility
from backend.atlas.pyramid import Pyramid, steps_along
from backend.atlas.render import Box
from backend.edited.align import Fit, align
from backend.edited.average import Mean, Seen, mean_of, robust, sharpest
from backend.edited.matte import changed
from backend.edited.register import Pixels, Registered, as_float
from backend.progress import Tick

TEXELS = 2.0  # of the painted atlas per pixel
MAX_TEXELS = 2**24  # of the painted atlas
MAX_PIXELS = 2**26  # of all frames that are averaged
SOLID = 0.5  # visibility from which a pixel's colour counts as the layer's own
MARGIN = 4  # pixels around the part of a frame that shows the layer
AGAIN = (1.0, 0.6)  # blurs of the stages that align a frame with the average


@dataclass(frozen=True)
class Edited:
    """One edited frame of the clip, as it was given and how it is registered."""

    frame: int
    image: Pixels
    registered: Registered


@dataclass
class Projection:
    """A layer's edited frames on their way into its atlas.

    frames: the clip [T,H,W,3]. size: rows and columns of the painted atlas. texels: of it per
    pixel. boxes, uvs, weights: of each edited frame's part, weights [1,1,h,w].
    """

    atlas: LayeredAtlas
    layer: str
    frames: NDArray[np.uint8]
    edited: list[Edited]
    size: tuple[int, int]
    texels: float
    boxes: list[Box]
    uvs: list[Tensor]
    weights: list[Tensor]

    def seen(self, index: int, *, as_given: bool = False) -> Seen:
        """What an edited frame shows of the layer. as_given: only its size and crop corrected."""
        one, (x0, y0, x1, y1) = self.edited[index], self.boxes[index]
        registered = one.registered
        if as_given:
            registered = Registered(registered.common, registered.common)
        clip = (self.frames.shape[1], self.frames.shape[2])
        colours, shown = registered.applied(one.image, clip)
        weight = self.weights[index] * self._tensor(shown[y0:y1, x0:x1, None])
        return Seen(self._tensor(colours[y0:y1, x0:x1]), weight, self.uvs[index])

    def footage(self, index: int) -> Tensor:
        """The part of the clip under an edited frame's part: [1,3,h,w]."""
        x0, y0, x1, y1 = self.boxes[index]
        return self._tensor(as_float(self.frames[self.edited[index].frame][y0:y1, x0:x1]))

    def all_seen(self, tick: Tick) -> list[Seen]:
        """What each edited frame shows of the layer."""
        made = []
        for index in range(len(self.edited)):
            tick()
            made.append(self.seen(index))
        return made

    def _tensor(self, image: NDArray[np.float32]) -> Tensor:
        made = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
        return made.to(self.atlas.device)


@torch.no_grad()
def start(
    atlas: LayeredAtlas, layer: str, frames: NDArray[np.uint8], edited: list[Edited], tick: Tick
) -> Projection:
    """A projection of the edited frames that show the layer."""
    made = Projection(atlas, layer, frames, [], (0, 0), 1.0, [], [], [])
    densities = []
    rows, columns = atlas.image(layer).shape[-2:]
    half = torch.tensor([columns / 2, rows / 2], device=atlas.device)
    for one in edited:
        tick()
        t = torch.tensor([one.frame], device=atlas.device)
        share = visibility(atlas, layer, t)
        weight = ((share - SOLID) / (1 - SOLID)).clamp(min=0)
        if not bool((weight > 0).any()):
            continue
        x0, y0, x1, y1 = box = bounds(weight[0, 0] > 0, MARGIN)
        uv = atlas.uv(layer, t)[:, y0:y1, x0:x1]
        used = weight[0, 0, y0:y1, x0:x1] > 0
        steps = [steps_along(uv * half, axis)[0][used].norm(dim=-1) for axis in (2, 1)]
        densities.append(float(torch.cat(steps).median()))
        made.edited.append(one)
        made.boxes.append(box)
        made.uvs.append(uv)
        made.weights.append(weight[..., y0:y1, x0:x1])
    if densities:
        own = max(float(np.median(densities)), 1e-3)  # texels of the atlas per pixel
        factor = min(TEXELS / own, (MAX_TEXELS / (rows * columns)) ** 0.5)
        made.size = max(1, round(rows * factor)), max(1, round(columns * factor))
        made.texels = own * factor
    return made


@torch.no_grad()
def aligned(projection: Projection, tick: Tick) -> Projection:
    """The projection with every frame moved and graded towards the average of all."""
    seen = projection.all_seen(tick)
    pyramid = Pyramid(mean_of(seen, projection.size, tick).image)
    fits = []
    for one in seen:
        tick()
        fits.append(
            align(
                _image(one.values),
                _image(pyramid.lookup(one.uv)),
                one.weight[0, 0].cpu().numpy(),
                blurs=AGAIN,
            )
        )
    edited = [
        replace(one, registered=corrected)
        for one, corrected in zip(
            projection.edited, _together(projection.edited, fits), strict=True
        )
    ]
    return replace(projection, edited=edited)


def _together(edited: list[Edited], fits: list[Fit]) -> list[Registered]:
    """Registrations corrected by fits, whose mean over all frames is no change."""
    motion = np.array([fit.motion for fit in fits])
    motion -= motion.mean(0)
    gain = np.array([fit.gain for fit in fits])
    gain /= np.exp(np.log(gain.clip(min=1e-3)).mean(0))
    offset = np.array([fit.offset for fit in fits])
    offset -= offset.mean(0)
    made = []
    for one, by, g, o in zip(edited, motion, gain, offset, strict=True):
        old = one.registered
        if old.exact:
            made.append(old)
            continue
        dx, dy = (float(value) for value in by)
        made.append(
            replace(
                old,
                placement=old.placement.moved(dx, dy),
                gain=tuple((np.array(old.gain) * g).tolist()),
                offset=tuple((np.array(old.offset) + np.array(old.gain) * o).tolist()),
            )
        )
    return made


def _image(values: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(values[0].permute(1, 2, 0).cpu().numpy())


@torch.no_grad()
def weighted(projection: Projection, tick: Tick) -> tuple[list[Seen], Mean]:
    """The frames with robust weights that favour the sharpest, and their mean."""
    seen = projection.all_seen(tick)
    if len(seen) > 1:
        seen = sharpest(seen, projection.size, tick)
        if len(seen) > 2:
            seen = robust(seen, mean_of(seen, projection.size, tick), tick)
    return seen, mean_of(seen, projection.size, tick)


@torch.no_grad()
def matte(projection: Projection, seen: list[Seen], threshold: float | None, tick: Tick) -> Tensor:
    """Alpha of the painted atlas [1,1,Ha,Wa]: 1 where the edit changed the footage.

    seen: the frames with the weights of the average. threshold: difference that counts as a change,
    0..1; None: by the noise of the edit.
    """
    parts = []
    for index, one in enumerate(seen):
        tick()
        footage = projection.footage(index)
        values = torch.cat([one.values - footage, _contrast(footage)], 1)
        parts.append(replace(one, values=values))
    mean = mean_of(parts, projection.size, tick)
    registered = [one.registered for one in projection.edited]
    noise = float(np.sqrt(np.mean([one.noise**2 for one in registered])))
    count = (mean.weight * projection.texels**2).clamp(min=1)
    spread = (noise / count.sqrt())[0, 0].cpu().numpy()
    exact = all(one.exact for one in registered)
    found = _image(mean.image * mean.known)
    if threshold is not None:
        alpha = changed(found[..., :3], 0.0, scale=projection.texels, least=threshold)
    else:
        contrast = None if exact else found[..., 3]
        alpha = changed(found[..., :3], 0.0 if exact else spread, contrast, projection.texels)
    return torch.from_numpy(alpha)[None, None].to(mean.image.device) * mean.known


def _contrast(image: Tensor) -> Tensor:
    """Differences of an image [1,3,h,w] to its neighbours: [1,1,h,w]."""
    grey = image.mean(1, keepdim=True)
    return (steps_along(grey, 3).square() + steps_along(grey, 2).square()).sqrt()
