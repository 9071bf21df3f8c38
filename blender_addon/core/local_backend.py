"""A backend on this machine, started from the Python the artist chose, and stopped again.

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
_NOT_PASSED_ON = ("PYTHONHOME", "PYTHONPATH")  # Blender's own, if any: not for another Python
_TAIL = 4000  # bytes of the log that are looked at for a reason


class LocalBackend:
    """``python -m backend.serve`` as a child of Blender. Call poll() now and then.

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
        """Where the backend writes how it is reached."""
        return self._backend.connection_file

    @property
    def running(self) -> bool:
        """The process is there."""
        return self.state != "ended"

    def poll(self) -> bool:
        """Look at the process and its connection file; True when the state changed."""
        if self.state == "ended":
            return False
        status = self._process.poll()
        if status is not None:
            if self.state != "stopping":
                self.problem = why_ended(self._last_words(), self.log)
            self.state = "ended"
            self._let_go()
            atexit.unregister(self.close)
            return True
        if self.state == "starting" and self._backend.ready:
            self.state = "ready"
            return True
        return False

    def stop(self) -> None:
        """Ask it to end; its unfinished jobs go on at the next start."""
        if self.running:
            self.state = "stopping"
            self._let_go()

    def close(self) -> None:
        """Stop it and wait; what does not end in time is killed."""
        self.stop()
        try:
            self._process.wait(CLOSE_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.poll()

    def _let_go(self) -> None:
        """Close its input; unlike a signal, that asks kindly on every platform."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def _last_words(self) -> str:
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
            "Choose the Python the backend is installed in, in the add-on's preferences.",
        )
    if folder is not None and not (folder / "backend").is_dir():
        raise jobs.JobError(
            "backend_folder_wrong",
            f"The folder {folder} does not hold the backend.",
            "Choose the folder that has the folder backend in it, or leave it empty.",
        )
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            # Attached: it ends when its input does, even if Blender is killed.
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
            f"Check that {python} is a Python, and that {log.parent} can be written to.",
        ) from error


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """Blender's environment without what would mislead another Python."""
    kept = {name: value for name, value in own.items() if name not in _NOT_PASSED_ON}
    return {**kept, "PYTHONUNBUFFERED": "1"}


def split_options(text: str, posix: bool = os.name == "posix") -> list[str]:
    """Options as typed, as a list; raises JobError when a quote is left open."""
    try:
        return shlex.split(text, posix=posix)
    except ValueError as error:
        raise jobs.JobError(
            "bad_backend_options",
            f"The options of the local backend cannot be read: {error}.",
            "Write them as in a terminal, for example: --device cpu.",
        ) from error


def why_ended(words: str, log: Path) -> jobs.Problem:
    """Why a backend ended by itself, from the end of what it wrote."""
    lacking = re.search(r"No module named '?([\w.]+)", words)
    if lacking and lacking.group(1).split(".")[0] == "backend":
        return jobs.Problem(
            code="backend_not_installed",
            message="The chosen Python does not have the backend.",
            hint="Choose the Python it is installed in, or name the backend's folder, in the "
            "add-on's preferences.",
        )
    if lacking:
        return jobs.Problem(
            code="backend_incomplete",
            message=f"The backend's Python lacks the package {lacking.group(1)}.",
            hint="Install the backend with its packages: pip install '.[backend]' in its folder.",
        )
    if "already using the folder" in words:
        return jobs.Problem(
            code="already_running",
            message="A backend already runs on this machine.",
            hint="Press Connect to use it.",
        )
    said = re.search(r"^text2live: (.+)\n(.+)", words, re.MULTILINE)
    if said:
        return jobs.Problem(code="backend_ended", message=said.group(1), hint=said.group(2))
    last = next((line.strip() for line in reversed(words.splitlines()) if line.strip()), "")
    return jobs.Problem(
        code="backend_ended",
        message=f"The local backend ended by itself. Its last words: {last[:300]}"
        if last
        else "The local backend ended by itself, without a word.",
        hint=f"All it wrote is in {log}.",
    )
