"""Read the attention of timm's modules, with its gradient, and follow it back to the patches.

Shapes: B images, A heads, L tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def watched(modules: Iterable[nn.Module]) -> Iterator[list[Tensor]]:
    """While entered, these attention modules add their attention [B,A,L,L] to the list, in order.

    A gradient can be taken at each. Modules are timm's: with ``fused_attn`` and an ``attn_drop``
    that the attention passes through.
    """
    seen: list[Tensor] = []

    def keep(_module: nn.Module, _given: Any, made: Tensor) -> Tensor:
        attention = made if made.requires_grad else made.detach().requires_grad_()
        seen.append(attention)
        return attention

    owners: list[Any] = list(modules)
    fused = [one.fused_attn for one in owners]
    hooks = [one.attn_drop.register_forward_hook(keep) for one in owners]
    try:
        for one in owners:
            one.fused_attn = False
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
        for one, before in zip(owners, fused, strict=True):
            one.fused_attn = before


def rolled_out(attentions: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    """Relevancy of every token for every other after these blocks, [B,L,L].

    Positive parts of attention × gradient, mean over heads (Chefer et al., ICCV 2021, eqs. 5-6).
    """
    first = attentions[0]
    r_BLL = torch.eye(first.shape[-1], device=first.device).repeat(len(first), 1, 1)
    for a_BALL, g_BALL in zip(attentions, gradients, strict=True):
        r_BLL = r_BLL + positive(a_BALL, g_BALL) @ r_BLL
    return r_BLL


def carried_over(attentions: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    """`rolled_out` without every token's relevancy for itself, which may hide small differences."""
    first = positive(attentions[0], gradients[0])
    for a_BALL, g_BALL in zip(attentions[1:], gradients[1:], strict=True):
        step = positive(a_BALL, g_BALL)
        first = first + step + step @ first
    return first


def positive(attention: Tensor, gradient: Tensor) -> Tensor:
    """Positive parts of attention × gradient, mean over heads: [B,A,M,L] → [B,M,L]."""
    return (attention.detach() * gradient).clamp_min(0).mean(dim=1)
