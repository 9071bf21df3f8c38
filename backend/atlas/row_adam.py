"""Row-sparse Adam: rows that a step does not touch keep their moments."""

from __future__ import annotations

import torch
from torch import Tensor


class RowAdam:
    """Adam (Kingma & Ba, 2015) for tensors of which a step touches only some rows.

    Per-frame parameters get a gradient only when their frame is drawn. Ordinary Adam would keep
    moving the others with stale momentum; here moments and bias correction are kept per row, and
    untouched rows do not change.
    """

    def __init__(
        self, tensors: dict[str, Tensor], rates: dict[str, float], betas: tuple[float, float]
    ) -> None:
        """tensors: leaf tensors by name, rows first. rates: learning rate by name."""
        self.tensors, self.rates, self.betas = tensors, rates, betas
        self.first = {k: torch.zeros_like(v) for k, v in tensors.items()}
        self.second = {k: torch.zeros_like(v) for k, v in tensors.items()}
        self.count = {k: v.new_zeros(v.shape[0]) for k, v in tensors.items()}

    def state(self) -> dict[str, Tensor]:
        """Moments and counts by ``first.NAME``, ``second.NAME``, ``count.NAME``."""
        parts = {"first": self.first, "second": self.second, "count": self.count}
        return {f"{part}.{k}": v for part, values in parts.items() for k, v in values.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Load what `state` returned; other names are ignored."""
        for name, value in self.state().items():
            value.copy_(state[name])

    @torch.no_grad()
    def step(self, rows: dict[str, Tensor | None], factor: float) -> None:
        """Update rows by name (unique indices, None for all), then drop all gradients.

        Tensors that are not named do not change. factor: multiplies every rate.
        """
        b1, b2 = self.betas
        for name, at in rows.items():
            tensor = self.tensors[name]
            if tensor.grad is None:
                continue
            pick = slice(None) if at is None else at
            g = tensor.grad[pick]
            m = self.first[name][pick].lerp_(g, 1 - b1)
            v = self.second[name][pick].mul_(b2).addcmul_(g, g, value=1 - b2)
            n = self.count[name][pick] + 1
            if at is not None:  # indexing by a tensor copies; a slice is a view
                self.first[name][at], self.second[name][at] = m, v
            self.count[name][pick] = n
            shape = (-1,) + (1,) * (tensor.dim() - 1)
            rate = self.rates[name] * factor / (1 - b1**n).view(shape)
            size = v.div((1 - b2**n).view(shape)).sqrt_().add_(1e-9)
            tensor[pick] -= size.reciprocal_().mul_(m).mul_(rate)
        for tensor in self.tensors.values():
            tensor.grad = None
