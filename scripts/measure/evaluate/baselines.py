"""Text2LIVE's two comparisons for clips: the edit without the frames, and without the atlas.

They take the same texts, settings and number of views a step as `video.edit_atlas`, so that what
differs is what the generator is trained on. Kept to show what the atlas is for; no job runs them.
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
from backend.edit.crops import MIN_CROP
from backend.edit.detail import Detail
from backend.edit.footage import Footage
from backend.edit.generator import Generator
from backend.edit.image import edit_image
from backend.edit.matte import clear_haze
from backend.edit.preview import preview_of
from backend.edit.regions import places_of
from backend.edit.texts import TextTargets
from backend.edit.train import (
    Criterion,
    Shot,
    autocast,
    beating,
    resize,
    to_image,
    to_tensor,
    train,
)
from backend.edit.video import over, premultiply
from backend.edit.views import apply_colour, jitter
from backend.progress import Reporter

VERSION = "baselines-2"
"""Raised when the same settings come to train otherwise."""
NOTHING = -30.0  # logit of an α that is none
SHOTS = 4  # what a step of edit_atlas judges: three frames and one of them directly


def edit_atlas_alone(
    atlas: LayeredAtlas,
    layer: str,
    texts: EditTexts,
    clip: TextImageModel,
    config: EditConfig,
    device: torch.device,
    report: Reporter,
) -> Tensor:
    """The *atlas baseline*: the atlas is edited as if it were a picture, and no frame is looked at.

    Returns the edited atlas [1,4,Ha,Wa] in 0..1, straight alpha, for atlas.render.render_layer.
    Raises JobError, Cancelled.
    """
    picture, seen = to_image(atlas.image(layer)), to_image(atlas.coverage(layer))
    config = replace(
        config,
        size=config.atlas_limit,
        views=replace(config.views, count=SHOTS * config.views.count),
    )
    rgba = edit_image(picture, texts, clip, config, device, report, mask=seen)
    return torch.from_numpy(rgba).to(device).permute(2, 0, 1)[None].float() / 255


def edit_frames_alone(
    frames: NDArray[np.uint8],
    atlas: LayeredAtlas,
    layer: str,
    texts: EditTexts,
    clip: TextImageModel,
    config: EditConfig,
    device: torch.device,
    report: Reporter,
) -> list[NDArray[np.uint8]]:
    """The *frames baseline*: one generator over the frames as pictures, each edited by itself.

    frames: [T,H,W,3] uint8 sRGB. atlas: read for nothing but the layer's opacity, which bounds this
    baseline as it bounds the others. Returns [H,W,4] uint8 a frame. Raises JobError, Cancelled.
    """
    random = torch.Generator().manual_seed(config.seed)
    with beating(clip, config, report):
        targets = TextTargets(clip, texts, config.screen_templates)
    criterion = Criterion(clip, targets, config, device, random)
    footage = Footage(frames, atlas, layer, config, device, report)
    with beating(clip, config, report):
        places = places_of(footage, targets, clip, config, report)
    seen = (footage.opacity > 0.5).flatten(1).any(1)
    shown = [t for t in range(len(frames)) if seen[t]] or [*range(len(frames))]
    network = Generator(
        channels=config.channels, scales=config.scales, skip_channels=config.skip_channels,
        side=min(MIN_CROP, *footage.size), seed=config.seed,
    ).to(device)  # fmt: skip

    def layer_of(source: Tensor, detail: Tensor) -> Tensor:
        with autocast(config, device):
            made: Tensor = network(source, detail)
        return made

    def shot(t: int) -> Shot:
        view = footage.view(t, random, places)
        frame, mirrored = view.frame, False
        if config.internal:
            jitters, mirrors = torch.rand(2, generator=random).tolist()
            mirrored = mirrors < config.internal_flip
            if jitters < config.internal_jitter:
                colour, contrast = jitter(config.internal_jitter_strength, random)
                frame = apply_colour(
                    frame, colour[None].to(frame), frame.new_full((1, 1, 1, 1), contrast)
                )
        if mirrored:
            made = layer_of(frame.flip(-1), view.detail.flip(-1)).flip(-1)
        else:
            made = layer_of(frame, view.detail)
        layer_14HW = premultiply(made) * view.opacity
        return Shot(
            source=frame, output=over(layer_14HW, frame),
            screen=over(layer_14HW, criterion.green_1311), alpha=layer_14HW[:, 3:],
            relevancy=view.wanted, avoid=view.avoid,
        )  # fmt: skip

    def shots_of(step: int) -> list[Shot]:
        draws = torch.randint(len(shown), (SHOTS,), generator=random).tolist()
        return [shot(shown[draw]) for draw in draws]

    @torch.no_grad()
    def finished(t: int) -> Tensor:
        """The layer of a frame, made where training looked: on the object and its margin."""
        frame, area = footage.frames[t : t + 1], footage.area(t)
        logits = frame.new_full((1, 4, *footage.size), NOTHING)
        with autocast(config, device):
            area.cut(logits).copy_(network.logits(area.cut(frame)))
        if not config.detail:
            return clear_haze(logits.sigmoid(), config)
        full, share = to_tensor(frames[t], device), visibility(atlas, layer, moment(t))
        own = Detail(frame, footage.opacity[t : t + 1], config)
        return clear_haze(own.finest(logits, full, share), config)

    def moment(t: int) -> Tensor:
        return torch.tensor([t], device=device)

    def preview() -> NDArray[np.uint8]:
        t = len(frames) // 2
        made = resize(finished(t), footage.size)
        seen = premultiply(made) * footage.opacity[t : t + 1]
        return preview_of(over(seen, footage.frames[t : t + 1]), seen[:, 3:], config)

    train(network, shots_of, criterion, config, report, preview)
    layers = []
    for t in range(len(frames)):
        made = resize(finished(t), (frames.shape[1], frames.shape[2]))
        share = visibility(atlas, layer, moment(t))
        layers.append(to_image(torch.cat([made[:, :3], made[:, 3:] * share], dim=1)))
    return layers
