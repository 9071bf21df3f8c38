"""Finished edits to start from: the weights that a job leaves, found by its id and by content."""

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
"""Edits whose weights are kept, the last used; one takes 0.1 to 15 MB a layer and shot."""


class WarmStarts:
    """The weights of a job, and of the one that it starts from.

    A folder a job, a file a layer and shot; the file's name says which frames and which layer.
    Raises JobError("no_earlier_edit") if the job is to start from one that is not kept.
    """

    def __init__(self, spec: EditJob, ctx: Context) -> None:
        shelf = ctx.data / "generators"
        shelf.mkdir(parents=True, exist_ok=True)
        self._own, self._ctx = shelf / ctx.job, ctx
        self._from = shelf / spec.after if spec.after else None
        if self._from is not None:
            if not any(self._from.glob("*.safetensors")):
                raise JobError(
                    "no_earlier_edit",
                    "The edit to start from is not kept here: it did not finish, made no layer, or "
                    "is too long ago.",
                    "Start from a later one, or afresh.",
                )
            os.utime(self._from)
        sweep(shelf, KEPT)

    def of_layer(self, spec: EditJob, layer: str) -> WarmStart:
        """The files of one layer of a shot; a layer that the earlier edit lacks starts cold."""
        digests = [frame.digest for frame in spec.clip.frames]
        name = hashlib.sha256(msgpack.packb((digests, layer))).hexdigest()
        file = f"{name}.safetensors"
        earlier = None if self._from is None else self._from / file
        if earlier is not None and not earlier.exists():
            self._ctx.note(
                f"The edit to start from knows nothing of the {layer} of these frames: it is begun "
                "afresh."
            )
            earlier = None
        return WarmStart(earlier=earlier, kept=self._own / file)


def sweep(shelf: Path, kept: int) -> None:
    """Delete all but the folders that were used last."""
    folders = []
    for folder in shelf.iterdir():
        with contextlib.suppress(OSError):  # another worker may sweep too
            folders.append((folder.stat().st_mtime, folder))
    for _, folder in sorted(folders)[: max(0, len(folders) - kept)]:
        shutil.rmtree(folder, ignore_errors=True)
