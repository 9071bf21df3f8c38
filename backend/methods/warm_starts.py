"""Warm starts: the weights of finished edits, found by job id, frames and layer."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

import msgpack

from backend.context import Context
from backend.painters.base import WarmStart
from protocol.jobs import EditJob, JobError

KEPT = 64
"""How many edits keep their weights, most recently used first; 0.1 to 15 MB per layer and shot."""


class WarmStarts:
    """The weights a job leaves, and those of the edit it starts from.

    One folder per job, one file per layer and shot, named by a hash of the frames and the layer.
    Raises JobError("no_earlier_edit") if the edit to start from is not kept.
    """

    def __init__(self, spec: EditJob, ctx: Context) -> None:
        folder = ctx.data / "generators"
        folder.mkdir(parents=True, exist_ok=True)
        self._own, self._ctx = folder / ctx.job, ctx
        self._from = folder / spec.after if spec.after else None
        if self._from is not None:
            if not any(self._from.glob("*.safetensors")):
                raise JobError(
                    "no_earlier_edit",
                    "The edit to start from is no longer on the backend: it did not finish, made "
                    "no layer, or is too old.",
                    "Start from a newer edit, or from scratch.",
                )
            os.utime(self._from)
        sweep(folder, KEPT)

    def of_layer(self, spec: EditJob, layer: str) -> WarmStart:
        """The files of one layer of a shot; one that the earlier edit lacks starts from scratch."""
        digests = [frame.digest for frame in spec.clip.frames]
        name = hashlib.sha256(msgpack.packb((digests, layer))).hexdigest()
        file = f"{name}.safetensors"
        earlier = None if self._from is None else self._from / file
        if earlier is not None and not earlier.exists():
            self._ctx.note(
                f"The edit to start from did not cover the {layer} of these frames; that layer "
                "starts from scratch."
            )
            earlier = None
        return WarmStart(earlier=earlier, kept=self._own / file)


def sweep(folder: Path, kept: int) -> None:
    """Delete all but the most recently used folders."""
    used = []
    for one in folder.iterdir():
        with contextlib.suppress(OSError):  # another worker may sweep too
            used.append((one.stat().st_mtime, one))
    for _, one in sorted(used)[: max(0, len(used) - kept)]:
        shutil.rmtree(one, ignore_errors=True)
