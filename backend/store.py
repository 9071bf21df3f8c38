"""Objects on disk by content: ``objects/ab/<digest>.blob``; `parts` holds their uploads.

A blob holds the raw pixels in C order; its shape is part of the reference. Every write goes to a
temporary file, is flushed to disk, and is renamed, so a blob that exists is complete. Several
processes may use one store; only the server writes ``.part`` files.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.disk import disk_problem, make_folder, sync_folder
from backend.parts import Parts, start_hash
from protocol.jobs import JobError, ObjectRef, reference

_NAME = re.compile(r"[0-9a-f]{62}\.(blob|part)|\d+-\d+\.tmp|\..*\.old")
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
        if self.use(ref):
            return ref
        path = self.path(ref.digest)
        temporary = path.with_name(f"{os.getpid()}-{next(_counter)}.tmp")
        try:
            make_folder(path.parent)
            with temporary.open("xb") as file:
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

    def use(self, ref: ObjectRef) -> bool:
        """Whether the complete object is here; if so, it counts as used now."""
        try:
            os.utime(self.path(ref.digest))  # first: it protects the object from a sweep
        except OSError:
            return False
        return self.has(ref)

    def drop(self, digest: str, newest: float) -> None:
        """Delete an object that was not used after newest, complete or not."""
        self.drop_part(digest)
        evict(self.path(digest), newest)

    def sweep(
        self,
        keep: Iterable[str],
        cap: int,
        *,
        older: float = 0.0,
        newest: float = float("inf"),
        lacking: int = 0,
        leftovers: bool = False,
    ) -> int:
        """Delete the least recently used objects beyond cap bytes; return the bytes freed.

        keep: digests that are never deleted. older: objects last used before this time are deleted
        in any case. newest: those used after this stay. lacking: bytes to free in any case.
        leftovers: delete other parts, and what killed processes left, too; only while no worker
        runs. May run in a thread of its own.
        """
        kept = {self.path(digest) for digest in keep}
        freed, total, blobs = 0, 0, []
        for path, info in self._files():
            if path.with_suffix(".blob") in kept:
                total += info.st_size
            elif path.suffix == ".blob":
                total += info.st_size
                blobs.append((info.st_mtime, info.st_size, path))
            elif leftovers:
                path.unlink(missing_ok=True)
                freed += info.st_size
        for used, size, path in sorted(blobs):
            if (used < older or total > cap or freed < lacking) and evict(path, newest):
                total -= size
                freed += size
        return freed

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        """The store's own files; never anything that a symbolic link leads to."""
        with os.scandir(self.folder) as folders:
            inner = [one for one in folders if one.is_dir(follow_symlinks=False)]
        for folder in inner:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                        with contextlib.suppress(FileNotFoundError):
                            yield Path(entry.path), entry.stat(follow_symlinks=False)


def evict(path: Path, newest: float) -> bool:
    """Delete a file or folder unless it was used after newest; whether it was deleted.

    It gets another name first, so that a process that uses it in the same moment either keeps it or
    finds it gone. A symbolic link is never followed.
    """
    doomed = path.with_name(f".{path.name}.{next(_counter)}.old")
    try:
        if path.lstat().st_mtime > newest:
            return False
        path.rename(doomed)
        if doomed.lstat().st_mtime > newest:  # used since
            doomed.rename(path)
            return False
    except OSError:
        return False
    if stat.S_ISDIR(doomed.lstat().st_mode):
        shutil.rmtree(doomed, ignore_errors=True)
    else:
        doomed.unlink(missing_ok=True)
    return True
