"""A backend on this machine: where it keeps its files, and how one is started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def data_folder(
    platform: str = sys.platform, env: Mapping[str, str] = os.environ, home: Path | None = None
) -> Path:
    """The backend's default data folder: $TEXT2LIVE_DATA, else the platform's standard location."""
    if chosen := env.get("TEXT2LIVE_DATA"):
        return Path(chosen)
    home = home or Path.home()
    if platform == "win32":
        base = Path(env.get("LOCALAPPDATA", home))
    elif platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(env.get("XDG_DATA_HOME", home / ".local" / "share"))
    return base / "text2live"


def connection_file(data: Path) -> Path:
    """The file that a backend writes into its data folder once it can be reached."""
    return data / "connection.json"


class BackendProcess:
    """``python -m backend.serve`` as a child process, on a free loopback port.

    It runs in a process group of its own, so Ctrl-C in the parent's terminal does not reach it.
    data: its data folder. options: further arguments of the command line. popen: further arguments
    of subprocess.Popen. Raises OSError if the process cannot be started.
    """

    def __init__(
        self,
        data: Path,
        options: Sequence[str] = (),
        *,
        python: str = sys.executable,
        creationflags: int = 0,
        **popen: Any,
    ) -> None:
        self.connection_file = connection_file(data)
        # A file may be there already, from a backend that was killed or that still runs.
        self._before = self._written_at()
        command = [python, "-m", "backend.serve", "--listen", "127.0.0.1:0", "--data", str(data)]
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            [*command, *options],
            start_new_session=True,
            creationflags=creationflags | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            **popen,
        )

    @property
    def ready(self) -> bool:
        """Whether it has written its connection file."""
        return self._written_at() not in (None, self._before)

    def _written_at(self) -> int | None:
        try:
            return self.connection_file.stat().st_mtime_ns
        except OSError:
            return None
