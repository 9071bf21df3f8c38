"""The clip of an edit at working size: its frames, the frozen atlas, and random crops of both.

Shapes: T frames, C channels, H×W frame, Ha×Wa atlas, h×w crop.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.interface import LayeredAtlas
from backend.atlas.layers import BACKGROUND, visibility
from backend.edit.config import EditConfig
from backend.edit.crops import MIN_CROP, Extent, Extents, Window, box, crop_span, span
from backend.edit.detail import Detail
from backend.edit.frame_stack import FrameStack
from backend.edit.memory_plan import FRAME_BYTES, frames_stay_on_host
from backend.edit.pixels import fit_size, resize, to_tensor
from backend.progress import Tick, nothing
from backend.to_device import send


@dataclass(frozen=True)
class Region:
    """A soft mask 0..1 of every frame [1,1,h,w], and the same in the layer's atlas [1,1,Ha,Wa]."""

    frames: FrameStack
    atlas: Tensor


@dataclass(frozen=True)
class EditRegions:
    """Where the bootstrap wants the layer, and where the layer must not go (None: no such text)."""

    wanted: Region
    avoid: Region | None

    def in_atlas(self, size: tuple[int, int]) -> tuple[Tensor, Tensor | None]:
        """Both maps, resampled to an atlas of this size: [1,1,*size]."""
        avoid = None if self.avoid is None else resize(self.avoid.atlas, size)
        return resize(self.wanted.atlas, size), avoid


@dataclass(frozen=True)
class View:
    """A crop of a frame [1,3,h,w], its UV map [1,2,h,w] and the layer's opacity [1,1,h,w].

    extent: the part of the atlas it shows. wanted, avoid: where the bootstrap wants the layer and
    where it does not, [1,1,h,w]. detail: the crop's fine detail, as logits [1,1,h,w].
    """

    frame: Tensor
    uv: Tensor
    opacity: Tensor
    extent: Extent
    wanted: Tensor
    avoid: Tensor | None
    detail: Tensor


