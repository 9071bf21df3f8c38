"""A job under test: its context, what it reported, and the edit that most tests run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from backend.context import Context
from backend.executors.base import AnyReport, Note, Step
from protocol.jobs import Clip, EditJob, KeyMask, Masks, Result
from scripts.make_clip import SyntheticClip

Pixels = NDArray[np.uint8]


class Job:
    """The context of one job in a data folder, and everything the job reports to it.

    stop: looks at the reports whenever the job may be cancelled; true cancels it.
    """

    atlases: ClassVar[Path | None] = None
    """A folder of atlases that the data folders of all jobs share, instead of one in each."""

    def __init__(
        self,
        data: Path,
        job_id: str = "0" * 32,
        stop: Callable[[list[AnyReport]], bool] = lambda _: False,
    ) -> None:
        self.data = data
        if self.atlases is not None and not (data / "atlases").exists():
            data.mkdir(parents=True, exist_ok=True)
            (data / "atlases").symlink_to(self.atlases)
        self.reports: list[AnyReport] = []
        self.ctx = Context(job_id, "cpu", data, self.reports.append, lambda: stop(self.reports))

    def clip_of(self, frames: Iterable[Pixels]) -> Clip:
        """Store frames [H,W,3]; the clip they make."""
        return Clip(frames=tuple(self.ctx.store(np.ascontiguousarray(frame)) for frame in frames))

    def keys_of(self, masks: dict[int, Pixels]) -> tuple[KeyMask, ...]:
        """Store masks [H,W] by their frames."""
        return tuple(
            KeyMask(frame=frame, mask=self.ctx.store(np.ascontiguousarray(mask[..., None])))
            for frame, mask in masks.items()
        )

    def swan_edit(
        self, shot: SyntheticClip, frames: int | None = None, **fields: object
    ) -> EditJob:
        """The edit of the demo's swan that most tests run, with a mask for every frame.

        frames: only so many of the shot. fields: others of the EditJob.
        """
        keys = self.keys_of(dict(enumerate(shot.masks()[:frames])))
        return EditJob(
            clip=self.clip_of(shot.frames[:frames]),
            prompt=("golden swan",),
            source=("blue swan",),
            masks=Masks(mode="all", keys=keys),
            preset="draft",
            **fields,  # type: ignore[arg-type]
        )

    def notes(self) -> str:
        """All notes, in one text."""
        return " ".join(r.text for r in self.reports if isinstance(r, Note))

    def phases(self) -> list[str]:
        """The phases, each once, in order."""
        return list(dict.fromkeys(r.phase for r in self.reports if isinstance(r, Step)))

    def layer(self, result: Result, part: str = "") -> Pixels:
        """The result's layer, or one of its parts, [T,H,W,4]."""
        refs = result.parts[part] if part else result.layer
        return np.stack([self.ctx.load(ref) for ref in refs])
