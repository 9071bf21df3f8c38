"""A scheduler on an executor that only records its orders."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import numpy as np

from backend.executors.base import (
    Ready,
    Sink,
)
from backend.housekeeping import Housekeeping, Policy
from backend.journal import Journal
from backend.scheduler import Scheduler
from backend.store import Store
from protocol.jobs import Clip, EditJob, Event, JobSpec, Problem, reference

IDS = [f"{n:032x}" for n in range(1, 9)]
A, B, C = IDS[:3]
PROBLEM = Problem(code="c", message="m")


class Script:
    """An Executor that only records its orders."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.started: list[tuple[str, str]] = []
        self.cancelled: list[str] = []

    def open(self, sink: Sink) -> None:
        raise AssertionError("the scheduler does not open its executor")

    def slots(self) -> list[str]:
        return list(self.names)

    def start(self, slot: str, job: str, spec: JobSpec) -> None:
        self.started.append((slot, job))

    def cancel(self, job: str, grace_s: float = 5.0) -> None:
        self.cancelled.append(job)

    def tick(self, now: float) -> None:
        pass

    def close(self) -> None:
        pass


class Rig:
    """A data folder with journal and store, and a scheduler that can be restarted."""

    def __init__(self, data: Path, *slots: str) -> None:
        self.data = data
        self.store = Store(data / "objects")
        self.journal = Journal(data / "journal.sqlite")
        self.frame = np.full((4, 6, 3), 7, np.uint8)
        self.spec = EditJob(clip=Clip(frames=(reference(self.frame),)), prompt=("x",))
        self.slots = slots
        self.restart()

    def restart(self, *, ready: bool = True) -> None:
        self.executor = Script(*self.slots)
        self.housekeeping = Housekeeping(self.data, self.store, self.journal, Policy())
        self.scheduler = Scheduler(
            self.journal, self.store, self.executor, lambda job: None, self.housekeeping
        )
        if ready:
            for slot in self.slots:
                self.scheduler.report(slot, Ready(device="cpu", text="cpu"))

    def tick(self) -> None:
        self.scheduler.tick(time.monotonic())

    def queue(self, *jobs: str) -> None:
        self.store.save(self.frame)
        for job in jobs:
            self.scheduler.submit(job, "owner", self.spec)
        self.tick()

    def state(self, job: str) -> str:
        return self.journal.job(job).state

    def events(self, job: str) -> list[Event]:
        rows = self.journal.events(job, 0, 1000)
        return [msgspec.msgpack.decode(body, type=Event) for _, body in rows]

    def states(self, job: str) -> list[str]:
        return [event.state for event in self.events(job) if event.kind == "state"]
