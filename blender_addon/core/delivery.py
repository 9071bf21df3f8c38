"""A finished job's pictures onto disk: a few in flight, whole files only, then one rename."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..wire import jobs
from . import png
from .jobs import ALONE, FETCHING, PLACING, Job

IN_FLIGHT = 4
ABANDONED_S = 3600.0  # without a new frame, until a folder half written counts as left behind
RECORD = "job.json"


class Fetcher(Protocol):
    """The one thing a delivery needs of the client."""

    def fetch(self, ref: jobs.ObjectRef, tag: object = None) -> None:
        """Ask for an array; it arrives as an event with the same tag."""


class Delivery:
    """One job's layer, or the named pictures of an analysis, on the way into `job.folder`.

    They go to a ``.part`` folder beside it that takes its name when the last one is written, so
    a folder without ``.part`` is always complete. PNGs are compressed on a thread of its own.
    """

    def __init__(self, job: Job, fetcher: Fetcher, writer: ThreadPoolExecutor) -> None:
        assert job.result is not None
        self.job = job
        self._fetcher = fetcher
        self._writer = writer
        self._names = names_of(job)
        self._places: dict[str, list[str]] = {}
        for name, ref in self._names.items():
            self._places.setdefault(ref.digest, []).append(name)
        self._refs = {ref.digest: ref for ref in self._names.values()}
        self._waiting = list(self._places)
        self._writes: list[Future[int]] = []
        self._asked = 0
        # A name of its own: an earlier delivery, dropped, may still be writing or cleaning up.
        self.part = job.folder.with_name(f"{job.folder.name}.{uuid.uuid4().hex[:8]}.part")

    def start(self) -> None:
        """Ask for the first frames, or take a layer that is on disk already."""
        if not self._names:
            raise jobs.JobError(
                "empty_result",
                "The job finished without a layer.",
                "Look at the backend's own output; this is a fault of the backend.",
            )
        layer = self.job.result.layer if self.job.result else ()
        if layer:
            height, width = layer[0].shape[:2]
            self.job.layer_size = (width, height)
            self.job.parts = parts_of(self.job)
        if self._finished_before():
            return
        self._remove_abandoned()
        self.part.mkdir(parents=True)
        self.job.enter(FETCHING, 0, len(self._names))
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

    def _write(self, names: list[str], image: NDArray[np.uint8]) -> int:
        data = png.encode(image)
        for name in names:
            path = self.part / name
            part = path.with_name(path.name + ".part")
            part.write_bytes(data)
            os.replace(part, path)
        return len(names)

    def _finish(self) -> None:
        assert self.job.result is not None
        record = {
            "job": self.job.id,
            "label": self.job.label,
            "anchor": self.job.anchor.to_plain(),
            "numbers": self.job.result.numbers,
            "version": self.job.version,
            "parts": list(self.job.parts),
            "settings": self.job.settings.to_plain() if self.job.settings else None,
        }
        (self.part / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
        try:
            os.replace(self.part, self.job.folder)
        except OSError:
            if not self._is_there():
                raise
            self.drop()  # another Blender that follows this job was quicker
        self._complete()

    def _finished_before(self) -> bool:
        if self._is_there():
            self._complete()
            return True
        if self.job.folder.exists():
            shutil.rmtree(self.job.folder)
        return False

    def _is_there(self) -> bool:
        return all((self.job.folder / name).exists() for name in (RECORD, *self._names))

    def _remove_abandoned(self) -> None:
        """Remove what an earlier delivery left; another Blender's, still written to, stays."""
        for part in self.job.folder.parent.glob(f"{self.job.folder.name}.*.part"):
            with contextlib.suppress(OSError):
                if time.time() - part.stat().st_mtime > ABANDONED_S:
                    shutil.rmtree(part, ignore_errors=True)

    def _complete(self) -> None:
        assert self.job.result is not None
        folder, layer = self.job.folder, self.job.result.layer
        self.job.files = files_in(folder, self.job.parts, len(layer))
        if not layer:
            self.job.pictures = {Path(name).stem: folder / name for name in self._names}
        self.job.enter(PLACING)


def names_of(job: Job) -> dict[str, jobs.ObjectRef]:
    """What is fetched of a job's result, by file name: its layer, or its pictures without one.

    Of a job of several layers each of them, and not the one they make together: a strip each.
    """
    if job.result is None:
        return {}
    if job.result.layer or job.kind != "atlas":
        layers = {part: job.result.parts.get(part, job.result.layer) for part in parts_of(job)}
        return {
            file_name(index, part): ref
            for part, layer in layers.items()
            for index, ref in enumerate(layer)
        }
    return {f"{name}.png": ref for name, ref in job.result.pictures.items()}


def parts_of(job: Job) -> tuple[str, ...]:
    """Names of the layers of a job's result, back to front."""
    named = job.result.parts if job.result else {}
    return tuple(name for name in reversed(jobs.LAYERS) if name in named) or ALONE


def files_in(folder: Path, parts: tuple[str, ...], frames: int) -> tuple[Path, ...]:
    """Where a job's layers lie, one after another."""
    return tuple(folder / file_name(index, part) for part in parts for index in range(frames))


def file_name(index: int, part: str = "") -> str:
    """Name of a layer's frame, counted from 0: ``0001.png``, ``background_0001.png``."""
    return f"{part}_{index + 1:04d}.png" if part else f"{index + 1:04d}.png"


def part_in(name: str) -> str:
    """The layer that a frame's file name tells of; nothing where it is alone."""
    return name.rpartition("_")[0]


def read_record(folder: Path) -> dict[str, Any]:
    """What was kept beside a layer: job, label, anchor, numbers, version, parts, settings.

    Raises OSError, ValueError.
    """
    record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return record
