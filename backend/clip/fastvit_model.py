"""A text-image model whose image side is FastViT, as in MobileCLIP: convolutions, then attention.

Shapes: B images, C channels, H×W pixels, h×w cells of the last stage, L = h·w of them as tokens,
E their width, D embedding width.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.models.fastvit import Attention, FastVit
from torch import Tensor, nn

from backend.clip.model import TextImageModel
from backend.clip.watched_attention import carried_over, watched


class FastVitModel(TextImageModel):
    """As `TextImageModel`; its tokens are the cells of the last stage, without a class token."""

    @staticmethod
    def reads(trunk: nn.Module) -> bool:
        """Whether this class knows how to read a network."""
        whole: Any = trunk
        return isinstance(trunk, FastVit) and all(
            isinstance(getattr(block, "token_mixer", None), Attention)
            for block in whole.stages[-1].blocks
        )

    def _sizes(self) -> tuple[int, int, int]:
        tower = self.clip.visual
        cell = int(tower.trunk.feature_info[-1]["reduction"])
        return int(tower.image_size[0]), cell, int(tower.output_dim)

    @property
    def prefix(self) -> int:
        """No token comes before those of the cells."""
        return 0

    def configured(self, *, bfloat16: bool = False, tick: Any = None) -> TextImageModel:
        """As `TextImageModel.configured`; on a CPU always in float32.

        A CPU gains nothing from bfloat16 in convolutions of few channels.
        """
        return super().configured(bfloat16=bfloat16 and self.device.type == "cuda", tick=tick)

    def encode_image(self, x_BCHW: Tensor) -> Tensor:
        """As `TextImageModel.encode_image`."""
        with self._arithmetic():
            return self._embedding(self._run(self._entering(x_BCHW), self._blocks())).float()

    def tokens(self, x_BCHW: Tensor) -> Tensor:
        """As `TextImageModel.tokens`, without a class token."""
        with self._arithmetic():
            x_BEhw = self._run(self._entering(x_BCHW), self._blocks()[:-1])
            return x_BEhw.flatten(2).transpose(1, 2).float()

    def _blocks(self) -> Any:
        return self.visual.trunk.stages[-1].blocks

    def _entering(self, x_BCHW: Tensor) -> Tensor:
        """What enters the first block of the last stage, [B,E,h,w]."""
        self._check_sides(x_BCHW)
        trunk = self.visual.trunk
        x_BEhw = self._tick_at(trunk.stem((x_BCHW - self._mean_C11) / self._std_C11))
        for stage in trunk.stages[:-1]:
            x_BEhw = self._tick_at(stage(x_BEhw))
        last = trunk.stages[-1]
        entering: Tensor = last.pos_emb(last.downsample(x_BEhw))
        return entering

    def _run(self, x_BEhw: Tensor, blocks: Any) -> Tensor:
        for block in blocks:
            x_BEhw = self._tick_at(block(x_BEhw))
        return x_BEhw

    def _embedding(self, x_BEhw: Tensor) -> Tensor:
        trunk = self.visual.trunk
        embedded: Tensor = self.visual.head(trunk.forward_head(trunk.final_conv(x_BEhw)))
        return embedded

    def _rollout(self, x_BCSS: Tensor, text_D: Tensor, layers: int) -> Tensor:
        blocks = self._blocks()
        layers = min(layers, len(blocks))
        with torch.no_grad():
            x_BEhw = self._run(self._entering(x_BCSS), blocks[:-layers])
        last = blocks[-layers:]
        with torch.enable_grad(), watched(block.token_mixer for block in last) as attentions:
            embedded_BD = self._embedding(self._run(x_BEhw, last))
            gradients = torch.autograd.grad(self._score(embedded_BD, text_D), attentions)
        row_BL = carried_over(attentions, gradients).mean(dim=1)  # the embedding is their mean
        return row_BL.reshape(-1, 1, *x_BEhw.shape[-2:])
