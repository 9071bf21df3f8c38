"""Progress reports and cancellation of long-running work: its only link to the job system."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

EDIT_PHASE = "edit"
"""The phase in which a painter counts its steps."""


class Cancelled(Exception):  # noqa: N818  (the field's word for it; not an error)
    """Raised by a Reporter call when the job was cancelled. Do not catch it."""


class Reporter(Protocol):
    """Given to every long function, which calls step at least every 0.2 s.

    Any call may raise Cancelled.
    """

    def step(self, phase: str, done: int, total: int) -> None:
        """Report done of total steps of a phase; cheap enough for every training step."""

    def preview(self, image: NDArray[np.uint8]) -> None:
        """Show an image of the state: uint8 [H,W,3] or [H,W,4] sRGB, long side at most 512."""

    def note(self, text: str) -> None:
        """Tell the artist something: one plain sentence."""


Tick = Callable[[], None]
"""Called at least every 0.2 s within one piece of work; may raise Cancelled."""


def nothing() -> None:
    """A Tick for work that cannot be cancelled."""


class Silent:
    """A Reporter that ignores everything and never cancels."""

    def step(self, phase: str, done: int, total: int) -> None:
        """Ignore."""

    def preview(self, image: NDArray[np.uint8]) -> None:
        """Ignore."""

    def note(self, text: str) -> None:
        """Ignore."""
