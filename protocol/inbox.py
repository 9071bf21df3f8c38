"""The backend's inbox: a folder for the objects of a client on the same machine.

A client that runs as the backend's user on the backend's machine writes objects there instead of
sending them through the socket. Only their digests go through it, in ``place``.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from pathlib import Path

from .codec import Bytes
from .messages import Welcome

_NAME = re.compile(r"[0-9a-f]{64}-[0-9a-f]{16}")
_EPOCH = re.compile(r"[0-9a-f]{16}")
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def marker(folder: Path, epoch: str) -> Path:
    """The file that shows a client that it sees the inbox of the backend it is connected to."""
    return folder / f"{epoch}.epoch"


def inbox_of(welcome: Welcome, proof: str) -> Path | None:
    """The backend's inbox, if this machine sees it and the backend is the same user's.

    proof: what the client showed in its hello. Without one the backend is somebody else's, and its
    word about a folder on this machine is worth nothing.
    """
    if not (welcome.inbox and proof and _EPOCH.fullmatch(welcome.epoch)):
        return None
    folder = Path(welcome.inbox)
    try:
        return folder if marker(folder, welcome.epoch).is_file() else None
    except OSError:
        return None


def is_placed_name(name: str) -> bool:
    """Whether a name is one that `put` makes: no path, and nothing else in the folder."""
    return _NAME.fullmatch(name) is not None


def put(folder: Path, digest: str, data: Bytes) -> str:
    """Write an object into the inbox; its name there. Raises OSError, and then leaves nothing."""
    name = f"{digest}-{secrets.token_hex(8)}"
    path = folder / name
    handle = os.open(path, _CREATE, 0o600)
    try:
        left = memoryview(data).cast("B")
        while left:
            left = left[os.write(handle, left) :]
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    finally:
        os.close(handle)
    return name
