"""Edit one layer of a clip: train a generator on its atlas, seen through the frames (Text2LIVE §4).

Every step takes the frames t−k, t, t+k. The atlas crop that covers them goes through the generator
once; its layer is sampled back into the three frames through the atlas' UV maps and judged there.

Shapes: T frames, C channels, H×W frame, Ha×Wa atlas, h×w crop.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.interface import LayeredAtlas
from backend.atlas.layers import BACKGROUND, visibility
from backend.checkpoint import Checkpoint
from backend.clip.model import TextImageModel
from backend.edit.config import EditConfig, EditTexts
from backend.edit.crops import MIN_CROP, Window, box, crop_span, span
from backend.edit.detail import Detail
from backend.edit.extents import Extent, Extents
from backend.edit.generator import Generator
from backend.edit.matte import clear_haze
from backend.edit.places import Places, places_of
from backend.edit.preview import preview_of
from backend.edit.texts import TextTargets
from backend.edit.train import (
    PHASE,
    Criterion,
    Shot,
    autocast,
    beating,
    fit_size,
    resize,
    to_tensor,
    train,
)
from backend.edit.transfer import send
from backend.edit.views import apply_colour, jitter
from backend.edit.warm import Weights
from backend.progress import Reporter


def edit_atlas(
    frames: NDArray[np.uint8],
    atlas: LayeredAtlas,
    layer: str,
    texts: EditTexts,
    clip: TextImageModel,
    config: EditConfig,
    device: torch.device,
    report: Reporter,
    checkpoint: Checkpoint | None = None,
    weights: Weights = Weights(),  # noqa: B008  (frozen)
) -> Tensor:
    """Edited atlas [1,4,Ha,Wa] in 0..1, straight alpha, for backend.atlas.render.render_layer.

    frames: [T,H,W,3] uint8 sRGB. layer: one of the atlas'. The atlas is not changed; the result has
    its own resolution. checkpoint: as for `train`. weights: where the generator starts from and is
    kept. Raises JobError, Cancelled.
    """
    random = torch.Generator().manual_seed(config.seed)
    with beating(clip, config, report):
        targets = TextTargets(clip, texts, config.screen_templates)
    criterion = Criterion(clip, targets, config, device, random)
    green = criterion.green_1311
    if targets.source_PKD is None and config.direction:
        report.note("No text says what is there now; the edit follows the prompt alone.")
    footage = Footage(frames, atlas, layer, config, device, report)
    with beating(clip, config, report):
        places = places_of(footage, targets, clip, config, report)
    network = Generator(
        channels=config.channels, scales=config.scales, skip_channels=config.skip_channels,
        side=min(MIN_CROP, *footage.size, *footage.atlas.shape[-2:]), seed=config.seed,
    ).to(device)  # fmt: skip
    weights.start(network)

    def layer_of(source: Tensor, detail: Tensor) -> Tensor:
        with autocast(config, device):
            made: Tensor = network(source, detail)
        return made

    def shots_of(step: int) -> list[Shot]:
        moments = footage.moments(random)
        views = [footage.view(t, random, places) for t in moments]
        area = footage.atlas_window(views)
        source = _jittered(area.cut(footage.atlas), config, random)
        # The internal dataset's flip: the generator sees the crop mirrored, the clip does not.
        draw = float(torch.rand((), generator=random))
        mirrored = config.internal and draw < config.internal_flip
        detail = area.cut(footage.detail.map)
        if mirrored:
            made = layer_of(source.flip(-1), detail.flip(-1)).flip(-1)
        else:
            made = layer_of(source, detail)
        shots = []
        for view in views:
            local = footage.local(view.uv, area)
            backdrop = view.frame
            if config.backdrop == "atlas":
                backdrop = sample(area.cut(footage.atlas), local) * view.opacity
            seen = sample(premultiply(made), local) * view.opacity
            shots.append(_shot(seen, backdrop, green, view.wanted, view.avoid))
        if config.direct:
            view = views[int(torch.randint(len(views), (), generator=random))]
            frame = _jittered(view.frame, config, random)
            seen = premultiply(layer_of(frame, view.detail)) * view.opacity
            shots.append(_shot(seen, frame, green, view.wanted, view.avoid))
        if step % config.whole_every == 0:
            picture, coverage, detail = footage.whole()
            seen = premultiply(layer_of(picture, detail)) * coverage
            wanted, avoid = places.in_atlas((picture.shape[-2], picture.shape[-1]))
            whole = _shot(seen, picture, green, wanted, avoid)
            shots.append(replace(whole, name="whole"))
        return shots

    @torch.no_grad()
    def coarse() -> Tensor:
        made = layer_of(footage.atlas, footage.detail.map)
        return clear_haze(torch.cat([made[:, :3], made[:, 3:] * footage.coverage], dim=1), config)

    @torch.no_grad()
    def finest() -> Tensor:
        with autocast(config, device):
            logits = network.logits(footage.atlas)
        picture, coverage = footage.finest(atlas, layer)
        made = footage.detail.finest(logits, picture, coverage)
        return clear_haze(torch.cat([made[:, :3], made[:, 3:] * coverage], dim=1), config)

    def preview() -> NDArray[np.uint8]:
        t = len(frames) // 2
        uv, opacity = footage.uv[t : t + 1], footage.opacity[t : t + 1]
        seen = sample(premultiply(coarse()), uv.permute(0, 2, 3, 1)) * opacity
        return preview_of(over(seen, footage.frames[t : t + 1]), seen[:, 3:], config)

    train(network, shots_of, criterion, config, report, preview, checkpoint)
    weights.keep(network)
    return finest() if config.detail else coarse()


@dataclass(frozen=True)
class View:
    """A crop of a frame [1,3,h,w], its UV map [1,2,h,w] and the layer's opacity [1,1,h,w].

    extent: what of the atlas it shows.
    wanted, avoid: where the bootstrap wants the layer, and where not, [1,1,h,w].
    detail: the crop's own, as logits [1,1,h,w].
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

    frames [T,3,h,w], uv [T,2,h,w] in −1..1, opacity [T,1,h,w] of the layer as the frame shows it
    (what those in front of it leave), atlas [1,3,Ha,Wa] scaled so that one of its pixels is about
    one of the frame's, coverage [1,1,Ha,Wa], detail of the atlas, details of the frames ([1,1,h,w]
    each), extents: what of the atlas each frame shows, middles: frames with both neighbours that
    show the layer (all of them if none does).
    """

    def __init__(
        self,
        frames: NDArray[np.uint8],
        atlas: LayeredAtlas,
        layer: str,
        config: EditConfig,
        device: torch.device,
        report: Reporter,
    ) -> None:
        count, height, width = frames.shape[:3]
        self.config, self.foreground = config, layer != BACKGROUND
        self.size = self._working_size(atlas, layer, height, width, count, device)
        self.neighbours = min(config.neighbours, (count - 1) // 2)
        pictures, maps, opacities, details = [], [], [], []
        self.extents = Extents()
        with torch.no_grad():
            for t in range(count):
                report.step(PHASE, 0, config.steps)
                moment = torch.tensor([t], device=device)
                pictures.append(resize(to_tensor(frames[t], device), self.size))
                maps.append(atlas.uv(layer, moment, self.size).permute(0, 3, 1, 2).float())
                opacities.append(visibility(atlas, layer, moment, self.size).float())
                details.append(Detail(pictures[-1], opacities[-1], config).map)
                self.extents.add(maps[-1], opacities[-1])
            self.frames, self.uv = torch.cat(pictures), torch.cat(maps)
            self.opacity, self.details = torch.cat(opacities), details
            image, coverage = _full(atlas, layer, device)
            size = self._atlas_size((image.shape[-2], image.shape[-1]))
            self.atlas, self.coverage = resize(image, size), resize(coverage, size)
            self.detail = Detail(self.atlas, self.coverage, config)
            self._whole = self._scaled(config.atlas_whole_scale)
        self.boxes = [box(self.opacity[t, 0] > 0.5) for t in range(count)]
        middles = range(self.neighbours, count - self.neighbours)
        self.middles = [t for t in middles if (self.opacity[t] > 0.5).any()] or list(middles)

    def _working_size(
        self,
        atlas: LayeredAtlas,
        layer: str,
        height: int,
        width: int,
        count: int,
        device: torch.device,
    ) -> tuple[int, int]:
        """Frame size at which what is edited, frame or object with its margin, has config.size."""
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

    def moments(self, random: torch.Generator) -> list[int]:
        """A random frame with its neighbours, or that frame alone in a very short clip."""
        t = self.middles[int(torch.randint(len(self.middles), (), generator=random))]
        return [t - self.neighbours, t, t + self.neighbours] if self.neighbours else [t]

    def area(self, t: int) -> Window:
        """What of frame t is looked at: all of it, or the object's box and margin."""
        height, width = self.size
        if not self.foreground:
            return Window(0, 0, height, width)
        margin = round(self.config.object_margin * max(height, width))
        return self.boxes[t].grown(margin, height, width)

    def view(self, t: int, random: torch.Generator, places: Places | None = None) -> View:
        """A random crop of frame t: most of the frame, or of the object's box and margin.

        places: what the bootstrap starts from; without, the layer's own opacity.
        """
        (height, width), config = self.size, self.config
        area = self.area(t)
        keep = config.object_crop if self.foreground else config.frame_crop
        keep = keep if config.internal else 1.0
        top, bottom = crop_span(area.top, area.bottom, keep, height, random)
        left, right = crop_span(area.left, area.right, keep, width, random)
        window = Window(top, left, bottom, right)
        return View(
            window.cut(self.frames[t : t + 1]),
            window.cut(self.uv[t : t + 1]),
            window.cut(self.opacity[t : t + 1]),
            self.extents.of(t, top, left, bottom, right),
            window.cut((places.wanted.frames if places else self.opacity)[t : t + 1]),
            window.cut(places.avoid.frames[t : t + 1]) if places and places.avoid else None,
            window.cut(self.details[t]),
        )

    def atlas_window(self, views: list[View]) -> Window:
        """The atlas pixels the crops look at, where the layer is visible, and a small margin."""
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
        """The whole atlas as a picture of its own, its coverage and its detail."""
        return self._whole

    def finest(self, atlas: LayeredAtlas, layer: str) -> tuple[Tensor, Tensor]:
        """The atlas and its coverage at their own resolution, or the edit's if that is finer."""
        image, coverage = _full(atlas, layer, self.atlas.device)
        height, width = max(one.shape[-2:] for one in (image, self.atlas))
        return resize(image, (height, width)), resize(coverage, (height, width))

    def _scaled(self, scale: float) -> tuple[Tensor, Tensor, Tensor]:
        height, width = (max(MIN_CROP, round(n * scale)) for n in self.atlas.shape[-2:])
        whole = self.atlas, self.coverage, self.detail.map
        picture, coverage, detail = (resize(one, (height, width)) for one in whole)
        return picture, coverage, detail

    def local(self, uv_12HW: Tensor, area: Window) -> Tensor:
        """Atlas coordinates −1..1 as coordinates of an atlas window: grid [1,h,w,2]."""
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
        uv, visible = self.uv, self.opacity[..., 1:, 1:] > 0.5
        across = (uv[..., 1:, 1:] - uv[..., 1:, :-1]).norm(dim=1, keepdim=True)[visible]
        down = (uv[..., 1:, 1:] - uv[..., :-1, 1:]).norm(dim=1, keepdim=True)[visible]
        steps = torch.cat([across, down])
        wanted = 2 / max(float(steps.median()), 1e-6) if len(steps) else float(max(full))
        longest = min(wanted, self.config.atlas_limit, 2 * max(full))
        factor = longest / max(full)
        return max(MIN_CROP, round(full[0] * factor)), max(MIN_CROP, round(full[1] * factor))


