"""Which backend is meant: the one of the preferences, or one of this machine's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from ..core import connection as connecting
from ..core.local_backend import LocalBackend, split_options
from ..wire import jobs, keys, local
from . import compat

PACKAGE = __package__.rpartition(".")[0]
LOG = "backend.log"
HISTORY = "times.json"


def preferences() -> Any:
    """The add-on's preferences, or None while there are none (in some tests)."""
    entry = bpy.context.preferences.addons.get(PACKAGE)
    return entry.preferences if entry else None


def chosen() -> keys.Connection:
    """The connection that the preferences name; raises JobError when there is none."""
    wanted = preferences()
    file = wanted.connection_file if wanted else ""
    path = Path(bpy.path.abspath(file)) if file else connecting.default_connection_file()
    connection = connecting.read_connection(path, wanted.address if wanted else "")
    connecting.check_online(connection.address, compat.online())
    return connection


def launch() -> LocalBackend:
    """Start a backend on this machine from the Python of the preferences; raises JobError."""
    wanted = preferences()
    python = wanted.backend_python if wanted else ""
    if not python:
        raise jobs.JobError(
            "no_backend_python",
            "No Python is chosen for the local backend.",
            "Choose the Python the backend is installed in, in the add-on's preferences.",
        )
    folder = wanted.backend_folder
    return LocalBackend(
        Path(bpy.path.abspath(python)),
        Path(bpy.path.abspath(folder)) if folder else None,
        local.data_folder(),
        Path(compat.user_folder(PACKAGE)) / LOG,
        split_options(wanted.backend_options),
    )
