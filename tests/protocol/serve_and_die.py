"""A backend that kills itself at one step of the first upload. Arguments: SPOT, its options."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from backend import disk, parts, serve
from backend.server import Server
from protocol.jobs import Problem

SPOTS = ("before the sync", "before the name", "before the folder's sync", "before the answer")


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(spot: str) -> None:
    if spot == SPOTS[0]:
        parts.sync_or_delete = die
    elif spot == SPOTS[1]:
        ordinary = Path.replace

        def replace(path: Path, target: Path) -> Path:
            return die() if path.suffix == ".part" else ordinary(path, target)

        Path.replace = replace  # type: ignore[method-assign,assignment]
    elif spot == SPOTS[2]:
        parts.sync_folder = die
    else:
        parts.sync_folder = lambda folder: (disk.sync_folder(folder), die())


def run(server: Server) -> Problem | None:
    kill_at(sys.argv[1])  # not earlier: at its start the server finishes what is left
    return ordinary_run(server)


if __name__ == "__main__":
    ordinary_run = Server.run
    Server.run = run  # type: ignore[method-assign]
    sys.exit(serve.main(sys.argv[2:]))
