"""Helpers of the live tests: a backend to kill, a clip to send, an event log, a raw socket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty
from typing import Any

import numpy as np
import zmq

from protocol.client import (
    Client,
    ClientEvent,
    Connection,
    ConnectionChanged,
    JobEvent,
    read_connection_file,
)
from protocol.codec import Packet, decode, encode
from protocol.jobs import Clip, EditJob, Event, Problem, reference
from protocol.keys import new_keypair
from protocol.messages import AnyMessage, Hello

ROOT = Path(__file__).resolve().parents[2]


class Backend:
    """``python -m backend.serve --mock KIND`` on a data folder, to be killed and started again."""

    def __init__(self, data: Path, kind: str, pause: float = 0.01) -> None:
        self.data = data
        self.kind = kind
        self.pause = pause  # seconds a step of the stand-in takes
        self.port = 0
        self.process: subprocess.Popen[str] | None = None

    def start(self, kind: str | None = None) -> Backend:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "backend.serve", "--mock", kind or self.kind),
                *("--data", str(self.data), "--listen", f"127.0.0.1:{self.port}"),
            ],
            cwd=ROOT,
            env={**os.environ, "TEXT2LIVE_MOCK_PAUSE": str(self.pause)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("Ready"):
                break
        else:
            raise AssertionError("the backend did not become ready")
        self.port = int(self.connection.address.rpartition(":")[2])
        return self

    @property
    def connection(self) -> Connection:
        return read_connection_file(self.data / "connection.json")

    def wait_for_end(self) -> None:
        assert self.process is not None
        self.process.wait(30)
        self._close_pipe()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.wait_for_end()

    def stop(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self._close_pipe()
        return self.process.returncode

    def _close_pipe(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.stdout.close()

    def workers(self) -> list[int]:
        """Process ids of the live worker processes (Linux)."""
        assert self.process is not None
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(stat.read_text().rpartition(")")[2].split()[1])
                command = (stat.parent / "cmdline").read_text()
            except (OSError, IndexError, ValueError):
                continue
            if parent == self.process.pid and "spawn_main" in command:
                found.append(int(stat.parent.name))
        return found


class RandomClip:
    """A clip of random frames, its source, and the digests that were requested."""

    def __init__(self, count: int, height: int, width: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.frames = [
            random.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(count)
        ]
        self.clip = Clip(frames=tuple(reference(frame) for frame in self.frames))
        self.asked: list[str] = []
        self._by_digest = {
            ref.digest: frame for ref, frame in zip(self.clip.frames, self.frames, strict=True)
        }

    def source(self, digest: str) -> np.ndarray:
        self.asked.append(digest)
        return self._by_digest[digest]

    def edit(self, prompt: str = "rusty car", **fields: Any) -> EditJob:
        return EditJob(clip=self.clip, prompt=(prompt,), **fields)


class Diary:
    """Reads a client's queue and keeps all its events."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.events: list[ClientEvent] = []

    def until(self, wanted: Callable[[ClientEvent], bool], timeout: float = 30.0) -> ClientEvent:
        """Read up to the first event for which wanted is true."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                event = self.client.events.get(timeout=0.2)
            except Empty:
                continue
            self.events.append(event)
            if wanted(event):
                return event
        raise AssertionError(f"it did not come; what came: {self.events[-20:]}")

    def until_kind(self, kind: type, timeout: float = 30.0) -> Any:
        """Read up to the first event of a class."""
        return self.until(lambda event: isinstance(event, kind), timeout)

    def until_state(self, job: str, *states: str, timeout: float = 30.0) -> Event:
        """Read up to the event that puts a job into one of these states."""

        def wanted(event: ClientEvent) -> bool:
            if not isinstance(event, JobEvent) or event.job_id != job:
                return False
            return event.event.kind == "state" and event.event.state in states

        event = self.until(wanted, timeout)
        assert isinstance(event, JobEvent)
        return event.event

    def history(self, job: str) -> list[Event]:
        """All events of a job that have been read."""
        return [e.event for e in self.events if isinstance(e, JobEvent) and e.job_id == job]


class Raw:
    """A DEALER with the right keys that sends whatever it likes."""

    def __init__(self, connection: Connection) -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.curve_serverkey = connection.server_key.encode()
        self.socket.curve_publickey = connection.client_public.encode()
        self.socket.curve_secretkey = connection.client_secret.encode()
        self.socket.connect(connection.address)

    def send(self, frames: Sequence[bytes]) -> None:
        self.socket.send_multipart(frames)

    def receive(self, timeout: float = 10.0) -> Packet:
        assert self.socket.poll(int(timeout * 1000)), "no answer"
        return decode(self.socket.recv_multipart())

    def request(self, message: AnyMessage, *buffers: bytes) -> Packet:
        self.send(encode(message, id="1", buffers=buffers))
        packet = self.receive()
        assert packet.re == "1"
        return packet

    def ask(self, message: AnyMessage, *buffers: bytes) -> Any:
        return self.request(message, *buffers).message

    def hello(self) -> AnyMessage:
        return self.ask(Hello(protocols=(1,)))

    def close(self) -> None:
        self.socket.close()
        self._context.term()


def connection_to(port: int, server_key: str = "") -> Connection:
    mine = new_keypair()
    return Connection(
        address=f"tcp://127.0.0.1:{port}",
        server_key=server_key or new_keypair().public,
        client_public=mine.public,
        client_secret=mine.secret,
    )


def reason(diary: Diary, state: str) -> Problem:
    changed = diary.until(
        lambda event: isinstance(event, ConnectionChanged) and event.state == state
    )
    assert isinstance(changed, ConnectionChanged)
    assert changed.problem is not None
    assert changed.problem.message.endswith(".")
    assert changed.problem.hint.endswith(".")
    return changed.problem
