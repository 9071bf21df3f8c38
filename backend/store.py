"""Objects on disk by content: ``objects/ab/<digest>.blob``, or ``.part`` during an upload.

A blob holds the raw pixels in C order; its shape is part of the reference. Every write goes to a
temporary file, is flushed to disk, and is renamed, so a blob that exists is complete. Several
processes may use one store; only the server writes ``.part`` files.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocol.jobs import JobError, ObjectRef, reference

_FULL = {errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC}
_counter = itertools.count()


def disk_problem(why: OSError, folder: Path) -> JobError:
    """Turn a failed write into a JobError: a full disk, or the system's own reason."""
    if why.errno in _FULL:
        return JobError(
            "disk_full",
            f"The backend's disk is full: there is no space left for {folder}.",
            "Free some space there, or start the backend with another --data folder.",
            retryable=True,
        )
    return JobError(
        "disk_error",
        f"The backend cannot write to {folder}: {why.strerror or why}.",
        "Check the folder's permissions and the disk.",
        retryable=True,
    )


class Store:
    """The content-addressed store below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._hashes: dict[str, tuple[int, hashlib._Hash]] = {}

    def path(self, digest: str) -> Path:
        """The path of a digest's blob, whether or not it exists."""
        return self.folder / digest[:2] / f"{digest[2:]}.blob"

    def _part(self, digest: str) -> Path:
        return self.path(digest).with_suffix(".part")

    def has(self, ref: ObjectRef) -> bool:
        """Whether the complete object is here."""
        try:
            return self.path(ref.digest).stat().st_size == ref.nbytes
        except FileNotFoundError:
            return False

    def held(self, ref: ObjectRef) -> int:
        """How many bytes of the object are here, complete or not."""
        if self.has(ref):
            return ref.nbytes
        try:
            return self._part(ref.digest).stat().st_size
        except FileNotFoundError:
            return 0

    def write(self, ref: ObjectRef, offset: int, crc: int, data: bytes | memoryview) -> int:
        """Append a chunk to an object that is being uploaded; return the bytes then held.

        Accepts a chunk that is already written. Raises JobError: ``bad_crc``, ``wrong_offset``,
        ``too_long``, ``wrong_digest`` (the part is deleted), ``disk_full``.
        """
        held = self.held(ref)
        if offset + len(data) <= held:
            return held
        if offset != held:
            raise JobError(
                "wrong_offset",
                f"A chunk starts at byte {offset}, but {held} bytes are here.",
                "Ask with `have` where to continue.",
                retryable=True,
            )
        if zlib.crc32(data) != crc:
            raise JobError("bad_crc", "A chunk arrived damaged.", "Send it again.", retryable=True)
        if held + len(data) > ref.nbytes:
            raise JobError(
                "too_long",
                "An object is longer than its reference says.",
                "Start the job again; if that fails too, update the add-on.",
            )
        part = self._part(ref.digest)
        try:
            self._append(part, held, data)
            running = self._running_hash(ref, held)
            running.update(data)
            self._hashes[ref.digest] = (held + len(data), running)
            if held + len(data) == ref.nbytes:
                self._complete(ref, part)
        except OSError as why:
            self._hashes.pop(ref.digest, None)
            raise disk_problem(why, self.folder) from why
        return held + len(data)

    def _append(self, part: Path, held: int, data: bytes | memoryview) -> None:
        part.parent.mkdir(exist_ok=True)
        try:
            with part.open("ab") as file:
                file.write(data)
        except OSError:
            with contextlib.suppress(OSError):  # half a chunk must not count as held
                os.truncate(part, held)
            raise

    def _running_hash(self, ref: ObjectRef, held: int) -> hashlib._Hash:
        at, running = self._hashes.pop(ref.digest, (-1, hashlib.sha256()))
        if at == held:
            return running
        running = _start_hash(ref)
        with self._part(ref.digest).open("rb") as file:
            left = held
            while left:
                block = file.read(min(left, 1 << 20))
                running.update(block)
                left -= len(block)
        return running

    def _complete(self, ref: ObjectRef, part: Path) -> None:
        _, running = self._hashes.pop(ref.digest)
        if running.hexdigest() != ref.digest:
            part.unlink()
            raise JobError(
                "wrong_digest",
                "An object's content does not match its digest.",
                "Send it again; if that fails too, extract the frames again.",
                retryable=True,
            )
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        _rename(part, self.path(ref.digest))

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
        digest = _start_hash(ref)
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
            _rename(temporary, path)
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


def _start_hash(ref: ObjectRef) -> hashlib._Hash:
    size = "x".join(str(n) for n in ref.shape)
    return hashlib.sha256(f"{ref.dtype}|{size}|".encode())


def _rename(source: Path, target: Path) -> None:
    source.replace(target)
    if os.name == "posix":  # the new name is durable only once its folder is synced
        handle = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
