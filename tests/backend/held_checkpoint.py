"""A checkpoint that is saved at every step and holds a training at one step, to be killed there."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from backend.checkpoint import Checkpoint, State

HOLD = "hold"
"""A file of this name in the data folder holds the next training; it is deleted once it holds."""


class HeldCheckpoint(Checkpoint):
    """Holds after it has saved the state of a phase and step, if the file HOLD is there."""

    def __init__(
        self, path: Path | None, data: Path, at: tuple[str, int], **options: object
    ) -> None:
        super().__init__(path, every=0, **options)  # type: ignore[arg-type]
        self.hold, self.at = data / HOLD, at

    def keep(self, make: Callable[[], State], *, now: bool = False) -> None:
        state = make()
        super().keep(lambda: state, now=now)
        if (state.phase, state.step) == self.at and self.hold.exists():
            self.hold.unlink()
            time.sleep(600)