class Footage:
    """The clip at working size with its frozen atlas: all a step needs, computed once.

    Per frame: frames [1,3,h,w], uv [1,2,h,w] in −1..1, opacity [1,1,h,w] of the layer where no
    other layer covers it, details [1,1,h,w]. atlas [1,3,Ha,Wa] scaled so that its pixels are about
    as large as the frames', coverage [1,1,Ha,Wa], detail of the atlas. extents: the parts of the
    atlas that the frames show. middles: frames with both neighbours that show the layer (all of
    them if none does). tick: called for every frame.
    """

    def __init__(
        self,
        frames: NDArray[np.uint8],
        atlas: LayeredAtlas,
        layer: str,
        config: EditConfig,
        device: torch.device,
        tick: Tick = nothing,
    ) -> None:
        count, height, width = frames.shape[:3]
        self.config, self.foreground, self.device = config, layer != BACKGROUND, device
        self.size = self._working_size(atlas, layer, height, width, count, device)
        self.neighbours = min(config.neighbours, (count - 1) // 2)
        self.on_host = frames_stay_on_host(device, count, self.size)
        self.frames, self.uv, self.opacity, self.details = (self.stack(()) for _ in range(4))
        self.extents = Extents()
        with torch.no_grad():
            for t in range(count):
                tick()
                index = torch.tensor([t], device=device)
                frame = resize(to_tensor(frames[t], device), self.size)
                uv = atlas.uv(layer, index, self.size).permute(0, 3, 1, 2).float()
                opacity = visibility(atlas, layer, index, self.size).float()
                self.frames.add(frame)
                self.uv.add(uv)
                self.opacity.add(opacity)
                self.details.add(Detail(frame, opacity, config).map)
                self.extents.add(uv, opacity)
            image, coverage = _full_atlas(atlas, layer, device)
            size = self._atlas_size((image.shape[-2], image.shape[-1]))
            self.atlas, self.coverage = resize(image, size), resize(coverage, size)
            self.detail = Detail(self.atlas, self.coverage, config)
            self._whole = self._scaled(config.atlas_whole_scale)
        self.boxes = [box(opacity[0, 0] > 0.5) for opacity in self.opacity]
        middles = range(self.neighbours, count - self.neighbours)
        self.middles = [t for t in middles if (self.opacity[t] > 0.5).any()] or list(middles)

    def stack(self, maps: Iterable[Tensor]) -> FrameStack:
        """Maps of the frames, kept where the clip's own are."""
        return FrameStack.of(maps, self.device, on_host=self.on_host)

    @property
    def nbytes(self) -> int:
        """What the frames take of the device's memory."""
        return 0 if self.on_host else len(self.frames) * math.prod(self.size) * FRAME_BYTES

    def _working_size(
        self,
        atlas: LayeredAtlas,
        layer: str,
        height: int,
        width: int,
        count: int,
        device: torch.device,
    ) -> tuple[int, int]:
        """Frame size at which the frame, or the object with its margin, is config.size long."""
        whole = fit_size(height, width, self.config.size)
        if not self.foreground:
            return whole
        with torch.no_grad():
            shown = [
                visibility(atlas, layer, torch.tensor([t], device=device), whole)[0, 0] > 0.5
                for t in range(count)
            ]
        boxes = [box(visible) for visible in shown if visible.any()] or [Window(0, 0, *whole)]
        longest = max(max(box.bottom - box.top, box.right - box.left) for box in boxes)
        share = longest / max(whole) + 2 * self.config.object_margin
        return fit_size(height, width, round(self.config.size / min(1.0, share)))

    def draw_frames(self, random: torch.Generator) -> list[int]:
        """A random frame with its neighbours, or that frame alone in a very short clip."""
        t = self.middles[int(torch.randint(len(self.middles), (), generator=random))]
        return [t - self.neighbours, t, t + self.neighbours] if self.neighbours else [t]

    def area(self, t: int) -> Window:
        """The part of frame t that is edited: all of it, or the object's box and margin."""
        height, width = self.size
        if not self.foreground:
            return Window(0, 0, height, width)
        margin = round(self.config.object_margin * max(height, width))
        return self.boxes[t].grown(margin, height, width)

    def view(self, t: int, random: torch.Generator, regions: EditRegions | None = None) -> View:
        """A random crop of frame t: most of the frame, or of the object's box and margin.

        regions: what the bootstrap starts from; without them, the layer's own opacity.
        """
        (height, width), config = self.size, self.config
        area = self.area(t)
        keep = config.object_crop if self.foreground else config.frame_crop
        keep = keep if config.internal else 1.0
        top, bottom = crop_span(area.top, area.bottom, keep, height, random)
        left, right = crop_span(area.left, area.right, keep, width, random)
        window = Window(top, left, bottom, right)
        return View(
            self.frames.cut(t, window),
            self.uv.cut(t, window),
            self.opacity.cut(t, window),
            self.extents.of(t, window),
            (regions.wanted.frames if regions else self.opacity).cut(t, window),
            regions.avoid.frames.cut(t, window) if regions and regions.avoid else None,
            self.details.cut(t, window),
        )

    def atlas_window(self, views: list[View]) -> Window:
        """The atlas pixels that the crops show of the layer, with a small margin."""
        height, width = self.atlas.shape[-2:]
        extent = reduce(Extent.joined, [view.extent for view in views])
        if extent.empty:
            return Window(0, 0, height, width)
        rows = ((edge + 1) / 2 * height for edge in (extent.top, extent.bottom))
        columns = ((edge + 1) / 2 * width for edge in (extent.left, extent.right))
        (first, last), (left, right) = rows, columns
        top, bottom = span(first - 3, last + 3, height)
        left, right = span(left - 3, right + 3, width)
        return Window(top, left, bottom, right)

    def whole(self) -> tuple[Tensor, Tensor, Tensor]:
        """The whole atlas as an image of its own, its coverage and its detail."""
        return self._whole

    def finest(self, atlas: LayeredAtlas, layer: str) -> tuple[Tensor, Tensor]:
        """The atlas and its coverage at their own resolution, or the edit's if that is finer."""
        image, coverage = _full_atlas(atlas, layer, self.atlas.device)
        height, width = max(one.shape[-2:] for one in (image, self.atlas))
        return resize(image, (height, width)), resize(coverage, (height, width))

    def _scaled(self, scale: float) -> tuple[Tensor, Tensor, Tensor]:
        height, width = (max(MIN_CROP, round(n * scale)) for n in self.atlas.shape[-2:])
        whole = self.atlas, self.coverage, self.detail.map
        image, coverage, detail = (resize(one, (height, width)) for one in whole)
        return image, coverage, detail

    def local(self, uv_12HW: Tensor, area: Window) -> Tensor:
        """Atlas coordinates −1..1 → coordinates within an atlas window: grid [1,h,w,2]."""
        height, width = self.atlas.shape[-2:]
        numbers = torch.tensor(
            [
                [width, height],
                [area.left, area.top],
                [area.right - area.left, area.bottom - area.top],
            ],
            dtype=torch.float32,
        )
        size, corner, extent = send(numbers, uv_12HW.device)
        pixels = (uv_12HW.permute(0, 2, 3, 1) + 1) / 2 * size
        grid: Tensor = (pixels - corner) / extent * 2 - 1
        return grid

    def _atlas_size(self, full: tuple[int, int]) -> tuple[int, int]:
        """Atlas size at which its pixels are as large as the frames', within the limit."""
        found = []
        for uv, opacity in zip(self.uv, self.opacity, strict=True):
            visible = opacity[..., 1:, 1:] > 0.5
            across = (uv[..., 1:, 1:] - uv[..., 1:, :-1]).norm(dim=1, keepdim=True)[visible]
            down = (uv[..., 1:, 1:] - uv[..., :-1, 1:]).norm(dim=1, keepdim=True)[visible]
            found += [one.cpu() for one in (across, down)]
        steps = torch.cat(found)
        wanted = 2 / max(float(steps.median()), 1e-6) if len(steps) else float(max(full))
        longest = min(wanted, self.config.atlas_limit, 2 * max(full))
        factor = longest / max(full)
        return max(MIN_CROP, round(full[0] * factor)), max(MIN_CROP, round(full[1] * factor))


def _full_atlas(atlas: LayeredAtlas, layer: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """A layer's atlas and its coverage, [1,3,Ha,Wa] and [1,1,Ha,Wa] in 0..1."""
    image, coverage = (one(layer).to(device).float() for one in (atlas.image, atlas.coverage))
    return image.clamp(0, 1), coverage.clamp(0, 1)
