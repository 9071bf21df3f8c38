"""A finished layer onto disk: a few frames in flight, whole files only, then one rename."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..wire import jobs
from . import png
from .jobs import FETCHING, PLACING, Job

IN_FLIGHT = 4
RECORD = "job.json"


class Fetcher(Protocol):
    """The one thing a delivery needs of the client."""

    def fetch(self, ref: jobs.ObjectRef, tag: object = None) -> None:
        """Ask for an array; it arrives as an event with the same tag."""


class Delivery:
    """One job's layer on its way into `job.folder`.

    Frames go to a ``.part`` folder beside it that takes its name when the last one is written, so
    a folder without ``.part`` is always complete. PNGs are compressed on a thread of its own.
    """

    def __init__(self, job: Job, fetcher: Fetcher, writer: ThreadPoolExecutor) -> None:
        assert job.result is not None
        self.job = job
        self._fetcher = fetcher
        self._writer = writer
        self._places: dict[str, list[int]] = {}
        for index, ref in enumerate(job.result.layer):
            self._places.setdefault(ref.digest, []).append(index)
        self._refs = {ref.digest: ref for ref in job.result.layer}
        self._waiting = list(self._places)
        self._writes: list[Future[int]] = []
        self._asked = 0
        # A name of its own: an earlier delivery, dropped, may still be writing or cleaning up.
        self.part = job.folder.with_name(f"{job.folder.name}.{uuid.uuid4().hex[:8]}.part")

    def start(self) -> None:
        """Ask for the first frames, or take a layer that is on disk already."""
        layer = self.job.result.layer if self.job.result else ()
        if not layer:
            raise jobs.JobError(
                "empty_result",
                "The job finished without a layer.",
                "Look at the backend's own output; this is a fault of the backend.",
            )
        height, width = layer[0].shape[:2]
        self.job.layer_size = (width, height)
        if self._finished_before(len(layer)):
            return
        for left_over in self.job.folder.parent.glob(f"{self.job.folder.name}.*.part"):
            shutil.rmtree(left_over, ignore_errors=True)
        self.part.mkdir(parents=True)
        self.job.enter(FETCHING, 0, len(layer))
        self._ask()

    def arrived(self, digest: str, image: NDArray[np.uint8]) -> None:
        """Take a fetched frame: uint8 [H,W,4] straight alpha."""
        if digest not in self._places:
            return
        self._asked -= 1
        self._writes.append(self._writer.submit(self._write, self._places[digest], image))
        self._ask()

    def advance(self) -> bool:
        """Count what is written and finish when all is; True when anything moved.

        Raises OSError when a file could not be written.
        """
        ready = [write for write in self._writes if write.done()]
        for write in ready:
            self._writes.remove(write)
            self.job.done += write.result()
        if ready and self.job.done == self.job.total:
            self._finish()
        return bool(ready)

    def drop(self) -> None:
        """Forget the layer; frames that are not complete are removed."""
        for write in self._writes:
            write.cancel()
        self._writer.submit(shutil.rmtree, self.part, ignore_errors=True)

    def _ask(self) -> None:
        while self._waiting and self._asked < IN_FLIGHT:
            digest = self._waiting.pop(0)
            self._asked += 1
            self._fetcher.fetch(self._refs[digest], tag=(self.job.id, digest))

    def _write(self, places: list[int], image: NDArray[np.uint8]) -> int:
        data = png.encode(image)
        for index in places:
            path = self.part / file_name(index)
            part = path.with_name(path.name + ".part")
            part.write_bytes(data)
            os.replace(part, path)
        return len(places)

    def _finish(self) -> None:
        assert self.job.result is not None
        record = {
            "job": self.job.id,
            "label": self.job.label,
            "anchor": self.job.anchor.to_plain(),
            "numbers": self.job.result.numbers,
        }
        (self.part / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
        os.replace(self.part, self.job.folder)
        self._complete(self.job.total)

    def _finished_before(self, count: int) -> bool:
        folder = self.job.folder
        names = (RECORD, *(file_name(index) for index in range(count)))
        if all((folder / name).exists() for name in names):
            self._complete(count)
            return True
        if folder.exists():
            shutil.rmtree(folder)
        return False

    def _complete(self, count: int) -> None:
        self.job.files = tuple(self.job.folder / file_name(i) for i in range(count))
        self.job.enter(PLACING)


def file_name(index: int) -> str:
    """Name of a layer's frame, counted from 0: ``0001.png``."""
    return f"{index + 1:04d}.png"


def read_record(folder: Path) -> dict[str, Any]:
    """What was kept beside a layer: job, label, anchor, numbers; raises OSError, ValueError."""
    record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return record
