"""Kill servers and cut connections at random: every job ends well, every history is complete."""

from __future__ import annotations

import os
import random
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator

import msgspec
import numpy as np
import pytest

from protocol.client import new_job_id
from protocol.jobs import reference


class Cutter:
    """A TCP proxy to a backend whose connections can all be cut at once."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                watched = [self._listener, *self._pairs]
            for one in select.select(watched, [], [], 0.02)[0]:
                if one is self._listener:
                    self._accept()
                else:
                    self._pass_on(one)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            backend = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:  # killed at the moment
            client.close()
            return
        with self._lock:
            self._pairs[client], self._pairs[backend] = backend, client

    def _pass_on(self, one: socket.socket) -> None:
        with self._lock:
            other = self._pairs.get(one)
        if other is None:
            return
        try:
            data = one.recv(1 << 16)
            other.sendall(data)
        except OSError:
            data = b""
        if not data:
            self._drop(one, other)

    def _drop(self, *ends: socket.socket) -> None:
        with self._lock:
            for end in ends:
                self._pairs.pop(end, None)
        for end in ends:
            end.close()

    def cut(self) -> None:
        with self._lock:
            ends = list(self._pairs)
        for end in ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._drop(*list(self._pairs))
        self._listener.close()


@pytest.fixture
def cut_off() -> Iterator[Callable[[int], Cutter]]:
    """Puts a proxy before a port: cut_off(port). Every proxy is closed at the end."""
    cutters: list[Cutter] = []

    def start(port: int) -> Cutter:
        cutters.append(Cutter(port))
        return cutters[-1]

    yield start
    for cutter in cutters:
        cutter.close()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_kills_and_cuts_at_random_change_nothing(backend, shot, connect, cut_off):
    chance = random.Random(11)
    one = backend("ok")
    cutter = cut_off(one.port)
    through = msgspec.structs.replace(one.connection, address=f"tcp://127.0.0.1:{cutter.port}")
    diary = connect(through)
    made = [shot(3, 400, 500) for _ in range(2)]
    jobs = {new_job_id(): made[index % 2] for index in range(6)}
    for index, (job, its) in enumerate(jobs.items()):
        diary.client.submit(job, its.edit(f"prompt {index}"), its.source)
    for fault in range(14):
        time.sleep(chance.random() * 0.6)
        if fault % 4 == 3:
            one.kill()
            one.start()
        else:
            cutter.cut()
    for job, its in jobs.items():
        ended = [event for event in diary.history(job) if event.state in ("done", "failed")]
        last = ended[-1] if ended else diary.until_state(job, "done", "failed", timeout=60)
        if last.state == "failed":  # on a slow machine one job is running at all three kills
            assert last.problem.code == "interrupted_too_often"
            diary.client.requeue(job, last.seq)
            last = diary.until_state(job, "done", timeout=60)
        result = last.result
        seqs = [event.seq for event in diary.history(job)]
        assert seqs == list(range(1, len(seqs) + 1))
        layer = diary.client.fetch_all(result.layer, timeout=30)
        assert [reference(image) for image in layer] == list(result.layer)
        for image, frame in zip(layer, its.frames, strict=True):
            tint = image[..., :3].astype(int) - frame // 2
            assert np.ptp(tint, (0, 1)).max() == 0
