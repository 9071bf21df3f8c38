"""From a strip and the panel's settings to a job ready to send, one small step a tick."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import bpy

from ..core.frames import FrameStore, mask_of
from ..core.request import Settings, check, check_before_reading, edit_job, mask_files
from ..wire import jobs
from .extract import Reader, check_source, read_picture


class Reading:
    """Frames, then masks; then the job. Call step() until it gives the job, then keep `frames`."""

    def __init__(self, scene: Any, strip: Any, settings: Settings) -> None:
        check_source(strip)
        check(settings)
        self._fps = scene.render.fps / scene.render.fps_base
        self.frames = FrameStore(Path(bpy.app.tempdir) / f"text2live-{uuid.uuid4().hex}")
        self.reader = Reader(scene, strip, self.frames, settings.longest)
        try:
            self._masks = mask_files(settings, self.reader.start, self.reader.total)
            indices = [index for index, _path in self._masks]
            size, frames = self.reader.sent_size, self.reader.total
            check_before_reading(settings, size, frames, indices, self._fps)
        except jobs.JobError:
            self.abandon()
            raise
        self._settings = settings
        self._keys: list[jobs.KeyMask] = []

    @property
    def done(self) -> int:
        """Pictures read so far."""
        return len(self.reader.refs) + len(self._keys)

    @property
    def total(self) -> int:
        """Pictures to read."""
        return self.reader.total + len(self._masks)

    def step(self) -> jobs.EditJob | None:
        """Read one more picture; the job once all are read. Raises JobError."""
        if not self.reader.done:
            self.reader.read()
        elif len(self._keys) < len(self._masks):
            index, path = self._masks[len(self._keys)]
            mask = mask_of(read_picture(path), self.reader.size, path.name)
            self._keys.append(jobs.KeyMask(frame=index, mask=self.frames.add(mask)))
        if self.done < self.total:
            return None
        self.reader.close()
        return edit_job(self._settings, tuple(self.reader.refs), tuple(self._keys), self._fps)

    def drop_copy(self) -> None:
        """Leave no trace in the file for a moment (it is being saved or undone)."""
        self.reader.drop_copy()

    def abandon(self) -> None:
        """Stop: remove the copy of the scene and the frames."""
        self.reader.close()
        self.frames.close()
