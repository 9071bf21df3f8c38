"""A transformer block of open_clip, computed step by step, and weights rounded once.

Shapes: B images, L tokens, A heads, E token width.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.clip.perceptron import perceptron


def rounded(module: nn.Module) -> nn.Module:
    """A frozen module with its matrices (and their biases) in bfloat16; all else is shared with it.

    What autocast computes in float32 (norms) or does not touch (class token, positions) stays so.
    """
    matrices = isinstance(module, nn.Linear | nn.Conv2d | nn.MultiheadAttention)

    def own(name: str, weight: nn.Parameter | None) -> nn.Parameter | None:
        if weight is None or not (matrices or name == "proj"):
            return weight
        return nn.Parameter(weight.to(torch.bfloat16), requires_grad=False)

    made = copy.copy(module)
    made._parameters = {name: own(name, one) for name, one in module._parameters.items()}
    made._modules = {
        name: None if child is None else rounded(child) for name, child in module._modules.items()
    }
    return made


def explicit_block(block: Any, h_BLE: Tensor, *, watch: bool = False) -> tuple[Tensor, Tensor]:
    """One residual attention block, with its attention: (output [B,L,E], attention [B,A,L,L]).

    Equal to ``block(h)``, whose ``nn.MultiheadAttention`` exposes neither the attention nor its
    gradient. watch: let a gradient be taken at the attention.
    """
    q, k, v = _queries_keys_values(block, h_BLE)
    a_BALL = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(dim=-1)
    if watch and not a_BALL.requires_grad:
        a_BALL.requires_grad_()
    return _after_attention(block, h_BLE, a_BALL.to(v.dtype) @ v), a_BALL


def fused_block(block: Any, h_BLE: Tensor) -> Tensor:
    """The same block with attention in one kernel, which does not store the L×L weights."""
    return _after_attention(
        block, h_BLE, F.scaled_dot_product_attention(*_queries_keys_values(block, h_BLE))
    )


def class_token_block(block: Any, h_BLE: Tensor) -> Tensor:
    """Only the class token after the same block, [B,1,E]."""
    attention, width = block.attn, h_BLE.shape[-1]
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    normed_BLE = block.ln_1(h_BLE)
    q_B1E = F.linear(normed_BLE[:, :1], weight[:width], bias[:width])
    kv_BLE2 = F.linear(normed_BLE, weight[width:], bias[width:])
    batch, length, _ = h_BLE.shape
    q = q_B1E.reshape(batch, 1, attention.num_heads, -1).transpose(1, 2)
    k, v = kv_BLE2.reshape(batch, length, 2, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    a_BA1L = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(dim=-1)
    return _after_attention(block, h_BLE[:, :1], a_BA1L.to(v.dtype) @ v)


def _queries_keys_values(block: Any, h_BLE: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each [B,A,L,E/A]."""
    attention = block.attn
    batch, length, _ = h_BLE.shape
    projected = F.linear(block.ln_1(h_BLE), attention.in_proj_weight, attention.in_proj_bias)
    q, k, v = projected.reshape(batch, length, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    return q, k, v


def _after_attention(block: Any, h_BLE: Tensor, mixed_BALW: Tensor) -> Tensor:
    """The rest of the block: heads joined, both residual sums, the MLP."""
    mixed_BLE = mixed_BALW.transpose(1, 2).flatten(2)
    h_BLE = h_BLE + block.ls_1(block.attn.out_proj(mixed_BLE))
    after: Tensor = h_BLE + block.ls_2(perceptron(block.mlp, block.ln_2(h_BLE)))
    return after
