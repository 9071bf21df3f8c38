"""open_clip's vision tower, run for training: bfloat16 products, and what the losses look at.

The same arithmetic as `open_clip.CLIP.encode_image` on the same parameters, arranged so that a CPU
with bfloat16 units trains half as fast again: the parameters are rounded once a step, no product
is transposed, and the last block is computed for the class token alone, since nothing reads the
other tokens after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from open_clip.model import CLIP
from torch import Tensor
from torch.nn import functional

from backend.device import computes_bfloat16

MIDDLE = 3
"""Blocks after which the tokens must know figure from ground."""


def fastest_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the machine multiplies it faster than float32."""
    return torch.bfloat16 if computes_bfloat16(device) else torch.float32


@dataclass(frozen=True)
class Seen:
    """What the tower says of B pictures; tokens are the patches, without the class token.

    feature `[B, D]` float32, not normalised; middle `[B, N, E]` the tokens after MIDDLE blocks,
    late `[B, N, E]` those that enter the last block; attention `[B, A, 1, 1 + N]` float32, the
    class token's in the last block, on the way of the gradient to `feature`.
    """

    feature: Tensor
    middle: Tensor
    late: Tensor
    attention: Tensor


def look(model: CLIP, images: Tensor, dtype: torch.dtype = torch.bfloat16) -> Seen:
    """Run normalised pictures `[B, 3, S, S]` through the tower."""
    visual: Any = model.visual
    side, patch = images.shape[-1], visual.conv1.kernel_size[0]
    grid = side // patch
    patches = (
        images.to(dtype)
        .reshape(-1, 3, grid, patch, grid, patch)
        .permute(0, 2, 4, 1, 3, 5)
        .reshape(len(images), grid * grid, -1)
    )
    x = functional.linear(patches, visual.conv1.weight.flatten(1).to(dtype))
    first = visual.class_embedding.to(dtype).expand(len(x), 1, -1)
    x = torch.cat([first, x], 1) + visual.positional_embedding.to(dtype)
    x = norm(visual.ln_pre, x)
    *blocks, last = visual.transformer.resblocks
    middle = x
    for number, block in enumerate(blocks, 1):
        x = whole_block(block, x)
        if number == MIDDLE:
            middle = x
    feature, attention = class_block(last, x)
    feature = functional.layer_norm(
        feature, feature.shape[-1:], visual.ln_post.weight, visual.ln_post.bias
    )
    return Seen(feature @ visual.proj, middle[:, 1:], x[:, 1:], attention)


def norm(layer: Any, x: Tensor) -> Tensor:
    return functional.layer_norm(
        x, x.shape[-1:], layer.weight.to(x.dtype), layer.bias.to(x.dtype), layer.eps
    )


def linear(layer: Any, x: Tensor) -> Tensor:
    return functional.linear(x, layer.weight.to(x.dtype), layer.bias.to(x.dtype))


def whole_block(block: Any, x: Tensor, mask: Tensor | None = None) -> Tensor:
    """One residual attention block for all tokens; mask `[L, L]` is added to the scores."""
    batch, length, width = x.shape
    heads = block.attn.num_heads
    weight, bias = block.attn.in_proj_weight.to(x.dtype), block.attn.in_proj_bias.to(x.dtype)
    joined = functional.linear(norm(block.ln_1, x), weight, bias)
    q, k, v = joined.view(batch, length, 3, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
    if x.is_cuda:
        mixed = functional.scaled_dot_product_attention(q, k, v, mask)
    else:
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        if mask is not None:
            scores = scores + mask
        mixed = scores.softmax(-1) @ v
    mixed = mixed.transpose(1, 2).reshape(batch, length, width)
    x = x + linear(block.attn.out_proj, mixed)
    hidden = functional.gelu(linear(block.mlp.c_fc, norm(block.ln_2, x)))
    return x + linear(block.mlp.c_proj, hidden)


def class_block(block: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """One block for the class token alone: its output `[B, E]` and attention, both float32.

    float32 because a relevancy loss differentiates this part twice.
    """
    batch, length, width = x.shape
    heads = block.attn.num_heads
    weight, bias = block.attn.in_proj_weight, block.attn.in_proj_bias
    normed = norm(block.ln_1, x)
    joined = functional.linear(normed, weight[width:].to(x.dtype), bias[width:].to(x.dtype))
    k, v = joined.float().view(batch, length, 2, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
    q = functional.linear(normed[:, :1].float(), weight[:width], bias[:width])
    q = q.view(batch, 1, heads, -1).transpose(1, 2)
    attention = ((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)).softmax(-1)
    mixed = (attention @ v).transpose(1, 2).reshape(batch, width)
    y = x[:, 0].float() + linear(block.attn.out_proj, mixed)
    hidden = functional.gelu(linear(block.mlp.c_fc, norm(block.ln_2, y)))
    return y + linear(block.mlp.c_proj, hidden), attention


def encode_text(model: CLIP, rows: Tensor, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """Unit text embeddings `[N, D]`, float32; as many positions run as the longest text needs."""
    text: Any = model
    length = int((rows != 0).sum(1).max())
    rows = rows[:, :length]
    x = (text.token_embedding(rows) + text.positional_embedding[:length]).to(dtype)
    mask = text.attn_mask[:length, :length].to(dtype)
    for block in text.transformer.resblocks:
        x = whole_block(block, x, mask)
    x = x[torch.arange(len(rows), device=rows.device), rows.argmax(-1)]
    return functional.normalize(norm(text.ln_final, x.float()) @ text.text_projection, dim=-1)
