"""Edit one picture: train a generator on it alone (Text2LIVE §3), return the RGBA layer.

Shapes: C channels, H×W pixels.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from backend.checkpoint import Checkpoint
from backend.clip.model import TextImageModel
from backend.edit.config import EditConfig, EditTexts
from backend.edit.detail import Detail
from backend.edit.generator import Generator
from backend.edit.generator_files import Weights
from backend.edit.matte import clear_haze
from backend.edit.preview import preview_of
from backend.edit.texts import TextTargets
from backend.edit.train import (
    Criterion,
    Shot,
    autocast,
    beating,
    compose,
    fit_size,
    resize,
    to_image,
    to_tensor,
    train,
)
from backend.edit.transfer import send
from backend.edit.views import (
    Views,
    apply_colour,
    crop_matrix,
    draw_views,
    homography_grid,
    jitter,
)
from backend.progress import Reporter


def edit_image(
    image: NDArray[np.uint8],
    texts: EditTexts,
    clip: TextImageModel,
    config: EditConfig,
    device: torch.device,
    report: Reporter,
    mask: NDArray[np.uint8] | None = None,
    checkpoint: Checkpoint | None = None,
    weights: Weights = Weights(),  # noqa: B008  (frozen)
) -> NDArray[np.uint8]:
    """Layer [H,W,4] uint8, straight alpha, that makes the picture [H,W,3] show the prompt.

    mask: [H,W], 0 where the layer must stay empty. checkpoint: as for `train`. weights: where the
    generator starts from and is kept. Raises JobError, Cancelled.
    """
    random = torch.Generator().manual_seed(config.seed)
    full = to_tensor(image, device)
    size = fit_size(image.shape[0], image.shape[1], config.size)
    inside = None if mask is None else _mask(mask, size, device)
    allowed = torch.ones_like(full[:, :1])
    if mask is not None:
        allowed = _mask(mask, (image.shape[0], image.shape[1]), device)
    with beating(clip, config, report):
        targets = TextTargets(clip, texts, config.screen_templates)
        picture = Picture(resize(full, size), inside, targets, clip, config)
    criterion = Criterion(clip, targets, config, device, random)
    if targets.source_PKD is None and config.direction:
        report.note("No text says what is there now; the edit follows the prompt alone.")

    smallest = int(min(size) * config.internal_scale[0] * config.internal_crop[0])
    network = Generator(
        channels=config.channels, scales=config.scales, skip_channels=config.skip_channels,
        side=max(8, smallest), seed=config.seed,
    ).to(device)  # fmt: skip
    weights.start(network)

    def layer_of(sample: Tensor) -> Tensor:
        with autocast(config, device):
            layer_14HW: Tensor = network(sample[:, :3], sample[:, 6:])
        return torch.cat([layer_14HW[:, :3], layer_14HW[:, 3:] * sample[:, 3:4]], dim=1)

    def drawn() -> tuple[Tensor, str, Views | None]:
        """A crop, its name and its views, where it may come again."""
        if not config.internal_count:
            return picture.sample(random), "", None
        number = int(torch.randint(config.internal_count, (), generator=random))
        own = torch.Generator().manual_seed((config.seed % 2**32 + 1) * 2**20 + number)
        sample = picture.sample(own)
        height, width = sample.shape[-2:]
        return sample, f"crop {number}", draw_views(config.views, height, width, own)

    def shots_of(step: int) -> list[Shot]:
        samples = [drawn()] if config.internal else [(picture.whole, "whole", None)]
        if config.internal and step % config.whole_every == 0:
            samples.append((picture.whole, "whole", None))
        shots = []
        for sample, name, views in samples:
            source, layer = sample[:, :3], layer_of(sample)
            shots.append(
                Shot(
                    source=source, output=compose(layer, source),
                    screen=compose(layer, criterion.green_1311), alpha=layer[:, 3:],
                    relevancy=sample[:, 4:5] if picture.has_relevancy else None,
                    avoid=sample[:, 5:6] if picture.has_avoid else None,
                    name=name, views=views,
                )
            )  # fmt: skip
        return shots

    @torch.no_grad()
    def coarse() -> Tensor:
        return clear_haze(layer_of(picture.whole), config)

    @torch.no_grad()
    def finest() -> Tensor:
        with autocast(config, device):
            logits = network.logits(picture.whole[:, :3])
        return clear_haze(picture.detail.finest(logits, full, allowed), config)

    def preview() -> NDArray[np.uint8]:
        layer = coarse()
        return preview_of(compose(layer, picture.whole[:, :3]), layer[:, 3:], config)

    train(network, shots_of, criterion, config, report, preview, checkpoint)
    weights.keep(network)
    layer = resize(finest() if config.detail else coarse(), (image.shape[0], image.shape[1]))
    return to_image(torch.cat([layer[:, :3], layer[:, 3:] * allowed], dim=1))


class Picture:
    """The internal dataset: the picture with its mask and relevancy maps, whole or in crops.

    whole: [1,7,H,W], channels RGB, mask, relevancy, avoid, all 0..1, and detail as logits. The
    artist's mask, where there is one, says better than any relevancy map where the edit starts.
    """

    def __init__(
        self,
        source: Tensor,
        mask: Tensor | None,
        targets: TextTargets,
        clip: TextImageModel,
        config: EditConfig,
    ) -> None:
        self.config = config
        wanted = bool(config.bootstrap and config.bootstrap_steps)
        nothing = torch.zeros_like(source[:, :1])
        relevancy, avoid = mask, None
        text_D = targets.region_D if config.bootstrap_where == "text" else targets.place_D
        if wanted and relevancy is None and text_D is not None:
            relevancy = self._relevancy(clip, source, text_D)
        if wanted and targets.avoid_D is not None:
            avoid = self._relevancy(clip, source, targets.avoid_D)
        if relevancy is None and (config.bootstrap_where == "layer" or avoid is not None):
            relevancy = torch.ones_like(nothing)  # nothing says where: all of the picture
        self.has_relevancy = wanted and relevancy is not None
        self.has_avoid = avoid is not None
        if relevancy is not None:
            relevancy = relevancy * config.bootstrap_level
        inside = torch.ones_like(nothing) if mask is None else mask
        self.detail = Detail(source, inside, config)
        self.whole = torch.cat(
            [
                source,
                inside,
                nothing if relevancy is None else relevancy,
                nothing if avoid is None else avoid,
                self.detail.map,
            ],
            dim=1,
        )

    def _relevancy(self, clip: TextImageModel, source: Tensor, text_D: Tensor) -> Tensor:
        config = self.config
        return clip.relevancy(
            source,
            text_D,
            layers=config.relevancy_layers,
            windows=config.relevancy_windows,
            edges=config.relevancy_windows > 1,
        )

    def sample(self, random: torch.Generator) -> Tensor:
        """A random crop, scaled, maybe flipped, its colours maybe jittered: [1,7,H',W']."""
        config = self.config
        height, width = self.whole.shape[-2:]
        share = _between(config.internal_crop, random), _between(config.internal_crop, random)
        scale = _between(config.internal_scale, random)
        left, top = torch.rand(2, generator=random).tolist()
        matrix = crop_matrix(left * (1 - share[1]), top * (1 - share[0]), share[1], share[0])
        if torch.rand((), generator=random) < config.internal_flip:
            matrix = matrix @ torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
        size = [max(8, round(n * s * scale)) for n, s in zip((height, width), share, strict=True)]
        grid = homography_grid(send(matrix[None], self.whole.device), size[0], size[1])
        sample = F.grid_sample(self.whole, grid, padding_mode="border", align_corners=False)
        if torch.rand((), generator=random) < config.internal_jitter:
            colour, contrast = jitter(config.internal_jitter_strength, random)
            rgb = apply_colour(
                sample[:, :3],
                send(colour[None], sample.device),
                sample.new_full((1, 1, 1, 1), contrast),
            )
            sample = torch.cat([rgb, sample[:, 3:]], dim=1)
        return sample


def _mask(mask: NDArray[np.uint8], size: tuple[int, int], device: torch.device) -> Tensor:
    """Mask [H,W] → [1,1,h,w] in 0..1."""
    inside = (mask.reshape(*mask.shape[:2], 1) > 0).astype(np.uint8) * 255
    return resize(to_tensor(inside, device), size)


def _between(span: tuple[float, float], random: torch.Generator) -> float:
    return span[0] + (span[1] - span[0]) * float(torch.rand((), generator=random))
