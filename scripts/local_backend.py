"""A backend of one's own for the length of a script: started, waited for, stopped."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from protocol.client import Client
from protocol.jobs import JobError
from protocol.keys import read_connection_file

START_TIMEOUT_S = 60.0


@contextlib.contextmanager
def local_backend(data: Path, *, device: str = "auto", echo: bool = True) -> Iterator[Client]:
    """Start `python -m backend.serve` on a free loopback port and yield a connected Client.

    data: the backend's folder (atlases in it are reused). Raises JobError when it does not start.
    """
    data.mkdir(parents=True, exist_ok=True)
    connection_file = data / "connection.json"
    connection_file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "backend.serve", "--listen", "127.0.0.1:0"]
    command += ["--data", str(data), "--device", device]
    server = subprocess.Popen(command, stdout=None if echo else subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not connection_file.exists():
            if server.poll() is not None or time.monotonic() > deadline:
                raise JobError(
                    "backend_not_started",
                    "The backend did not start.",
                    "Its own message stands above this one; mend that and run it again.",
                )
            time.sleep(0.05)
        client = Client(read_connection_file(connection_file), name="script")
        client.start()
        try:
            yield client
        finally:
            client.close()
    finally:
        server.terminate()
        try:
            server.wait(timeout=15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@contextlib.contextmanager
def running_backend(connection_file: Path) -> Iterator[Client]:
    """Yield a Client of a backend that already runs, from its connection file."""
    client = Client(read_connection_file(connection_file), name="script")
    client.start()
    try:
        yield client
    finally:
        client.close()
