"""Saved training state: one file, replaced every few seconds, from which training resumes."""

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
    """The state of a training: phase, next step in it, and its tensors and measures by name."""

    phase: str
    step: int
    tensors: dict[str, Tensor]
    numbers: dict[str, float]


class Checkpoint:
    """The checkpoint file of one training. Without a path, nothing is saved.

    every: seconds between two saves. report: gets a note if the file cannot be read or written.
    what: the thing that is trained, as notes call it.
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
        """Whether a state was loaded and no step has been trained since."""
        self._last = time.monotonic()
        self._reported = False

    def load(self, device: torch.device) -> State | None:
        """The last saved state, or None. A damaged one is deleted."""
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
                f"The saved state of the interrupted {self.what} cannot be read, so the "
                f"{self.what} starts over."
            )
            return None
        self.untried = True
        return state

    def keep(self, make: Callable[[], State], *, now: bool = False) -> None:
        """Save the state if the last save is old enough or now is set; `make` is called only then.

        If it cannot be written, the artist gets one note, and the training continues.
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
            if not self._reported:
                self.report.note(
                    f"The state of the {self.what} cannot be saved in {self.path.parent} ({why}). "
                    f"If the {self.what} is interrupted, it starts over. Free some space there."
                )
            self._reported = True
        self._last = time.monotonic()

    def drop(self) -> None:
        """Delete the state: the training is done, or cannot resume from it."""
        self.untried = False
        if self.path is not None:
            with contextlib.suppress(OSError):  # a leftover is swept once it is old
                self.path.unlink(missing_ok=True)
