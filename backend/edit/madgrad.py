"""MADGRAD (Defazio & Jelassi, arXiv 2101.11075) over all weights at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from madgrad import MADGRAD


class Madgrad(MADGRAD):  # type: ignore[misc]  # the package has no types
    """Bit-identical to the package's optimiser, with one fused call per operation.

    The package goes weight by weight: some two thousand calls a step for this generator, which keep
    a GPU waiting. Without momentum, or with decoupled decay, its own code runs.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step down the gradients; weights without one stay as they are."""
        if any(not group["momentum"] or group["decouple_decay"] for group in self.param_groups):
            own: float | None = super().step(closure)
            return own
        loss = closure() if closure is not None else None
        if "k" not in self.state:
            self.state["k"] = torch.tensor([0], dtype=torch.long)
        for group in self.param_groups:
            self._step(group, int(self.state["k"]))
        self.state["k"] += 1
        return loss

    def _step(self, group: dict[str, Any], taken: int) -> None:
        eps, decay, average = group["eps"], group["weight_decay"], group["momentum"]
        lr = group["lr"] + eps if group["lr"] else 0.0
        share = lr * math.sqrt(taken + 1)
        weights = [weight for weight in group["params"] if weight.grad is not None]
        for weight in weights:
            if "x0" not in self.state[weight]:
                self.state[weight]["grad_sum_sq"] = torch.zeros_like(weight)
                self.state[weight]["s"] = torch.zeros_like(weight)
                self.state[weight]["x0"] = weight.clone()
        grads = [weight.grad for weight in weights]
        squares, sums, starts = (
            [self.state[weight][slot] for weight in weights] for slot in ("grad_sum_sq", "s", "x0")
        )
        if decay:
            torch._foreach_add_(grads, weights, alpha=decay)
        torch._foreach_addcmul_(squares, grads, grads, value=share)
        roots = torch._foreach_pow(squares, 1 / 3)
        torch._foreach_add_(roots, eps)
        torch._foreach_add_(sums, grads, alpha=share)
        ahead = torch._foreach_addcdiv(starts, sums, roots, value=-1)
        torch._foreach_mul_(weights, average)
        torch._foreach_add_(weights, ahead, alpha=1 - average)
