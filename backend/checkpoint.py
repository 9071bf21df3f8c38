"""Training that was interrupted goes on: its state in one file, replaced every few seconds."""

from __future__ import annotations

import contextlib
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

from backend.progress import Reporter, Silent

EVERY = 10.0  # seconds between two checkpoints


@dataclass(frozen=True)
class State:
    """Where training was: phase, next step in it, every tensor by name, and measures by name."""

    phase: str
    step: int
    tensors: dict[str, Tensor]
    numbers: dict[str, float]


class Checkpoint:
    """The file of one training. Without a path nothing is kept; what goes wrong with it is told.

    every: seconds between two states. what: is trained, for sentences.
    """

    def __init__(
        self,
        path: Path | None = None,
        every: float = EVERY,
        report: Reporter = Silent(),  # noqa: B008  (without state)
        what: str = "atlas",
    ) -> None:
        self.path, self.every, self.report, self.what = path, every, report, what
        self.untried = False
        """Whether a state was loaded that no step was taken from yet."""
        self._last = time.monotonic()
        self._told = False

    def load(self, device: torch.device) -> State | None:
        """The state that was kept last; None when there is none. A damaged one is dropped."""
        if self.path is None or not self.path.exists():
            return None
        try:
            tensors = safetensors.torch.load_file(self.path, str(device))
            with safetensors.safe_open(self.path, "pt") as file:
                about = json.loads(file.metadata()["about"])
            state = State(about["phase"], about["step"], tensors, about["numbers"])
        except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError):
            self.drop()
            self.report.note(
                f"What was kept of the interrupted {self.what} cannot be read: it is begun anew."
            )
            return None
        self.untried = True
        return state

    def keep(self, make: Callable[[], State], *, now: bool = False) -> None:
        """Write the state if the last one is old enough, or now; `make` is called only then.

        Where it cannot be written, that is told once, and the training goes on.
        """
        self.untried = False
        if self.path is None or not (now or time.monotonic() - self._last >= self.every):
            return
        state = make()
        about = {"phase": state.phase, "step": state.step, "numbers": state.numbers}
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        tensors = {name: one.detach().cpu().contiguous() for name, one in state.tensors.items()}
        try:
            safetensors.torch.save_file(tensors, fresh, {"about": json.dumps(about)})
            os.replace(fresh, self.path)
        except (OSError, safetensors.SafetensorError) as why:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            if not self._told:
                self.report.note(
                    f"The {self.what} under way cannot be kept in {self.path.parent} ({why}): if "
                    "it is interrupted, it begins anew. Free some space there."
                )
            self._told = True
        self._last = time.monotonic()

    def drop(self) -> None:
        """Forget the state: the training is done, or cannot go on from it."""
        self.untried = False
        if self.path is not None:
            with contextlib.suppress(OSError):  # one that stays is swept when it is old
                self.path.unlink(missing_ok=True)
