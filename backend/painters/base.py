"""What a painter must do, and what the shell of every edit (methods/edit.py) gives it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.interface import LayeredAtlas
from backend.checkpoint import Checkpoint
from backend.progress import Reporter
from protocol.jobs import EditJob


@dataclass(frozen=True, kw_only=True)
class Task:
    """One layer of one shot to paint.

    job: the edit, reduced to this layer: its texts and settings are this layer's alone.
    video: an atlas is painted rather than a still. warm: a finished edit is there to start from.
    """

    job: EditJob
    layer: str
    video: bool
    warm: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long a task takes, and what decides its result.

    steps: how far `Reporter.step` counts in phase EDIT_PHASE. identity: plain values; a checkpoint
    is resumed only where these are equal, besides the job, the atlas and the device.
    """

    steps: int
    identity: object


@dataclass(frozen=True)
class WarmStart:
    """Files of one layer of one shot. earlier: a finished edit's, to start from. kept: its own."""

    earlier: Path | None = None
    kept: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where a painting reports, what it resumes from, and what it starts from."""

    report: Reporter
    checkpoint: Checkpoint
    warm_start: WarmStart


class Painter(Protocol):
    """A way of painting. Made once a job, from the job and the device: it loads its models then.

    Each method may raise JobError; Cancelled passes through from the reporter. The same task,
    pixels and seed give the same bytes on the same device.
    """

    def plan(self, task: Task) -> Plan:
        """Steps and identity of a task, without doing any of it."""

    def paint_still(
        self, task: Task, image: NDArray[np.uint8], mask: NDArray[np.uint8] | None, run: Run
    ) -> NDArray[np.uint8]:
        """Layer [H,W,4] uint8, straight alpha, over an image [H,W,3] uint8 sRGB.

        mask: [H,W] uint8, 0 where the layer must stay empty; None: all of it may change.
        """

    def paint_atlas(
        self, task: Task, frames: NDArray[np.uint8], atlas: LayeredAtlas, run: Run
    ) -> Tensor:
        """Painted atlas of the task's layer [1,4,Ha,Wa] in 0..1, straight alpha, at any resolution.

        frames: [T,H,W,3] uint8 sRGB, to look at; the atlas is not changed.
        """
