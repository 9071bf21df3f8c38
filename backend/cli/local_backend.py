"""A backend for the duration of a program: started, waited for, stopped."""

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

START_TIMEOUT_S = 180.0


@contextlib.contextmanager
def local_backend(data: Path, *, device: str = "auto", echo: bool = True) -> Iterator[Client]:
    """Start `python -m backend.serve` on a free loopback port and yield a connected Client.

    data: the backend's data folder, whose atlases are reused. Raises JobError if the backend does
    not start, or ends early.
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
                        "See its own message above. To use a backend that already runs, add "
                        f"--connection {file}.",
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
                        f"The backend ended during the job (exit status {server.poll()}).",
                        "Status -9 usually means too little memory: run it again with the preset "
                        "draft or a smaller clip.",
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
    """Yield a Client of the running backend that wrote a connection file."""
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
    """Close the client once the backend has ended, so that nothing waits for it."""
    server.wait()
    client.close()


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Treat SIGTERM and a closed terminal like Ctrl-C, so that the backend ends too."""
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
