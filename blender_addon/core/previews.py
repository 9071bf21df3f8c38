"""Previews of running jobs: the newest of each job, as a file that a panel can show."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import png
from .jobs import Job


@dataclass(frozen=True)
class PreviewRequest:
    """Tag of a preview being fetched: its job, and the sequence number of its event."""

    job: str
    seq: int


class Previews:
    """Writes previews to a temporary folder, which close() removes.

    Every file has a unique name, because Blender caches loaded images by name.
    """

    def __init__(self, writer: ThreadPoolExecutor) -> None:
        self._writer = writer
        self._folder: Path | None = None
        self._closed = False
        self._writes: dict[str, tuple[PreviewRequest, Future[Path]]] = {}

    def receive(self, preview: PreviewRequest, image: NDArray[np.uint8]) -> None:
        """Write a fetched preview, uint8 [H,W,3|4], unless a newer one came before it."""
        waiting = self._writes.get(preview.job)
        if image.shape[2] in (3, 4) and (waiting is None or waiting[0].seq < preview.seq):
            write = self._writer.submit(self._write, preview, image)
            self._writes[preview.job] = (preview, write)

    def poll(self, jobs: Mapping[str, Job]) -> bool:
        """Give jobs the previews that are written; True if any changed. Ignores write errors."""
        ready = [preview for preview, write in self._writes.values() if write.done()]
        changed = False
        for preview in ready:
            _, write = self._writes.pop(preview.job)
            job = jobs.get(preview.job)
            if job is None or write.exception() is not None:
                continue
            if job.preview is not None:
                job.preview.unlink(missing_ok=True)
            job.preview = write.result()
            changed = True
        return changed

    def forget(self, job: str) -> None:
        """Drop a job that was removed from the list."""
        self._writes.pop(job, None)

    def close(self) -> None:
        """Remove every preview once pending writes are done; safe to repeat."""
        self._writes.clear()
        if not self._closed:
            self._closed = True
            self._writer.submit(self._remove)

    def _remove(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, preview: PreviewRequest, image: NDArray[np.uint8]) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="text2live-previews-"))
        path = self._folder / f"{preview.job}-{preview.seq}.png"
        png.write(path, image)
        return path
