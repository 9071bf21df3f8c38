"""The interface of a painter, and what methods/edit.py passes to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.interface import LayeredAtlas
from backend.checkpoint import Checkpoint
from backend.progress import Reporter
from protocol.jobs import EditJob, ObjectRef


@dataclass(frozen=True, kw_only=True)
class Task:
    """One layer of one shot to paint.

    job: the edit, reduced to this layer: its texts and settings are this layer's alone.
    video: paint an atlas rather than a still. warm: start from a finished edit.
    """

    job: EditJob
    layer: str
    video: bool
    warm: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many steps a task takes, and what determines its result.

    steps: the total that `Reporter.step` counts to in phase EDIT_PHASE. identity: plain values; a
    checkpoint resumes only if these, the job, the atlas and the device are all equal. edges: the
    painting covers its layer, so no fringe of the old colours may stay along the layer's edges.
    """

    steps: int
    identity: object
    edges: bool = False


@dataclass(frozen=True)
class WarmStart:
    """Files of one layer of one shot. earlier: a finished edit's, to start from. kept: its own."""

    earlier: Path | None = None
    kept: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where a painting reports, what it resumes from, and what it starts from.

    load: reads an image that the settings refer to. numbers: measures of the painting, which the
    painter adds and the result shows.
    """

    report: Reporter
    checkpoint: Checkpoint
    warm_start: WarmStart
    load: Callable[[ObjectRef], NDArray[np.uint8]]
    numbers: dict[str, float] = field(default_factory=dict)


class Painter(Protocol):
    """A way of painting. Created once per job from the job and the device; loads its models then.

    Each method may raise JobError; Cancelled passes through from the reporter. The same task,
    pixels and seed give the same bytes on the same device.
    """

    def remarks(self, spec: EditJob) -> Sequence[str]:
        """Sentences for the artist before any work starts, about what the job asks for."""

    def plan(self, task: Task) -> Plan:
        """Steps and identity of a task, without running it."""

    def prepare(self, task: Task, frames: NDArray[np.uint8], run: Run) -> None:
        """Check what the job gives against the shot [T,H,W,3] before its atlas is made."""

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
