"""The losses of a run, left on the device until they are read: reading waits for a GPU."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from protocol.jobs import JobError

# Steps after which the log waits for a GPU, so that the reported progress stays close to it.
READ_EVERY = 10


class LossLog:
    """Losses of all steps. known: those of the steps before.

    device: where they are computed. On a CPU reading costs nothing, so every step is checked.
    """

    def __init__(self, known: list[float], device: torch.device) -> None:
        self._known = known
        self._pending: list[tuple[Tensor, dict[str, Tensor]]] = []
        self._read_every = 1 if device.type == "cpu" else READ_EVERY

    def add(self, total: Tensor, terms: dict[str, Tensor]) -> None:
        """Add a step's loss and its terms, detached scalars. May raise as `read` does."""
        self._pending.append((total, terms))
        if len(self._pending) >= self._read_every:
            self.read()

    def read(self) -> list[float]:
        """Losses of all steps so far.

        Raises JobError("diverged") naming the first step and its terms that are not finite.
        """
        if not self._pending:
            return self._known
        losses = torch.stack([total for total, _ in self._pending]).tolist()
        for loss, (_, terms) in zip(losses, self._pending, strict=True):
            self._known.append(loss)
            if not math.isfinite(loss):
                raise _diverged(len(self._known), terms)
        self._pending.clear()
        return self._known


def _diverged(step: int, terms: dict[str, Tensor]) -> JobError:
    culprits = [name for name, value in terms.items() if not math.isfinite(float(value))]
    return JobError(
        "diverged",
        f"The edit failed at step {step}: {', '.join(culprits) or 'the loss'} is not a number.",
        "Try another seed or preset; an area of one flat colour cannot be edited.",
        retryable=True,
    )
