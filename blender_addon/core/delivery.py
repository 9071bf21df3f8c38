"""Fetching a finished job's result to disk: a few files in flight, then one atomic rename."""

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
from .jobs import FETCHING, PLACING, SINGLE_LAYER, Job

IN_FLIGHT = 4
ABANDONED_S = 3600.0  # a partial folder without a new frame for this long is left over
RECORD = "job.json"


class Fetcher(Protocol):
    """What a delivery needs of the client."""

    def fetch(self, ref: jobs.ObjectRef, tag: object = None) -> None:
        """Request an array; it arrives as an event with the same tag."""


class Delivery:
    """Fetches one job's layers, or the pictures of an analysis, into `job.folder`.

    Files are written to a ``.part`` folder beside it, which is renamed after the last one: a folder
    without ``.part`` is always complete. PNGs are compressed on a thread of their own.
    """

    def __init__(self, job: Job, fetcher: Fetcher, writer: ThreadPoolExecutor) -> None:
        assert job.result is not None
        self.job = job
        self._fetcher = fetcher
        self._writer = writer
        self._names = files_to_fetch(job)
        self._names_by_digest: dict[str, list[str]] = {}
        for name, ref in self._names.items():
            self._names_by_digest.setdefault(ref.digest, []).append(name)
        self._refs = {ref.digest: ref for ref in self._names.values()}
        self._waiting = list(self._names_by_digest)
        self._writes: list[Future[int]] = []
        self._in_flight = 0
        # A unique name: an earlier delivery that was dropped may still be writing or cleaning up.
        self.part = job.folder.with_name(f"{job.folder.name}.{uuid.uuid4().hex[:8]}.part")

    def start(self) -> None:
        """Request the first frames, or use a layer that is on disk already."""
        if not self._names:
            raise jobs.JobError(
                "empty_result",
                "The job finished without a layer.",
                "This is a bug in the backend; its console output may say more.",
            )
        layer = self.job.result.layer if self.job.result else ()
        if layer:
            height, width = layer[0].shape[:2]
            self.job.layer_size = (width, height)
            self.job.parts = layer_parts(self.job)
        if self._use_existing():
            return
        self._remove_abandoned()
        self.part.mkdir(parents=True)
        self.job.enter(FETCHING, 0, len(self._names))
        self._fetch_more()

    def receive(self, digest: str, image: NDArray[np.uint8]) -> None:
        """Write a fetched frame: uint8 [H,W,4] straight alpha."""
        if digest not in self._names_by_digest:
            return
        self._in_flight -= 1
        self._writes.append(self._writer.submit(self._write, self._names_by_digest[digest], image))
        self._fetch_more()

    def poll(self) -> bool:
        """Count the files written, and finish after the last; True if any was written.

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
        """Stop, and remove the partial folder."""
        for write in self._writes:
            write.cancel()
        self._writer.submit(shutil.rmtree, self.part, ignore_errors=True)

    def _fetch_more(self) -> None:
        while self._waiting and self._in_flight < IN_FLIGHT:
            digest = self._waiting.pop(0)
            self._in_flight += 1
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
            self.drop()  # another Blender following this job was faster
        self._complete()

    def _use_existing(self) -> bool:
        if self._is_there():
            self._complete()
            return True
        if self.job.folder.exists():
            shutil.rmtree(self.job.folder)
        return False

    def _is_there(self) -> bool:
        return all((self.job.folder / name).exists() for name in (RECORD, *self._names))

    def _remove_abandoned(self) -> None:
        """Remove partial folders that are left over; one that another Blender is writing stays."""
        for part in self.job.folder.parent.glob(f"{self.job.folder.name}.*.part"):
            with contextlib.suppress(OSError):
                if time.time() - part.stat().st_mtime > ABANDONED_S:
                    shutil.rmtree(part, ignore_errors=True)

    def _complete(self) -> None:
        assert self.job.result is not None
        folder, layer = self.job.folder, self.job.result.layer
        self.job.files = layer_files(folder, self.job.parts, len(layer))
        if not layer:
            self.job.pictures = {Path(name).stem: folder / name for name in self._names}
        self.job.enter(PLACING)


def files_to_fetch(job: Job) -> dict[str, jobs.ObjectRef]:
    """The objects to fetch of a job's result, by file name: its layers, or else its pictures.

    A job with several layers gets a strip for each; their composite is not fetched.
    """
    if job.result is None:
        return {}
    if job.result.layer or job.kind != "atlas":
        layers = {part: job.result.parts.get(part, job.result.layer) for part in layer_parts(job)}
        return {
            frame_file_name(index, part): ref
            for part, layer in layers.items()
            for index, ref in enumerate(layer)
        }
    return {f"{name}.png": ref for name, ref in job.result.pictures.items()}


def layer_parts(job: Job) -> tuple[str, ...]:
    """Names of the layers in a job's result, back to front."""
    named = job.result.parts if job.result else {}
    return tuple(name for name in reversed(jobs.LAYERS) if name in named) or SINGLE_LAYER


def layer_files(folder: Path, parts: tuple[str, ...], frames: int) -> tuple[Path, ...]:
    """The files of a job's layers, one layer after another."""
    return tuple(folder / frame_file_name(index, part) for part in parts for index in range(frames))


def frame_file_name(index: int, part: str = "") -> str:
    """File name of a layer's frame, counted from 0: ``0001.png``, ``background_0001.png``."""
    return f"{part}_{index + 1:04d}.png" if part else f"{index + 1:04d}.png"


def part_of_file(name: str) -> str:
    """The layer in a frame's file name; empty for a job with a single layer."""
    return name.rpartition("_")[0]


def read_record(folder: Path) -> dict[str, Any]:
    """The record beside a layer: job, label, anchor, numbers, version, parts, settings.

    Raises OSError, ValueError.
    """
    record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return record
