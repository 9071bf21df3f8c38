"""The losses of a run, left on the device until they are asked for: asking waits for a GPU."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from protocol.jobs import JobError

# Steps after which a GPU is waited for: progress must not run far ahead of it.
PATIENCE = 10


class Ledger:
    """Losses of all steps. known: those of the steps before.

    device: where they are computed; on a CPU asking costs nothing, and every step is looked at.
    """

    def __init__(self, known: list[float], device: torch.device) -> None:
        self._known = known
        self._pending: list[tuple[Tensor, dict[str, Tensor]]] = []
        self._patience = 1 if device.type == "cpu" else PATIENCE

    def add(self, total: Tensor, parts: dict[str, Tensor]) -> None:
        """A step's loss and its parts, detached scalars. Raises as `settle` does, in its time."""
        self._pending.append((total, parts))
        if len(self._pending) >= self._patience:
            self.settle()

    def settle(self) -> list[float]:
        """Losses of all steps so far.

        Raises JobError("diverged") naming the first step and the parts that are not numbers.
        """
        if not self._pending:
            return self._known
        losses = torch.stack([total for total, _ in self._pending]).tolist()
        for loss, (_, parts) in zip(losses, self._pending, strict=True):
            self._known.append(loss)
            if not math.isfinite(loss):
                raise _diverged(len(self._known), parts)
        self._pending.clear()
        return self._known


def _diverged(step: int, parts: dict[str, Tensor]) -> JobError:
    culprits = [name for name, value in parts.items() if not math.isfinite(float(value))]
    return JobError(
        "diverged",
        f"The edit broke down at step {step}: {', '.join(culprits) or 'the loss'} is not a number.",
        "Try another seed or preset; an area of one flat colour cannot be edited.",
        retryable=True,
    )