def _full(atlas: LayeredAtlas, layer: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """A layer's picture and coverage, [1,3,Ha,Wa] and [1,1,Ha,Wa] in 0..1."""
    image, coverage = (one(layer).to(device).float() for one in (atlas.image, atlas.coverage))
    return image.clamp(0, 1), coverage.clamp(0, 1)


def sample(x_BCHW: Tensor, grid_BHW2: Tensor) -> Tensor:
    """Bilinear look-up, zero outside."""
    return F.grid_sample(x_BCHW, grid_BHW2, align_corners=False)


def premultiply(layer_B4HW: Tensor) -> Tensor:
    """Straight α → colours times α, the form in which a layer may be sampled and faded."""
    alpha = layer_B4HW[:, 3:]
    return torch.cat([layer_B4HW[:, :3] * alpha, alpha], dim=1)


def over(layer_B4HW: Tensor, background: Tensor) -> Tensor:
    """A premultiplied layer over a background."""
    return layer_B4HW[:, :3] + (1 - layer_B4HW[:, 3:]) * background


def _shot(
    layer_14HW: Tensor, backdrop: Tensor, green: Tensor, wanted: Tensor, avoid: Tensor | None
) -> Shot:
    """wanted, avoid: where a bootstrap, if the config wants one, starts, and where not."""
    return Shot(
        source=backdrop,
        output=over(layer_14HW, backdrop),
        screen=over(layer_14HW, green),
        alpha=layer_14HW[:, 3:],
        relevancy=wanted,
        avoid=avoid,
    )


def _jittered(x_13HW: Tensor, config: EditConfig, random: torch.Generator) -> Tensor:
    draw = float(torch.rand((), generator=random))
    if not config.internal or draw >= config.internal_jitter:
        return x_13HW
    colour, contrast = jitter(config.internal_jitter_strength, random)
    return apply_colour(
        x_13HW, send(colour[None], x_13HW.device), x_13HW.new_full((1, 1, 1, 1), contrast)
    )
