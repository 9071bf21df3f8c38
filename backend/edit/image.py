"""Edit one image: train a generator on it alone (Text2LIVE §3), return the RGBA layer.

Shapes: C channels, H×W pixels.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from backend.clip.model import TextImageModel
from backend.edit.config import EditConfig
from backend.edit.criterion import Example
from backend.edit.detail import Detail
from backend.edit.memory_plan import plan_memory
from backend.edit.pixels import (
    composite,
    fit_size,
    matte_levels,
    preview_image,
    resize,
    scale_alpha,
    short_size,
    to_image,
    to_tensor,
)
from backend.edit.regions import relevancy_map
from backend.edit.texts import TextTargets
from backend.edit.train import Setup, train
from backend.edit.views import Views, crop_matrix, draw_views, homography_grid, jitter_colours
from backend.to_device import send


def edit_image(
    image: NDArray[np.uint8], setup: Setup, mask: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Layer [H,W,4] uint8, straight alpha, that makes the image [H,W,3] show the prompt.

    mask: [H,W], 0 where the layer must stay empty. Raises JobError, Cancelled.
    """
    still = Still(image, setup, mask)
    train(setup, still)
    return still.layer()


class Still:
    """One image as the subject of a training."""

    def __init__(
        self, image: NDArray[np.uint8], setup: Setup, mask: NDArray[np.uint8] | None = None
    ) -> None:
        config, device = setup.config, setup.device
        self.setup, self.config = setup, config
        self.image = to_tensor(image, device)
        own_size = (image.shape[0], image.shape[1])
        fit = fit_size if config.still_side == "long" else short_size
        size = fit(*own_size, config.size)
        inside, self.allowed = None, torch.ones_like(self.image[:, :1])
        if mask is not None:
            inside, self.allowed = (_mask(mask, one, device) for one in (size, own_size))
        source = resize(self.image, size)
        self.dataset = InternalDataset(source, inside, setup.targets, setup.clip, config)
        smallest = int(min(size) * config.internal_scale[0] * config.internal_crop[0])
        self.network = setup.generator(max(8, smallest))
        largest = config.internal_scale[1] * config.internal_crop[1] if config.internal else 0.0
        pixels = round(math.prod(size) * (1 + largest**2))
        plan_memory(
            setup, self.network, pixels, 2 if config.internal else 1, self.image.nbytes,
            on_host=False,
        )  # fmt: skip

    def examples(self, step: int) -> list[Example]:
        """A random crop, and at regular intervals the whole image."""
        config, dataset = self.config, self.dataset
        whole = (dataset.whole, "whole", None)
        samples = [self._crop()] if config.internal else [whole]
        if config.internal and step % config.whole_every == 0:
            samples.append(whole)
        return [self._example(*one) for one in samples]

    def _crop(self) -> tuple[Tensor, str, Views | None]:
        """A crop; if it is one of a fixed set, with its name and its views."""
        config, random = self.config, self.setup.random
        if not config.internal_count:
            return self.dataset.sample(random), "", None
        number = int(torch.randint(config.internal_count, (), generator=random))
        own = torch.Generator().manual_seed((config.seed % 2**32 + 1) * 2**20 + number)
        sample = self.dataset.sample(own)
        height, width = sample.shape[-2:]
        return sample, f"crop {number}", draw_views(config.views, height, width, own)

    def _example(self, sample: Tensor, name: str, views: Views | None) -> Example:
        source, layer = sample[:, :3], self._layer_of(sample)
        return Example(
            source=source,
            output=composite(layer, source),
            screen=composite(layer, self.setup.green_1311),
            alpha=layer[:, 3:],
            relevancy=sample[:, 4:5] if self.dataset.has_relevancy else None,
            avoid=sample[:, 5:6] if self.dataset.has_avoid else None,
            name=name,
            views=views,
        )

    def _layer_of(self, sample: Tensor) -> Tensor:
        return scale_alpha(self.network(sample[:, :3], sample[:, 6:]), sample[:, 3:4])

    def preview(self) -> NDArray[np.uint8]:
        """The composite and the matte so far."""
        layer = self._at_working_size()
        shown = composite(layer, self.dataset.whole[:, :3])
        return preview_image(shown, layer[:, 3:], self.config)

    def layer(self) -> NDArray[np.uint8]:
        """The layer at the image's own size, [H,W,4]."""
        made = self._with_all_detail() if self.config.detail else self._at_working_size()
        height, width = self.image.shape[-2:]
        return to_image(scale_alpha(resize(made, (height, width)), self.allowed))

    @torch.no_grad()
    def _at_working_size(self) -> Tensor:
        return matte_levels(self._layer_of(self.dataset.whole), self.config)

    @torch.no_grad()
    def _with_all_detail(self) -> Tensor:
        logits = self.network.logits(self.dataset.whole[:, :3])
        made = self.dataset.detail.finest(logits, self.image, self.allowed)
        return matte_levels(made, self.config)


