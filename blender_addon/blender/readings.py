"""The jobs whose frames are being read, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..core.frames import FrameStore
from ..wire import jobs
from .kept_frames import KeptFrames, frames_key
from .reading import Reading


class Readings:
    """The readings under way, by job, in the order in which they were begun."""

    def __init__(self) -> None:
        self._under_way: dict[str, tuple[Reading, str]] = {}
        self._begun = ""
        self._kept = KeptFrames()

    def __len__(self) -> int:
        return len(self._under_way)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._under_way

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._under_way))

    @property
    def waiting(self) -> bool:
        """The main thread has nothing to do until a worker has caught up."""
        return bool(self._under_way) and next(iter(self._under_way.values()))[0].waiting

    def add(self, job_id: str, reading: Reading, scene: Any, strip: Any, longest: int) -> None:
        """Read for a job, once those before it are read. longest: as for the reading."""
        self._under_way[job_id] = (reading, frames_key(scene, strip, longest))

    def step(self, job_id: str, wait: bool) -> jobs.JobSpec | None:
        """One step of a reading; the job once it is complete. Raises JobError, OSError.

        Frames that were read before are not rendered again.
        """
        reading, key = self._under_way[job_id]
        kept = self._kept.find(key) if self._begun != job_id else None
        if kept is not None and kept.link(reading.frames):
            reading.reader.use(kept.refs, kept.transparent)
        self._begun = job_id
        spec = reading.step(wait)
        if spec is not None:
            reader = reading.reader
            self._kept.keep(key, reader.refs, reader.transparent, reading.frames)
        return spec

    def progress(self, job_id: str) -> tuple[int, int]:
        """Frames and masks read, and to read."""
        reading = self._under_way[job_id][0]
        return reading.done, reading.total

    def finish(self, job_id: str) -> tuple[FrameStore, bool]:
        """Forget a complete reading; its frames, and whether one is transparent in places."""
        reading = self._under_way.pop(job_id)[0]
        return reading.frames, reading.reader.transparent

    def abandon(self, job_id: str) -> None:
        """Stop a reading, if it is under way."""
        reading = self._under_way.pop(job_id, None)
        if reading is not None:
            reading[0].abandon()

    def drop_copies(self) -> None:
        """Remove the temporary scenes; they are made again when needed."""
        for reading, _key in self._under_way.values():
            reading.drop_copy()

    def close(self) -> None:
        """Stop every reading and drop the kept frames."""
        for job_id in self:
            self.abandon(job_id)
        self._kept.close()
