"""Edit one layer of a clip: train a generator on its atlas, seen through the frames (Text2LIVE §4).

Every step takes the frames t−k, t, t+k. The atlas crop that covers them goes through the generator
once; its layer is sampled back into the three frames through the UV maps and judged there.

Shapes: T frames, C channels, H×W frame, Ha×Wa atlas, h×w crop.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.interface import LayeredAtlas
from backend.atlas.sampling import sample
from backend.edit.criterion import Example
from backend.edit.crops import MIN_CROP
from backend.edit.footage import Footage, View
from backend.edit.memory_plan import plan_memory
from backend.edit.pixels import matte_levels, over, premultiply, preview_image, scale_alpha
from backend.edit.regions import find_regions
from backend.edit.train import Setup, train
from backend.edit.views import jitter_colours


def edit_atlas(frames: NDArray[np.uint8], atlas: LayeredAtlas, layer: str, setup: Setup) -> Tensor:
    """Edited atlas [1,4,Ha,Wa] in 0..1, straight alpha, for backend.atlas.render.render_layer.

    frames: [T,H,W,3] uint8 sRGB. layer: a layer of the atlas. The atlas is not changed; the
    result has its own resolution. Raises JobError, Cancelled.
    """
    clip_layer = ClipLayer(frames, atlas, layer, setup)
    train(setup, clip_layer)
    return clip_layer.edited_atlas()


class ClipLayer:
    """One layer of a clip as the subject of a training."""

    def __init__(
        self, frames: NDArray[np.uint8], atlas: LayeredAtlas, layer: str, setup: Setup
    ) -> None:
        config = setup.config
        self.setup, self.config = setup, config
        self._atlas, self._layer = atlas, layer
        self.footage = Footage(frames, atlas, layer, config, setup.device, setup.progress.tick)
        self.regions = find_regions(self.footage, setup.targets, setup.clip, config, setup.report)
        smallest = min(MIN_CROP, *self.footage.size, *self.footage.atlas.shape[-2:])
        self.network = setup.generator(smallest)
        footage, pixels, count = self.footage, *self._largest_step()
        plan_memory(setup, self.network, pixels, count, footage.nbytes, on_host=footage.on_host)

    def examples(self, step: int) -> list[Example]:
        """Neighbouring frames through the atlas, one frame directly, at times the whole atlas."""
        footage, random = self.footage, self.setup.random
        frames = footage.draw_frames(random)
        views = [footage.view(t, random, self.regions) for t in frames]
        examples = self._through_the_atlas(views)
        if self.config.direct:
            view = views[int(torch.randint(len(views), (), generator=random))]
            examples.append(self._directly(view))
        if step % self.config.whole_every == 0:
            examples.append(self._whole_atlas())
        return examples

    def _largest_step(self) -> tuple[int, int]:
        """Pixels that the generator sees in the largest step, and that step's examples."""
        footage, atlas = self.footage, self.footage.atlas.shape
        areas = [footage.area(t) for t in range(len(footage.frames))]
        frame = max((one.bottom - one.top) * (one.right - one.left) for one in areas)
        whole = footage.whole()[0].shape
        pixels = math.prod(atlas[-2:]) + math.prod(whole[-2:]) + self.config.direct * frame
        return pixels, 1 + (3 if footage.neighbours else 1) + self.config.direct

    def _through_the_atlas(self, views: list[View]) -> list[Example]:
        """One pass over the atlas crop that covers the views, sampled back into each of them."""
        footage, config = self.footage, self.config
        area = footage.atlas_window(views)
        source = self._jittered(area.cut(footage.atlas))
        # The internal dataset's flip: the generator sees the crop mirrored, CLIP does not.
        draw = float(torch.rand((), generator=self.setup.random))
        mirrored = config.internal and draw < config.internal_flip
        detail = area.cut(footage.detail.map)
        if mirrored:
            made = self.network(source.flip(-1), detail.flip(-1)).flip(-1)
        else:
            made = self.network(source, detail)
        examples = []
        for view in views:
            local = footage.local(view.uv, area)
            opacity = self._limit(view)
            backdrop = view.frame
            if config.backdrop == "atlas":
                backdrop = sample(area.cut(footage.atlas), local, "zeros") * opacity
            seen = sample(premultiply(made), local, "zeros") * opacity
            examples.append(self._example(seen, backdrop, view.wanted, view.avoid))
        return examples

    def _directly(self, view: View) -> Example:
        """The frame's own crop as the generator's input: a view without the atlas's distortion.

        With the layer alone as the backdrop: the object cut out of the frame, or the background as
        the atlas shows it.
        """
        frame, footage, opacity = view.frame, self.footage, self._limit(view)
        if self.config.backdrop == "atlas":
            if footage.foreground:
                frame = frame * opacity
            else:
                frame = sample(footage.atlas, view.uv.permute(0, 2, 3, 1), "zeros")
        frame = self._jittered(frame)
        seen = premultiply(self.network(frame, view.detail)) * opacity
        return self._example(seen, frame, view.wanted, view.avoid)

    def _limit(self, view: View) -> Tensor:
        """Where the view may show the layer: a background on its own has nothing in front of it."""
        alone = self.config.backdrop == "atlas" and not self.footage.foreground
        return torch.ones_like(view.opacity) if alone else view.opacity

    def _whole_atlas(self) -> Example:
        image, coverage, detail = self.footage.whole()
        seen = premultiply(self.network(image, detail)) * coverage
        wanted, avoid = self.regions.in_atlas((image.shape[-2], image.shape[-1]))
        return replace(self._example(seen, image, wanted, avoid), name="whole")

    def _jittered(self, x_13HW: Tensor) -> Tensor:
        config, random = self.config, self.setup.random
        draw = float(torch.rand((), generator=random))
        if not config.internal or draw >= config.internal_jitter:
            return x_13HW
        return jitter_colours(x_13HW, config.internal_jitter_strength, random)

    def _example(
        self, layer_14HW: Tensor, backdrop: Tensor, wanted: Tensor, avoid: Tensor | None
    ) -> Example:
        """layer: premultiplied."""
        return Example(
            source=backdrop,
            output=over(layer_14HW, backdrop),
            screen=over(layer_14HW, self.setup.green_1311),
            alpha=layer_14HW[:, 3:],
            relevancy=wanted,
            avoid=avoid,
        )

    def preview(self) -> NDArray[np.uint8]:
        """The middle frame with the layer so far, and its matte."""
        footage = self.footage
        t = len(footage.frames) // 2
        uv, opacity = footage.uv[t], footage.opacity[t]
        layer = premultiply(self._at_working_size())
        seen = sample(layer, uv.permute(0, 2, 3, 1), "zeros") * opacity
        return preview_image(over(seen, footage.frames[t]), seen[:, 3:], self.config)

    def edited_atlas(self) -> Tensor:
        """The layer in the atlas, [1,4,Ha,Wa] in 0..1."""
        return self._with_all_detail() if self.config.detail else self._at_working_size()

    @torch.no_grad()
    def _at_working_size(self) -> Tensor:
        made = self.network(self.footage.atlas, self.footage.detail.map)
        return matte_levels(scale_alpha(made, self.footage.coverage), self.config)

    @torch.no_grad()
    def _with_all_detail(self) -> Tensor:
        logits = self.network.logits(self.footage.atlas)
        image, coverage = self.footage.finest(self._atlas, self._layer)
        made = self.footage.detail.finest(logits, image, coverage)
        return matte_levels(scale_alpha(made, coverage), self.config)
