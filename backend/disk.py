"""Writing to disk for good: what a failure means, and syncing many files at once."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from protocol.jobs import JobError

_FULL = {errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC}
_BUSY = {errno.EMFILE, errno.ENFILE}
_THREADS = 8  # for syncing and hashing


def disk_problem(why: OSError, folder: Path) -> JobError:
    """Turn a failed write into a JobError: a full disk, or the system's own reason."""
    if why.errno in _FULL:
        return JobError(
            "disk_full",
            f"The backend's disk is full: there is no space left for {folder}.",
            "Free some space there, or start the backend with another --data folder.",
            retryable=True,
        )
    if why.errno in _BUSY:
        return JobError(
            "backend_busy",
            "The backend has too many files and connections open.",
            "It is tried again automatically. If this lasts, raise the limit with ulimit -n.",
            retryable=True,
        )
    return JobError(
        "disk_error",
        f"The backend cannot write to {folder}: {why.strerror or why}.",
        "Check the folder's permissions and the disk.",
        retryable=True,
    )


def make_folder(folder: Path) -> None:
    """Create a folder for files of the store. Raises OSError if it is a symbolic link."""
    folder.mkdir(exist_ok=True)
    refuse_link(folder)


_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
_NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)


def append(path: str, data: bytes | memoryview) -> None:
    """Append to a file (0600), which is made if it is missing; never through a symbolic link."""
    if not _NO_LINK:
        refuse_link(Path(path))
    handle = os.open(path, _APPEND | _NO_LINK, 0o600)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(handle, left) :]
    finally:
        os.close(handle)


def refuse_link(path: Path) -> None:
    """Raise OSError for a symbolic link, which may lead out of the data folder."""
    if path.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


@functools.cache
def pool() -> ThreadPoolExecutor:
    """Threads for what does not need Python's own lock: waiting for the disk, and hashing."""
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="disk")


def together(
    action: Callable[[Path], None], paths: dict[str, Path], *, in_turn: bool = False
) -> dict[str, OSError]:
    """Do something to several files at once, so that the disk syncs once for all; the failures.

    Each path is handled once, even if several keys share it. in_turn: one after another, for what
    the first call does for all.
    """
    distinct = list(dict.fromkeys(paths.values()))
    failures: dict[Path, OSError] = {}

    def attempt(path: Path) -> None:
        try:
            action(path)
        except OSError as why:
            failures[path] = why

    if in_turn or len(distinct) < 2:
        for path in distinct:
            attempt(path)
    else:
        list(pool().map(attempt, distinct))
    return {key: failures[path] for key, path in paths.items() if path in failures}


def sync(path: Path) -> None:
    """Make the content of a file durable."""
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_or_delete(path: Path) -> None:
    """Sync a file, and delete it if that fails.

    After a failed fsync the system may have dropped the data, although a second one succeeds.
    """
    try:
        sync(path)
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
