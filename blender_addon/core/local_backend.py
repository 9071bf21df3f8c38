"""A backend on this machine, started with the Python that the artist chose.

It runs in a process of its own; nothing here blocks, except close().
"""

from __future__ import annotations

import atexit
import os
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from ..wire import jobs, local

State = Literal["starting", "ready", "stopping", "ended"]
CLOSE_WITHIN_S = 5.0
_REMOVED_VARIABLES = ("PYTHONHOME", "PYTHONPATH")  # set by Blender, wrong for another Python
_TAIL = 4000  # bytes at the end of the log to search for the reason of a failure


class LocalBackend:
    """``python -m backend.serve`` as a child process of Blender. Call poll() regularly.

    python: the interpreter. folder: a checkout of the backend; None: it is installed in that
    Python. data: the backend's folder, where its connection file appears. log: takes its output.
    """

    def __init__(
        self, python: Path, folder: Path | None, data: Path, log: Path, options: Sequence[str] = ()
    ) -> None:
        self.state: State = "starting"
        self.problem: jobs.Problem | None = None
        self.log = log
        self._backend = _start(python, folder, data, log, options)
        self._process = self._backend.process
        atexit.register(self.close)

    @property
    def connection_file(self) -> Path:
        """The file in which the backend writes how to connect."""
        return self._backend.connection_file

    @property
    def running(self) -> bool:
        """The process has not ended."""
        return self.state != "ended"

    def poll(self) -> bool:
        """Check the process and its connection file; True when the state changed."""
        if self.state == "ended":
            return False
        status = self._process.poll()
        if status is not None:
            if self.state != "stopping":
                self.problem = explain_exit(self._log_tail(), self.log)
            self.state = "ended"
            self._close_input()
            atexit.unregister(self.close)
            return True
        if self.state == "starting" and self._backend.ready:
            self.state = "ready"
            return True
        return False

    def stop(self) -> None:
        """Ask it to end; it resumes unfinished jobs at the next start."""
        if self.running:
            self.state = "stopping"
            self._close_input()

    def close(self) -> None:
        """Stop it and wait; kill it if it does not end in time."""
        self.stop()
        try:
            self._process.wait(CLOSE_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.poll()

    def _close_input(self) -> None:
        """Close its input: unlike a signal, this ends it cleanly on every platform."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def _log_tail(self) -> str:
        try:
            return self.log.read_bytes()[-_TAIL:].decode(errors="replace")
        except OSError:
            return ""


def _start(
    python: Path, folder: Path | None, data: Path, log: Path, options: Sequence[str]
) -> local.BackendProcess:
    if not python.is_file():
        raise jobs.JobError(
            "backend_python_missing",
            f"The Python {python} does not exist.",
            "In the add-on's preferences, choose the Python that the backend is installed in.",
        )
    if folder is not None and not (folder / "backend").is_dir():
        raise jobs.JobError(
            "backend_folder_wrong",
            f"The folder {folder} does not contain the backend.",
            "Choose the folder that contains the folder backend, or leave it empty.",
        )
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            # Attached: it ends when its input closes, even if Blender is killed.
            return local.BackendProcess(
                data,
                ["--attached", *options],
                python=str(python),
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment(os.environ),
            )
    except OSError as error:
        raise jobs.JobError(
            "backend_not_started",
            f"The local backend cannot be started: {error.strerror or error}.",
            f"Check that {python} is a Python interpreter and that {log.parent} is writable.",
        ) from error


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """Blender's environment without the variables that break another Python."""
    kept = {name: value for name, value in own.items() if name not in _REMOVED_VARIABLES}
    return {**kept, "PYTHONUNBUFFERED": "1"}


def split_options(text: str, posix: bool = os.name == "posix") -> list[str]:
    """Split command-line options; raises JobError for an unclosed quote."""
    try:
        return shlex.split(text, posix=posix)
    except ValueError as error:
        raise jobs.JobError(
            "bad_backend_options",
            f"The options of the local backend cannot be read: {error}.",
            "Write them as in a terminal, for example: --device cpu.",
        ) from error


def explain_exit(output: str, log: Path) -> jobs.Problem:
    """Why a backend ended unexpectedly, from the end of its log."""
    missing = re.search(r"No module named '?([\w.]+)", output)
    if missing and missing.group(1).split(".")[0] == "backend":
        return jobs.Problem(
            code="backend_not_installed",
            message="The backend is not installed in the chosen Python.",
            hint="In the add-on's preferences, choose the Python it is installed in, or the "
            "backend's folder.",
        )
    if missing:
        return jobs.Problem(
            code="backend_incomplete",
            message=f"The backend's Python is missing the package {missing.group(1)}.",
            hint="Install the backend and its packages: pip install '.[backend]' in its folder.",
        )
    if "already using the folder" in output:
        return jobs.Problem(
            code="already_running",
            message="A backend is already running on this machine.",
            hint="Press Connect to use it.",
        )
    reported = re.search(r"^text2live: (.+)\n(.+)", output, re.MULTILINE)
    if reported:
        return jobs.Problem(code="backend_ended", message=reported.group(1), hint=reported.group(2))
    last = next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "")
    return jobs.Problem(
        code="backend_ended",
        message=f"The local backend ended unexpectedly. Its last output: {last[:300]}"
        if last
        else "The local backend ended unexpectedly, without any output.",
        hint=f"See its log for details: {log}.",
    )
