"""A backend of one's own for the length of a script: started, waited for, stopped."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from protocol.client import Client
from protocol.jobs import JobError
from protocol.keys import read_connection_file
from protocol.local import BackendProcess

START_TIMEOUT_S = 60.0


@contextlib.contextmanager
def local_backend(data: Path, *, device: str = "auto", echo: bool = True) -> Iterator[Client]:
    """Start `python -m backend.serve` on a free loopback port and yield a connected Client.

    data: the backend's folder (atlases in it are reused). Raises JobError when it does not start,
    or ends before its time.
    """
    with _ended_by_signals():
        backend = BackendProcess(
            data, ["--device", device], stdout=None if echo else subprocess.DEVNULL
        )
        server, file = backend.process, backend.connection_file
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            while not backend.ready:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise JobError(
                        "backend_not_started",
                        "The backend did not start.",
                        "Its own message stands above this one; mend that and run it again. "
                        f"One that runs already is used with --connection {file}.",
                    )
                time.sleep(0.05)
            with _connected(Client(read_connection_file(file), name="script")) as client:
                watch = threading.Thread(target=_close_after, args=(server, client), daemon=True)
                watch.start()
                try:
                    yield client
                except JobError as why:
                    if why.problem.code != "closed":
                        raise
                    raise JobError(
                        "backend_ended",
                        f"The backend ended in the middle (exit status {server.poll()}).",
                        "Status -9 usually means too little memory: use the preset draft or a "
                        "smaller clip, and run it again.",
                    ) from why
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
    with _connected(Client(read_connection_file(connection_file), name="script")) as client:
        yield client


@contextlib.contextmanager
def _connected(client: Client) -> Iterator[Client]:
    client.start()
    try:
        yield client
    finally:
        client.close()


def _close_after(server: subprocess.Popen[bytes], client: Client) -> None:
    """Nothing comes from a backend of one's own that is gone: end what waits for it."""
    server.wait()
    client.close()


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """A plain kill or a closed terminal is a Ctrl-C, so that the backend ends with the script."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    old = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
