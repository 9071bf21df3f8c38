"""Which backend to connect to: one started from Blender, or the one in the preferences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from ..core.connection import check_online, default_connection_file, read_connection
from ..core.local_backend import LocalBackend, split_options
from ..core.session import Session
from ..wire import jobs, keys, local
from . import compat

PACKAGE = __package__.rpartition(".")[0]
LOG = "backend.log"
PROMPTS = "prompts.json"
HISTORY = "times.json"


class Connector:
    """Connects a session, and runs the local backend.

    local: the backend started from Blender, running or ended; None before the first start.
    """

    def __init__(self, session: Session) -> None:
        self.local: LocalBackend | None = None
        self._session = session

    @property
    def local_ready(self) -> bool:
        """Whether the local backend accepts connections."""
        return self.local is not None and self.local.state == "ready"

    def connect(self) -> None:
        """Connect to the local backend if one is running, else as the preferences say.

        Raises JobError when there is nothing to connect to; the session's status says why too.
        """
        try:
            if self.local is not None and self.local_ready:
                connection = read_connection(self.local.connection_file)
            else:
                connection = preferred_connection()
        except jobs.JobError as error:
            self._session.refuse(error.problem)
            raise
        self._session.connect(connection)

    def start_local(self) -> None:
        """Start a backend on this machine; raises JobError."""
        if self.local is None or not self.local.running:
            self.local = launch()

    def stop_local(self) -> None:
        """Stop the local backend; it resumes unfinished jobs at the next start."""
        if self.local is not None and self.local.running:
            if self.local_ready:
                self._session.disconnect()
            self.local.stop()

    def poll(self) -> bool:
        """Check on the local backend; True when its state changed."""
        return self.local is not None and self.local.poll()

    def close(self) -> None:
        """Stop the local backend and wait for it to end."""
        if self.local is not None:
            self.local.close()


def preferences() -> Any:
    """The add-on's preferences, or None without any (in some tests)."""
    entry = bpy.context.preferences.addons.get(PACKAGE)
    return entry.preferences if entry else None


def preferred_connection() -> keys.Connection:
    """The connection named in the preferences; raises JobError when there is none."""
    chosen = preferences()
    file = chosen.connection_file if chosen else ""
    path = Path(bpy.path.abspath(file)) if file else default_connection_file()
    connection = read_connection(path, chosen.address if chosen else "")
    check_online(connection.address, compat.online())
    return connection


def launch() -> LocalBackend:
    """Start a backend with the Python chosen in the preferences; raises JobError."""
    chosen = preferences()
    python = chosen.backend_python if chosen else ""
    if not python:
        raise jobs.JobError(
            "no_backend_python",
            "No Python is chosen for the local backend.",
            "In the add-on's preferences, choose the Python that the backend is installed in.",
        )
    folder = chosen.backend_folder
    return LocalBackend(
        Path(bpy.path.abspath(python)),
        Path(bpy.path.abspath(folder)) if folder else None,
        local.data_folder(),
        Path(compat.user_folder(PACKAGE)) / LOG,
        split_options(chosen.backend_options),
    )
