"""Log files of the backend: appended at every start, rotated by size, readable by their owner."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

MAX_BYTES = 5 * 2**20  # of one file
KEPT = 3  # older files beside it: NAME.1 is the newest
_START = "==== started"


def log_server(path: Path) -> None:
    """Write the server's log to a file, and its warnings and errors to the terminal as well."""
    file = _PrivateHandler(path, maxBytes=MAX_BYTES, backupCount=KEPT, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.WARNING)
    root = logging.getLogger("backend")
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    root.setLevel(logging.INFO)
    root.propagate = False
    root.addHandler(file)
    root.addHandler(terminal)


class _PrivateHandler(RotatingFileHandler):
    """A rotating log that only its owner can read, and that goes on when the disk is full."""

    def _open(self) -> TextIOWrapper:
        return os.fdopen(_open_private(Path(self.baseFilename)), "a", encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:
        """Drop a record that cannot be written: a full disk must not end the server."""


def _open_private(path: Path) -> int:
    """Open a log for appending (0600), and never through a symbolic link."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    return os.open(path, flags, 0o600)


def redirect_output(path: Path) -> None:
    """Append what this process prints, its libraries included, to a log; rotate a large one.

    Raises OSError.
    """
    if is_large(path):
        _rotate(path)
    log = _open_private(path)
    try:
        started = time.strftime("%Y-%m-%d %H:%M:%S")
        os.write(log, f"{_START} {started}, process {os.getpid()}\n".encode())
        os.dup2(log, 1)
        os.dup2(log, 2)
    finally:
        os.close(log)


def is_large(path: Path) -> bool:
    """Whether a log has grown beyond MAX_BYTES."""
    try:
        return path.lstat().st_size > MAX_BYTES
    except OSError:
        return False


def _rotate(path: Path) -> None:
    """Rename a log to NAME.1, and older ones to the next number; the oldest is dropped."""
    names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, KEPT + 1))]
    for number in range(KEPT, 0, -1):
        with contextlib.suppress(OSError):
            names[number - 1].replace(names[number])


def last_output(path: Path, lines: int = 4, length: int = 500) -> str:
    """The last lines that a process printed since its start, joined by ``|``; empty if none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16 * 1024))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    since = text.rpartition(_START)
    text = since[2].partition("\n")[2] if since[1] else text
    kept = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(kept[-lines:])[-length:]
