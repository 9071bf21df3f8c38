"""A full disk under a live server: the artist learns of it, nothing is lost, and it resumes."""

from __future__ import annotations

import errno
import threading
import time
from pathlib import Path
from queue import Empty, SimpleQueue

import numpy as np
import pytest

from backend import store
from backend.executors.local import LocalExecutor
from backend.server import Server
from protocol import transfer
from protocol.client import Client, ClientEvent, Connection, JobEvent, RequestFailed, new_job_id
from protocol.jobs import Clip, EditJob, JobError, reference
from protocol.keys import new_keypair

FRAMES = [np.full((8, 9, 3), n, np.uint8) for n in range(2)]
REFS = tuple(reference(frame) for frame in FRAMES)
SOURCE = {ref.digest: frame for ref, frame in zip(REFS, FRAMES, strict=True)}
JOB = EditJob(clip=Clip(frames=REFS), prompt=("rusty car",))


class FullDisk:
    """Makes the disk of this process's store full, or not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = True
        ordinary = store.Store._append

        def append(one: store.Store, part: Path, held: int, data: bytes) -> None:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            ordinary(one, part, held, data)

        monkeypatch.setattr(store.Store, "_append", append)


@pytest.fixture
def client(tmp_path):
    server_keys, mine = new_keypair(), new_keypair()
    executor = LocalExecutor(tmp_path, ("none",), "backend.executors.mock:ok")
    started: SimpleQueue[Server] = SimpleQueue()

    def serve() -> None:  # the journal belongs to the thread that made the server
        one = Server("tcp://127.0.0.1:0", tmp_path, server_keys, {mine.public: "me"}, executor)
        started.put(one)
        one.run()

    thread = threading.Thread(target=serve)
    thread.start()
    server = started.get(timeout=20)
    connection = Connection(
        address=server.address,
        server_key=server_keys.public,
        client_public=mine.public,
        client_secret=mine.secret,
    )
    with Client(connection) as one:
        yield one
    server.stop()
    thread.join(20)
    assert not thread.is_alive()


def until(client: Client, wanted) -> ClientEvent:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            event = client.events.get(timeout=0.2)
        except Empty:
            continue
        if wanted(event):
            return event
    raise AssertionError("it did not come")


def test_an_upload_waits_for_space_and_resumes(client, monkeypatch, tmp_path):
    monkeypatch.setattr(transfer, "FULL_DISK_DELAY", 0.3)
    disk = FullDisk(monkeypatch)
    job = new_job_id()
    client.submit(job, JOB, SOURCE.__getitem__)
    failed = until(client, lambda event: isinstance(event, RequestFailed))
    assert (failed.what, failed.job_id) == ("upload", job)
    assert (failed.problem.code, failed.problem.retryable) == ("disk_full", True)
    assert "data/objects" in failed.problem.message
    assert str(tmp_path) not in failed.problem.message
    assert failed.problem.hint
    disk.full = False
    until(client, lambda event: isinstance(event, JobEvent) and event.event.state == "done")


@pytest.mark.slow
def test_a_program_gets_the_error_and_can_try_again(client, monkeypatch):
    monkeypatch.setattr(transfer, "FULL_DISK_DELAY", 0.3)
    disk = FullDisk(monkeypatch)
    job = new_job_id()
    with pytest.raises(JobError) as why:
        client.run(job, JOB, SOURCE.__getitem__, timeout=30)
    assert why.value.problem.code == "disk_full"
    disk.full = False
    assert len(client.run(job, JOB, SOURCE.__getitem__, timeout=30).layer) == 2
