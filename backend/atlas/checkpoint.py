"""A fit that was interrupted goes on: its state in one file, replaced every few seconds."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

EVERY = 10.0  # seconds between two checkpoints


@dataclass(frozen=True)
class State:
    """Where a fit was: phase, next step in it, every tensor by name, and measures of the masks."""

    phase: str
    step: int
    tensors: dict[str, Tensor]
    numbers: dict[str, float]


class Checkpoint:
    """The file of one fit. Without a path nothing is kept."""

    def __init__(self, path: Path | None = None, every: float = EVERY) -> None:
        self.path, self.every = path, every
        self._last = time.monotonic()

    def load(self, device: torch.device) -> State | None:
        """The state that was kept last; None when there is none, or none that can be read."""
        if self.path is None or not self.path.exists():
            return None
        try:
            tensors = safetensors.torch.load_file(self.path, str(device))
            with safetensors.safe_open(self.path, "pt") as file:
                about = json.loads(file.metadata()["about"])
            return State(about["phase"], about["step"], tensors, about["numbers"])
        except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError):
            return None

    def keep(self, make: Callable[[], State]) -> None:
        """Write the state if the last one is old enough; `make` is called only then."""
        if self.path is None or time.monotonic() - self._last < self.every:
            return
        state = make()
        about = {"phase": state.phase, "step": state.step, "numbers": state.numbers}
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        safetensors.torch.save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()},
            fresh,
            {"about": json.dumps(about)},
        )
        os.replace(fresh, self.path)
        self._last = time.monotonic()

    def drop(self) -> None:
        """Forget the state: the fit is done."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
