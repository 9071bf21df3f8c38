"""A session of the add-on with a fake client and one job."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import Any

import numpy as np

from blender_addon.core import jobs as phases
from blender_addon.core.frames import FrameStore
from blender_addon.core.jobs import Job
from blender_addon.core.planning import Anchor
from blender_addon.core.session import Session
from protocol.client import ConnectionChanged, Fetched, JobEvent
from protocol.jobs import Clip, EditJob, Event, Problem, Result, reference
from protocol.keys import Connection

CONNECTION = Connection(
    address="tcp://127.0.0.1:5599", server_key="s" * 40, client_public="p", client_secret="c"
)
REASON = Problem(code="x", message="It broke.", hint="Mend it.")


class PlayedClient:
    """Records its calls; the test puts events into `events`."""

    def __init__(self, connection: Connection) -> None:
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.asked: list[tuple[Any, ...]] = []
        self.connection = connection
        self.running = False

    def start(self) -> None:
        self.running = True

    def close(self) -> None:
        self.running = False

    def submit(self, job_id: str, spec: object, source: object) -> None:
        self.asked.append(("submit", job_id))

    def attach(self, job_id: str, after_seq: int = 0) -> None:
        self.asked.append(("attach", job_id, after_seq))

    def cancel(self, job_id: str) -> None:
        self.asked.append(("cancel", job_id))

    def requeue(self, job_id: str, after_seq: int = 0) -> None:
        self.asked.append(("requeue", job_id, after_seq))

    def forget(self, job_id: str) -> None:
        self.asked.append(("forget", job_id))

    def list_jobs(self) -> None:
        self.asked.append(("list",))

    def fetch(self, ref: object, tag: object = None) -> None:
        self.asked.append(("fetch", ref, tag))


class Studio:
    """A session with fake clients and one job."""

    def __init__(self, folder: Path) -> None:
        self.clients: list[PlayedClient] = []
        self.session = Session(self._make)
        self.folder = folder
        self.frames = FrameStore(folder / "frames")
        self.frame = np.full((4, 6, 3), 7, np.uint8)
        self.spec = EditJob(clip=Clip(frames=(self.frames.add(self.frame),)), prompt=("red",))
        anchor = Anchor(
            scene="Scene", strip_uid="u", strip_name="shot", start=1, frames=1, content=1.0,
            width=6, height=4,
        )  # fmt: skip
        self.job = Job(id="j1", label="red", anchor=anchor, folder=folder / "j1")
        self._seq = 0

    def _make(self, connection: Connection) -> PlayedClient:
        self.clients.append(PlayedClient(connection))
        return self.clients[-1]

    @property
    def client(self) -> PlayedClient:
        return self.clients[-1]

    def say(self, *news: Any) -> None:
        for event in news:
            self.client.events.put(event)
        self.session.drain(10)

    def tell(self, **event: Any) -> None:
        """One event of the job's history."""
        self._seq += 1
        fields = {"kind": "state", "state": "running", **event}
        self.say(JobEvent("j1", Event(seq=self._seq, **{"at": 0.0, **fields})))

    def begin(self) -> None:
        self.session.connect(CONNECTION)
        self.say(ConnectionChanged("ready"))
        self.session.submit(self.job, self.spec, self.frames)

    def deliver(self, layers: list[np.ndarray]) -> None:
        """Play a backend that has finished these layers, and wait for the files."""
        result = Result(layer=tuple(reference(layer) for layer in layers), numbers={"psnr": 1.0})
        self.tell(state="done", result=result)
        self.answer(layers)

    def answer(self, layers: list[np.ndarray]) -> None:
        """Answer every fetch, until the files are there."""
        by_digest = {reference(layer).digest: layer for layer in layers}
        answered = 0
        for _ in range(1000):
            fetches = [asked for asked in self.client.asked if asked[0] == "fetch"]
            for _what, ref, tag in fetches[answered:]:
                answered += 1
                self.say(Fetched(ref, by_digest[ref.digest], tag))
            self.session.drain(0.01)
            if self.job.phase != phases.FETCHING:
                return
            threading.Event().wait(0.01)


def layers_of(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (4, 6, 4), np.uint8) for _ in range(count)]
