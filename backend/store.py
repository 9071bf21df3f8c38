"""Objects on disk by content: ``objects/ab/<digest>.blob``; `parts` holds their uploads.

A blob holds the raw pixels in C order; its shape is part of the reference. Every write goes to a
temporary file, is flushed to disk, and is renamed, so a blob that exists is complete. Several
processes may use one store; only the server writes ``.part`` files.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from backend.disk import disk_problem, sync_folder
from backend.parts import Parts, start_hash
from protocol.jobs import JobError, ObjectRef, reference

_counter = itertools.count()


class Store(Parts):
    """The content-addressed store below one folder."""

    def read(self, digest: str, offset: int, length: int) -> tuple[bytes, int]:
        """A piece of an object, and the object's size. Raises JobError ``unknown_object``."""
        try:
            with self.path(digest).open("rb") as file:
                total = os.fstat(file.fileno()).st_size
                file.seek(min(offset, total))
                return file.read(length), total
        except FileNotFoundError as why:
            raise JobError(
                "unknown_object",
                f"The backend no longer has the object {digest[:12]}….",
                "Run the job again.",
            ) from why
        finally:
            with contextlib.suppress(OSError):
                os.utime(self.path(digest))  # for the sweep, which deletes by last use

    def load(self, ref: ObjectRef) -> NDArray[np.uint8]:
        """The object as an array [H,W,C], its content verified. Raises JobError."""
        data, _ = self.read(ref.digest, 0, -1)
        digest = start_hash(ref)
        digest.update(data)
        if len(data) != ref.nbytes or digest.hexdigest() != ref.digest:
            raise JobError(
                "object_damaged",
                f"The object {ref.digest[:12]}… is damaged on the backend's disk.",
                f"Delete {self.path(ref.digest)} and run the job again.",
            )
        return np.frombuffer(data, np.uint8).reshape(ref.shape)

    def save(self, array: NDArray[np.uint8]) -> ObjectRef:
        """Store an array uint8 [H,W,C], unless it is already here. Raises JobError disk_full."""
        ref = reference(array)
        if self.has(ref):
            return ref
        path = self.path(ref.digest)
        temporary = path.with_name(f"{os.getpid()}-{next(_counter)}.tmp")
        try:
            path.parent.mkdir(exist_ok=True)
            with temporary.open("wb") as file:
                file.write(np.ascontiguousarray(array).data.cast("B"))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
        except OSError as why:
            raise disk_problem(why, self.folder) from why
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        return ref

    def sweep(self, keep: Iterable[str], cap: int) -> int:
        """Delete the least recently used objects beyond cap bytes; return the bytes freed.

        keep: digests that are never deleted. Also deletes leftovers of killed processes, so it
        must run while no worker writes.
        """
        for leftover in self.folder.glob("*/*.tmp"):
            leftover.unlink(missing_ok=True)
        kept = {self.path(digest) for digest in keep}
        kept |= {path.with_suffix(".part") for path in kept}
        files = [(path, path.stat()) for path in self.folder.glob("*/*") if path.is_file()]
        total = sum(info.st_size for _, info in files)
        freed = 0
        for path, info in sorted(files, key=lambda one: one[1].st_mtime):
            if total - freed <= cap:
                break
            if path not in kept:
                path.unlink(missing_ok=True)
                freed += info.st_size
        return freed
