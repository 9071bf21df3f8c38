"""A training step written the reference's way, to measure ours against.

It costs what the released code costs: texts are encoded once; the views of an image go through
open_clip's own model in one batch, each image on its own; every term draws views of its own, so
that the output is seen twice (composition and direction), source and screen once each. Nothing is
cached, tensors are stored channel by channel, everything is float32, and the loss is read at every
step. Both loops take their training images (crops, samples of the atlas) from the product's code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from madgrad import MADGRAD
from torch import Tensor

from backend.clip.model import TextImageModel
from backend.clip.templates import SCREEN_TEMPLATES, TEMPLATES, draw, fill
from backend.edit.config import EditConfig, EditTexts
from backend.edit.criterion import Example
from backend.edit.generator import Generator
from backend.edit.losses import (
    direction_loss,
    sparsity_loss,
    structure_loss,
    text_distance,
)
from backend.edit.train import Subject
from backend.edit.views import apply_views, draw_views


class PlainGenerator(Generator):
    """The same network, stored channel by channel."""

    def __init__(self, **sizes: Any) -> None:
        super().__init__(**sizes)
        self.to(memory_format=torch.contiguous_format)

    def logits(self, x_BCHW: Tensor) -> Tensor:
        """x: sRGB 0..1, any size → layer of the same size, before its sigmoid."""
        skips = []
        h = x_BCHW.contiguous()
        for skip, down in zip(self.skip, self.down, strict=True):
            skips.append(skip(h))
            h = down(h)
        for kept, up in zip(reversed(skips), self.up, strict=True):
            h = F.interpolate(h, scale_factor=2, mode="bilinear", align_corners=False)
            top = (h.shape[-2] - kept.shape[-2]) // 2
            left = (h.shape[-1] - kept.shape[-1]) // 2
            h = h[..., top : top + kept.shape[-2], left : left + kept.shape[-1]]
            block: Any = up
            h = block.rest(block.wide(block.norm(torch.cat([h, kept], dim=1))))
        h = self.head(h)
        rgb = torch.einsum("rc,bchw->brhw", self.get_buffer("rgb_from_colour"), h[:, :3])
        return torch.cat([rgb, h[:, 3:]], dim=1)


class PlainLoop:
    """One step after another. texts: a prompt and a source text, one of each."""

    def __init__(
        self,
        subject: Subject,
        model: TextImageModel,
        texts: EditTexts,
        config: EditConfig,
    ) -> None:
        self.subject, self.config = subject, config
        self.model, self.clip = model, model.clip
        sentences = (
            fill(TEMPLATES, texts.prompt[0]),
            fill(TEMPLATES, texts.source[0]),
            fill(SCREEN_TEMPLATES, texts.prompt[0]),
        )
        self.encoded = [self._encode(one) for one in sentences]
        self.random = torch.Generator().manual_seed(config.seed)
        self.optimizer = MADGRAD(
            subject.network.parameters(), lr=config.lr, momentum=config.momentum,
            weight_decay=config.weight_decay,
        )  # fmt: skip
        self.entering: list[Tensor] = []
        last = self.clip.visual.transformer.resblocks[-1]
        last.register_forward_pre_hook(lambda _, given: self.entering.append(given[0]))

    def step(self, number: int) -> float:
        """Train for one step; returns its loss."""
        prompt, source, screen = self.encoded
        kept = draw(len(prompt), self.config.templates, self.random)
        of_screen = draw(len(screen), self.config.templates, self.random)
        prompt, source, screen = prompt[kept], source[kept], screen[of_screen]
        examples = self.subject.examples(number)
        loss = torch.stack([self._loss(one, prompt, source, screen) for one in examples]).mean()
        value = float(loss.detach())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return value

    @torch.no_grad()
    def _encode(self, sentences: Sequence[str]) -> Tensor:
        ids = self.model._tokenize(list(sentences)).to(self.model.device)
        encoded: Tensor = self.clip.encode_text(ids)
        return encoded

    def _loss(self, example: Example, prompt: Tensor, source: Tensor, screen: Tensor) -> Tensor:
        config, kind = self.config, self.config.distance
        output_VD, changed_VD = self._views(example.output), self._views(example.output)
        with torch.no_grad():
            source_VD = self._views(example.source)
        screen_VD = self._views(example.screen)
        shown, turned, alone = [], [], []
        for one, before in zip(torch.split(prompt, 1), torch.split(source, 1), strict=True):
            shown.append(text_distance(kind, output_VD, one))
            turned.append(direction_loss(changed_VD, source_VD, one, before))
        for one in torch.split(screen, 1):
            alone.append(text_distance(kind, screen_VD, one))
        with torch.no_grad():
            there = self._tokens(example.source)
        structure = structure_loss(self._tokens(example.output), there, config.structure_norm)
        sparsity = sparsity_loss(example.alpha, config.sparsity_l1, config.sparsity_l0)
        return (
            config.composition * torch.stack(shown).mean()
            + config.direction * torch.stack(turned).mean()
            + config.screen * torch.stack(alone).mean()
            + config.structure * structure
            + config.sparsity * sparsity
        )

    def _views(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        drawn = draw_views(self.config.views, height, width, self.random)
        side = self.model.image_size
        embedded: Tensor = self.clip.encode_image(self._normalised(apply_views(drawn, image, side)))
        return embedded

    def _tokens(self, image: Tensor) -> Tensor:
        """Tokens that enter the last block; the image is squeezed into the model's square."""
        side = self.model.image_size
        small = F.interpolate(image, (side, side), mode="bilinear", antialias=True)
        self.entering.clear()
        self.clip.encode_image(self._normalised(small))
        return self.entering[0]

    def _normalised(self, x_BCHW: Tensor) -> Tensor:
        return (x_BCHW - self.model._mean_C11) / self.model._std_C11
