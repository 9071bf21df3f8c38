"""A text-image model whose image side is one of timm's transformers.

These are timm's VisionTransformer (SigLIP and SigLIP 2, MobileCLIP-B and -L, ViTamin) and Eva
(EVA, EVA02, PE-Core). They differ in what the embedding is read from: a class token, the mean of
the patches, or a query that attends to all of them.

Shapes: B images, H×W pixels, L tokens (class token first, if there is one), A heads, E token width,
D embedding width.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import AttentionPoolLatent
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from backend.clip.model import TextImageModel
from backend.clip.watched_attention import carried_over, positive, watched


class TimmTransformerModel(TextImageModel):
    """As `TextImageModel`; the image side is a `TimmTower` around one of timm's transformers."""

    @staticmethod
    def reads(trunk: nn.Module) -> bool:
        """Whether this class knows how to read a network."""
        if type(trunk) not in (VisionTransformer, Eva):
            return False
        whole: Any = trunk
        pool, blocks = whole.attn_pool, whole.blocks
        plain_pool = pool is None or (
            isinstance(pool, AttentionPoolLatent)
            and pool.pos_embed is None
            and pool.latent_len == 1
            and pool.pool == "token"
        )
        watchable = all(
            hasattr(one.attn, "fused_attn") and hasattr(one.attn, "attn_drop") for one in blocks
        )
        return plain_pool and watchable and whole.global_pool in ("token", "avg", "map")

    def _sizes(self) -> tuple[int, int, int]:
        tower = self.clip.visual
        side = int(tower.image_size[0])
        return side, side // int(tower.trunk.patch_embed.grid_size[0]), int(tower.output_dim)

    @property
    def prefix(self) -> int:
        """How many tokens come before those of the patches."""
        return int(self.clip.visual.trunk.num_prefix_tokens)

    def encode_image(self, x_BCHW: Tensor) -> Tensor:
        """As `TextImageModel.encode_image`."""
        with self._arithmetic():
            h_BLE, rope = self._entering(x_BCHW)
            h_BLE = self._run(h_BLE, rope, self._blocks())
            return self._embedding(h_BLE)[0].float()

    def tokens(self, x_BCHW: Tensor) -> Tensor:
        """As `TextImageModel.tokens`; without a class token where the model has none."""
        with self._arithmetic():
            h_BLE, rope = self._entering(x_BCHW)
            return self._run(h_BLE, rope, self._blocks()[:-1]).float()

    def _blocks(self) -> Any:
        return self.visual.trunk.blocks

    def _entering(self, x_BCHW: Tensor) -> tuple[Tensor, Any]:
        """The tokens that enter the first block, and Eva's rotary positions."""
        self._check_sides(x_BCHW)
        trunk = self.visual.trunk
        patches = trunk.patch_embed((x_BCHW - self._mean_C11) / self._std_C11)
        placed = trunk._pos_embed(patches)
        h_BLE, rope = placed if isinstance(placed, tuple) else (placed, None)
        return trunk.norm_pre(h_BLE), rope

    def _run(self, h_BLE: Tensor, rope: Any, blocks: Any) -> Tensor:
        for block in blocks:
            h_BLE = self._tick_at(block(h_BLE) if rope is None else block(h_BLE, rope=rope))
        return h_BLE

    def _embedding(self, h_BLE: Tensor) -> tuple[Tensor, Tensor | None]:
        """Pool the last block's tokens: embeddings [B,D], and the pooling's attention [B,A,1,L]."""
        trunk, attention = self.visual.trunk, None
        h_BLE = trunk.norm(h_BLE)
        if trunk.attn_pool is None:
            pooled_BE = trunk.pool(h_BLE)
        else:
            pooled_BE, attention = pooled_by_query(trunk.attn_pool, h_BLE[:, self._unpooled :])
        embedded: Tensor = self.visual.head(trunk.head(trunk.fc_norm(pooled_BE)))
        return embedded, attention

    @property
    def _unpooled(self) -> int:
        """How many of the first tokens a pooling query does not see."""
        trunk = self.clip.visual.trunk
        sees_all = isinstance(trunk, Eva) or trunk.pool_include_prefix
        return 0 if sees_all else self.prefix

    def _rollout(self, x_BCSS: Tensor, text_D: Tensor, layers: int) -> Tensor:
        blocks = self._blocks()
        layers = min(layers, len(blocks))
        with torch.no_grad():
            h_BLE, rope = self._entering(x_BCSS)
            h_BLE = self._run(h_BLE, rope, blocks[:-layers])
        last = blocks[-layers:]
        with torch.enable_grad(), watched(block.attn for block in last) as attentions:
            embedded_BD, query = self._embedding(self._run(h_BLE, rope, last))
            maps = attentions if query is None else [*attentions, query]
            gradients = torch.autograd.grad(self._score(embedded_BD, text_D), maps)
        x_BLL = carried_over(attentions, gradients[: len(attentions)])
        rows, columns = x_BCSS.shape[-2] // self.patch, x_BCSS.shape[-1] // self.patch
        read_B1L = self._readout(query, gradients[-1])
        row_B1L = read_B1L @ x_BLL
        if query is not None:
            row_B1L = row_B1L + read_B1L
        return row_B1L[:, 0, self.prefix :].reshape(-1, 1, rows, columns)

    def _readout(self, query: Tensor | None, gradient: Tensor) -> Tensor:
        """How much of each token the embedding is made of, [B,1,L]."""
        batch, length = len(gradient), gradient.shape[-1]
        if query is not None:
            return F.pad(positive(query, gradient), (self._unpooled, 0))
        weights = torch.zeros(batch, 1, length, device=gradient.device)
        if self.clip.visual.trunk.global_pool == "token":
            weights[..., 0] = 1
        else:
            weights[..., self.prefix :] = 1 / (length - self.prefix)
        return weights


def pooled_by_query(pool: Any, h_BLE: Tensor) -> tuple[Tensor, Tensor]:
    """timm's pooling by a learnt query, with its attention: [B,E] and [B,A,1,L]."""
    batch, length, _ = h_BLE.shape
    heads = pool.num_heads
    q_B1E = pool.q(pool.latent.expand(batch, -1, -1))
    q = pool.q_norm(q_B1E.reshape(batch, 1, heads, -1).transpose(1, 2))
    k, v = pool.kv(h_BLE).reshape(batch, length, 2, heads, -1).permute(2, 0, 3, 1, 4)
    attention = ((q * pool.scale) @ pool.k_norm(k).transpose(-1, -2)).softmax(dim=-1)
    mixed_B1E = (attention.to(v.dtype) @ v).transpose(1, 2).reshape(batch, 1, -1)
    out_B1E = pool.proj(mixed_B1E)
    if pool.mlp is not None:
        out_B1E = out_B1E + pool.mlp(pool.norm(out_B1E))
    return out_B1E[:, 0], attention
