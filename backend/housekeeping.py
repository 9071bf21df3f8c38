"""Keep the disk free: ages and caps of what is kept, what forgotten jobs leave, and refusing work.

Runs while the server runs. The folders are walked in a thread of its own, so the server goes on.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from backend.inbox import Inbox
from backend.journal import Journal
from backend.store import Store, evict
from protocol.jobs import JobError
from protocol.limits import GIB

EVERY = 600.0  # seconds between two sweeps
SOON = 20.0  # seconds between two sweeps while the disk is nearly full
FRESH = 60.0  # seconds in which nothing that was used is deleted
CLOCK_JUMP = 3600.0  # seconds by which the clock may be set before ages count no more
_SCANNED = 20  # jobs looked at in one turn of the server's loop
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Policy:
    """How much is kept. Bytes; keep_s: seconds since the last use, 0: for ever.

    reserve_bytes: what must stay free on the disk for jobs that were accepted.
    """

    cache_bytes: int = 50 * GIB
    atlas_bytes: int = 20 * GIB
    keep_s: float = 30 * 24 * 3600.0
    reserve_bytes: int = 2 * GIB


class Housekeeping:
    """Sweeps a data folder. Its methods are called in the server's thread."""

    def __init__(
        self,
        data: Path,
        store: Store,
        journal: Journal,
        policy: Policy,
        inbox: Inbox | None = None,
    ) -> None:
        self._data, self._store, self._journal, self._policy = data, store, journal, policy
        self._inbox = inbox
        self._due = 0.0
        self._thread: threading.Thread | None = None
        self._clock = time.time() - time.monotonic()
        self._released: set[str] = set()  # digests of forgotten jobs
        self._candidates: set[str] = set()  # those of them that no scanned job names
        self._scanned = 0

    # how much is free

    def disk(self) -> tuple[int, int]:
        """Bytes of the disk: free, total; 0 if unknown."""
        try:
            usage = shutil.disk_usage(self._data)
        except OSError:
            return 0, 0
        return usage.free, usage.total

    def check_space(self, needed: int) -> None:
        """Raise JobError("disk_full") unless `needed` bytes fit without touching the reserve."""
        free, total = self.disk()
        if total and free - needed < self._policy.reserve_bytes:
            self._due = 0.0  # delete what nobody needs
            raise JobError(
                "disk_full",
                f"The backend's disk has no space for the job: {free / GIB:.1f} GiB are free, and "
                f"the jobs that wait and this one need {needed / GIB:.1f} GiB, besides a reserve "
                f"of {self._policy.reserve_bytes / GIB:.1f} GiB.",
                "Forget finished jobs, or free space on the backend's disk, then send it again.",
                retryable=True,
            )

    # what forgotten jobs leave

    def release(self, digests: set[str]) -> None:
        """Delete these objects soon, unless another job names them."""
        self._released |= digests

    def _scan(self, pinned: Callable[[], set[str]], running_since: float) -> None:
        """Look for other jobs that name released objects, a few jobs at a time."""
        if not self._candidates:
            self._candidates, self._released = self._released, set()
            self._scanned = 0
        if not self._candidates:
            return
        named, last = self._journal.named_digests(self._scanned, _SCANNED)
        self._candidates -= named
        if last is not None:
            self._scanned = last
            return
        for digest in self._candidates - pinned():
            self._store.drop(digest, newest=running_since)
        self._candidates = set()

    # ages and caps

    def tick(self, now: float, pinned: Callable[[], set[str]], running_since: float | None) -> None:
        """Do what is due. now: time.monotonic(). running_since: when the oldest running job began.

        pinned: returns the digests that unfinished jobs need.
        """
        since = time.time() if running_since is None else running_since
        self._scan(pinned, since)
        if now < self._due or (self._thread is not None and self._thread.is_alive()):
            return
        nearly_full = 0 < self.disk()[0] < 2 * self._policy.reserve_bytes
        self._due = now + (SOON if nearly_full else EVERY)
        newest = min(time.time() - FRESH, since)
        self._thread = threading.Thread(
            target=self._sweep_quietly, args=(pinned(), newest), name="housekeeping", daemon=True
        )
        self._thread.start()

    def _sweep_quietly(self, pinned: set[str], newest: float) -> None:
        try:
            self.sweep(pinned, newest)
        except OSError as why:
            _log.warning("old files could not be deleted: %s", why)

    def sweep(self, pinned: set[str], newest: float, *, leftovers: bool = False) -> int:
        """Delete objects and atlases beyond their age and cap; the bytes freed.

        newest: what was used after this time (time.time()) stays. pinned: objects that stay.
        leftovers: as for Store.sweep.
        """
        policy = self._policy
        expired = self._expired()
        free, total = self.disk()
        lacking = max(0, 2 * policy.reserve_bytes - free) if total else 0
        freed = self._store.sweep(
            pinned, policy.cache_bytes, older=expired, newest=newest, lacking=lacking,
            leftovers=leftovers,
        )  # fmt: skip
        freed += sweep_folders(
            self._data / "atlases", policy.atlas_bytes, older=expired, newest=newest,
            lacking=max(0, lacking - freed),
        )  # fmt: skip
        if self._inbox is not None:
            self._inbox.sweep()
        if freed:
            _log.info("deleted %.2f GiB that were not used for long", freed / GIB)
        return freed

    def _expired(self) -> float:
        """What was last used before this time is too old; 0: nothing is."""
        jump = abs(time.time() - time.monotonic() - self._clock)
        if not self._policy.keep_s or jump > CLOCK_JUMP:
            return 0.0
        return time.time() - self._policy.keep_s


def sweep_folders(folder: Path, cap: int, *, older: float, newest: float, lacking: int = 0) -> int:
    """Delete subfolders that were last used before `older`, then the oldest beyond the cap.

    newest: those used after this stay. lacking: bytes to free in any case. Returns bytes freed.
    """
    if not folder.is_dir() or folder.is_symlink():
        return 0
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                with contextlib.suppress(OSError):
                    path = Path(entry.path)
                    found.append((entry.stat(follow_symlinks=False).st_mtime, _size(path), path))
    total = sum(size for _, size, _ in found)
    freed = 0
    for used, size, path in sorted(found):
        if used < older or total - freed > cap or freed < lacking:
            freed += size if evict(path, newest) else 0
    return freed


def _size(folder: Path) -> int:
    files = (path.lstat() for path in folder.rglob("*") if not path.is_dir())
    return sum(info.st_size for info in files)
