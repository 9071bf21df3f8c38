"""Text2LIVE's two baselines for clips: the edit without the frames, and without the atlas.

They take the same texts, settings and number of views a step as `video.edit_atlas`, so that only
what the generator is trained on differs. They show what the atlas is for; no job runs them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.interface import LayeredAtlas
from backend.atlas.layers import visibility
from backend.clip.model import TextImageModel
from backend.edit.config import EditConfig, EditTexts
from backend.edit.criterion import Example
from backend.edit.crops import MIN_CROP
from backend.edit.detail import Detail
from backend.edit.footage import Footage
from backend.edit.image import edit_image
from backend.edit.pixels import (
    matte_levels,
    over,
    premultiply,
    preview_image,
    resize,
    scale_alpha,
    to_image,
    to_tensor,
)
from backend.edit.regions import find_regions
from backend.edit.train import Setup, train
from backend.edit.views import jitter_colours
from backend.progress import Reporter

VERSION = "baselines-2"
"""Raise it when the same settings train differently."""
TRANSPARENT = -30.0  # the logit of an alpha of 0
EXAMPLES = 4  # of a step of edit_atlas: three frames, and one of them directly


def edit_atlas_alone(
    atlas: LayeredAtlas,
    layer: str,
    texts: EditTexts,
    clip: TextImageModel,
    config: EditConfig,
    report: Reporter,
) -> Tensor:
    """The *atlas baseline*: the atlas is edited as an image, without looking at any frame.

    Returns the edited atlas [1,4,Ha,Wa] in 0..1, straight alpha, for atlas.render.render_layer.
    Raises JobError, Cancelled.
    """
    image, seen = to_image(atlas.image(layer)), to_image(atlas.coverage(layer))
    config = replace(
        config,
        size=config.atlas_limit,
        views=replace(config.views, count=EXAMPLES * config.views.count),
    )
    return to_tensor(edit_image(image, Setup(texts, clip, config, report), seen), clip.device)


def edit_frames_alone(
    frames: NDArray[np.uint8], atlas: LayeredAtlas, layer: str, setup: Setup
) -> list[NDArray[np.uint8]]:
    """The *frames baseline*: one generator over the frames as images, each edited on its own.

    frames: [T,H,W,3] uint8 sRGB. atlas: read only for the layer's opacity, which bounds this
    baseline as it bounds the others. Returns [H,W,4] uint8 for each frame. Raises JobError,
    Cancelled.
    """
    subject = Frames(frames, atlas, layer, setup)
    train(setup, subject)
    return [subject.layer(t) for t in range(len(frames))]


class Frames:
    """Every frame of a clip, as the subject of a training."""

    def __init__(
        self, frames: NDArray[np.uint8], atlas: LayeredAtlas, layer: str, setup: Setup
    ) -> None:
        config = setup.config
        self.setup, self.config = setup, config
        self._frames, self._atlas, self._layer = frames, atlas, layer
        self.footage = Footage(frames, atlas, layer, config, setup.device, setup.progress.tick)
        self.regions = find_regions(self.footage, setup.targets, setup.clip, config, setup.report)
        seen = torch.stack([(one > 0.5).any() for one in self.footage.opacity])
        self.shown = [t for t in range(len(frames)) if seen[t]] or [*range(len(frames))]
        self.network = setup.generator(min(MIN_CROP, *self.footage.size))

    def examples(self, step: int) -> list[Example]:
        """Random frames that show the layer."""
        draws = torch.randint(len(self.shown), (EXAMPLES,), generator=self.setup.random).tolist()
        return [self._example(self.shown[draw]) for draw in draws]

    def _example(self, t: int) -> Example:
        config, random = self.config, self.setup.random
        view = self.footage.view(t, random, self.regions)
        frame, mirrored = view.frame, False
        if config.internal:
            jitters, mirrors = torch.rand(2, generator=random).tolist()
            mirrored = mirrors < config.internal_flip
            if jitters < config.internal_jitter:
                frame = jitter_colours(frame, config.internal_jitter_strength, random)
        if mirrored:
            made = self.network(frame.flip(-1), view.detail.flip(-1)).flip(-1)
        else:
            made = self.network(frame, view.detail)
        layer_14HW = premultiply(made) * view.opacity
        return Example(
            source=frame,
            output=over(layer_14HW, frame),
            screen=over(layer_14HW, self.setup.green_1311),
            alpha=layer_14HW[:, 3:],
            relevancy=view.wanted,
            avoid=view.avoid,
        )

    def preview(self) -> NDArray[np.uint8]:
        """The middle frame with the layer so far, and its matte."""
        footage, t = self.footage, len(self._frames) // 2
        made = resize(self._finished(t), footage.size)
        seen = premultiply(made) * footage.opacity[t]
        return preview_image(over(seen, footage.frames[t]), seen[:, 3:], self.config)

    def layer(self, t: int) -> NDArray[np.uint8]:
        """The layer of a frame at its own size, [H,W,4]."""
        made = resize(self._finished(t), (self._frames.shape[1], self._frames.shape[2]))
        return to_image(scale_alpha(made, self._opacity(t)))

    @torch.no_grad()
    def _finished(self, t: int) -> Tensor:
        """The layer of a frame, made where training looked: on the object and its margin."""
        footage = self.footage
        frame, area = footage.frames[t], footage.area(t)
        logits = frame.new_full((1, 4, *footage.size), TRANSPARENT)
        area.cut(logits).copy_(self.network.logits(area.cut(frame)))
        if not self.config.detail:
            return matte_levels(logits.sigmoid(), self.config)
        full = to_tensor(self._frames[t], self.setup.device)
        detail = Detail(frame, footage.opacity[t], self.config)
        return matte_levels(detail.finest(logits, full, self._opacity(t)), self.config)

    def _opacity(self, t: int) -> Tensor:
        return visibility(self._atlas, self._layer, torch.tensor([t], device=self.setup.device))
