"""Modification times of files, looked up by the tick: panels never touch the disk when drawn."""

from __future__ import annotations

import time
from pathlib import Path

AGAIN_S = 2.0  # between two looks at a file that is asked for
FORGOTTEN_S = 30.0  # after a file was last asked for
BUDGET_S = 0.005  # of one poll; at least one file


class FileTimes:
    """What is known of files that panels have asked for."""

    def __init__(self) -> None:
        self._times: dict[Path, int] = {}  # 0: there is no such file
        self._asked: dict[Path, float] = {}
        self._looked: dict[Path, float] = {}

    def of(self, path: Path) -> int:
        """Modification time in ns; 0 without the file, or before the tick has looked it up."""
        self._asked[path] = time.monotonic()
        return self._times.get(path, 0)

    def exists(self, path: Path) -> bool:
        """Whether there is such a file; assumed until the tick has looked it up."""
        return bool(self.of(path)) or path not in self._times

    def poll(self) -> bool:
        """Look up files that were asked for; True if anything changed."""
        now = time.monotonic()
        changed = False
        for path, asked in list(self._asked.items()):
            if now - asked > FORGOTTEN_S:
                for known in (self._asked, self._looked, self._times):
                    known.pop(path, None)
            elif now - self._looked.get(path, 0.0) > AGAIN_S:
                found = _time(path)
                changed |= self._times.get(path) != found
                self._times[path], self._looked[path] = found, now
                if time.monotonic() - now > BUDGET_S:
                    break
        return changed


def _time(path: Path) -> int:
    try:
        return max(1, path.stat().st_mtime_ns)
    except OSError:
        return 0