class InternalDataset:
    """One image with its mask and relevancy maps, whole or in random crops (Text2LIVE §3.3).

    whole: [1,7,H,W], channels RGB, mask, relevancy, avoid, all 0..1, and detail as logits. Where
    the edit starts is the artist's mask if there is one, else a relevancy map.
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
        bootstraps = bool(config.bootstrap and config.bootstrap_steps)
        zeros = torch.zeros_like(source[:, :1])
        relevancy, avoid = mask, None
        by_text = config.bootstrap_where == "text"
        text_D = targets.region_or_source_D if by_text else targets.region_D
        if bootstraps and relevancy is None and text_D is not None:
            relevancy = relevancy_map(clip, source, text_D, config)
        if bootstraps and targets.avoid_D is not None:
            avoid = relevancy_map(clip, source, targets.avoid_D, config)
        if relevancy is None and (config.bootstrap_where == "layer" or avoid is not None):
            relevancy = torch.ones_like(zeros)  # nothing limits it: the whole image
        self.has_relevancy = bootstraps and relevancy is not None
        self.has_avoid = avoid is not None
        if relevancy is not None:
            relevancy = relevancy * config.bootstrap_level
        inside = torch.ones_like(zeros) if mask is None else mask
        self.detail = Detail(source, inside, config)
        maps = [inside, *(zeros if one is None else one for one in (relevancy, avoid))]
        self.whole = torch.cat([source, *maps, self.detail.map], dim=1)

    def sample(self, random: torch.Generator) -> Tensor:
        """A random crop, scaled, maybe flipped, its colours maybe jittered: [1,7,H',W']."""
        config = self.config
        height, width = self.whole.shape[-2:]
        high = _between(config.internal_crop, random)
        share = high, high if config.internal_one_share else _between(config.internal_crop, random)
        scale = _between(config.internal_scale, random)
        left, top = torch.rand(2, generator=random).tolist()
        matrix = crop_matrix(left * (1 - share[1]), top * (1 - share[0]), share[1], share[0])
        if torch.rand((), generator=random) < config.internal_flip:
            matrix = matrix @ torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
        size = [max(8, round(n * s * scale)) for n, s in zip((height, width), share, strict=True)]
        grid = homography_grid(send(matrix[None], self.whole.device), size[0], size[1])
        sample = F.grid_sample(self.whole, grid, padding_mode="border", align_corners=False)
        if torch.rand((), generator=random) < config.internal_jitter:
            rgb = jitter_colours(sample[:, :3], config.internal_jitter_strength, random)
            sample = torch.cat([rgb, sample[:, 3:]], dim=1)
        return sample


def _mask(mask: NDArray[np.uint8], size: tuple[int, int], device: torch.device) -> Tensor:
    """Mask [H,W] → [1,1,h,w] in 0..1."""
    inside = (mask.reshape(*mask.shape[:2], 1) > 0).astype(np.uint8) * 255
    return resize(to_tensor(inside, device), size)


def _between(span: tuple[float, float], random: torch.Generator) -> float:
    return span[0] + (span[1] - span[0]) * float(torch.rand((), generator=random))
