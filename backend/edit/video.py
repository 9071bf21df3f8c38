"""Edit one layer of a clip: train a generator on its atlas, seen through the frames (Text2LIVE §4).

Every step takes the frames t−k, t, t+k. The atlas crop that covers them goes through the generator
once; its layer is sampled back into the three frames through the atlas' UV maps and judged there.

Shapes: T frames, C channels, H×W frame, Ha×Wa atlas, h×w crop.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.interface import LayeredAtlas
from backend.checkpoint import Checkpoint
from backend.clip.model import TextImageModel
from backend.edit.config import EditConfig, EditTexts
from backend.edit.crops import MIN_CROP
from backend.edit.footage import Footage
from backend.edit.generator import Generator
from backend.edit.generator_files import Weights
from backend.edit.matte import clear_haze
from backend.edit.preview import preview_of
from backend.edit.regions import places_of
from backend.edit.texts import TextTargets
from backend.edit.train import (
    Criterion,
    Shot,
    autocast,
    beating,
    train,
)
from backend.edit.transfer import send
from backend.edit.views import apply_colour, jitter
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
