"""What the scheduler needs from whatever runs jobs, and what that reports back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from protocol.jobs import JobSpec, ObjectRef, Problem, Result


class Report(msgspec.Struct, frozen=True, kw_only=True, tag_field="r"):
    """Base of a worker's reports. job: the job it is about; empty if about the worker itself."""

    job: str = ""


class Ready(Report, frozen=True, kw_only=True, tag="ready"):
    """The worker is up. device: torch's name of it. text: a readable one."""

    device: str
    text: str


class Memory(Report, frozen=True, kw_only=True, tag="memory"):
    """Bytes of the device's memory, free and total. Reported again whenever they change."""

    free: int
    total: int


class Alive(Report, frozen=True, kw_only=True, tag="alive"):
    """A sign of life, sent every few seconds; executors keep it to themselves."""


class Unusable(Report, frozen=True, kw_only=True, tag="unusable"):
    """The worker cannot start, and trying again will not help."""

    problem: Problem


class Gone(Report, frozen=True, kw_only=True, tag="gone"):
    """The worker died or is about to; its slot takes no job until it is Ready again."""


class Started(Report, frozen=True, kw_only=True, tag="started"):
    """The worker has started the job."""


class Step(Report, frozen=True, kw_only=True, tag="step"):
    """done of total steps of a phase; eta_s: seconds left in it."""

    phase: str
    done: int
    total: int
    eta_s: float | None = None


class Previewed(Report, frozen=True, kw_only=True, tag="preview"):
    """A preview of the job, a small image, is stored."""

    object: ObjectRef


class Note(Report, frozen=True, kw_only=True, tag="note"):
    """A sentence for the artist."""

    text: str


class Finished(Report, frozen=True, kw_only=True, tag="finished"):
    """The job is done, and every object of its result is stored."""

    result: Result


class Failed(Report, frozen=True, kw_only=True, tag="failed"):
    """The job failed."""

    problem: Problem


class Stopped(Report, frozen=True, kw_only=True, tag="stopped"):
    """The job was cancelled and has stopped."""


AnyReport = (
    Ready
    | Memory
    | Unusable
    | Gone
    | Started
    | Step
    | Previewed
    | Note
    | Finished
    | Failed
    | Stopped
)
FromWorker = AnyReport | Alive
Sink = Callable[[str, AnyReport], None]


class Executor(Protocol):
    """Runs jobs in slots, one at a time in each. Every method returns at once.

    Reports go to the sink as (slot, report), from any thread. For each job that a slot takes, it
    reports exactly one of Finished, Failed and Stopped, whatever happens to its worker.
    """

    def open(self, sink: Sink) -> None:
        """Start the workers."""

    def slots(self) -> list[str]:
        """Names of the slots that exist."""

    def start(self, slot: str, job: str, spec: JobSpec) -> None:
        """Run a job in a slot that is Ready and free."""

    def cancel(self, job: str, grace_s: float = 5.0) -> None:
        """Ask a job to stop; kill its worker if it has not after grace_s."""

    def tick(self, now: float) -> None:
        """Do what is due. Called several times a second; now: time.monotonic()."""

    def close(self) -> None:
        """Stop everything; no report follows. May take up to two seconds."""
