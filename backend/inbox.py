"""The inbox in the data folder: clients of the same user on this machine write objects there."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from backend.disk import make_folder
from protocol.inbox import marker

LEFT = 3600.0  # seconds after which a file counts as left by a client that is gone


class Inbox:
    """The folder, emptied at the start. epoch: the server's. Raises OSError."""

    def __init__(self, folder: Path, epoch: str) -> None:
        self.folder = folder
        make_folder(folder)
        self._delete(newest=float("inf"))
        self._marker = marker(folder, epoch)
        self._marker.touch(mode=0o600)

    def sweep(self) -> None:
        """Delete what clients that are gone have left."""
        self._delete(newest=time.time() - LEFT, keep=self._marker.name)

    def _delete(self, newest: float, keep: str = "") -> None:
        with os.scandir(self.folder) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.name != keep and entry.stat(follow_symlinks=False).st_mtime <= newest:
                        os.unlink(entry.path)
