"""The events that a Client puts into its queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .jobs import Event, JobState, ObjectRef, Problem
from .messages import JobInfo

State = Literal["connecting", "ready", "lost", "refused"]


@dataclass(frozen=True)
class ConnectionChanged:
    """The connection has a new state.

    ``connecting``: first attempt. ``ready``. ``lost``: reconnecting automatically. ``refused``: no
    further attempts; make a new Client once the cause is removed. problem: why.
    """

    state: State
    problem: Problem | None = None
    device: str = ""
    model: str = ""


@dataclass(frozen=True)
class BackendStatus:
    """How busy the backend is. jobs: unfinished ones, including those that run.

    free_bytes, total_bytes: memory of its device. disk_free, disk_total: bytes of its disk. 0 if
    unknown.
    """

    jobs: int
    free_bytes: int = 0
    total_bytes: int = 0
    disk_free: int = 0
    disk_total: int = 0


@dataclass(frozen=True)
class Uploading:
    """How many bytes of a job's objects the backend holds. Not emitted if none were missing."""

    job_id: str
    sent: int
    total: int


@dataclass(frozen=True)
class JobAccepted:
    """The backend has accepted the job. new: false if it knew the job already."""

    job_id: str
    new: bool
    state: JobState


@dataclass(frozen=True)
class JobEvent:
    """One line of a job's history. Each seq comes once, in order, without gaps."""

    job_id: str
    event: Event


@dataclass(frozen=True)
class Fetched:
    """An object that was fetched: uint8 [H,W,C], its digest verified."""

    ref: ObjectRef
    array: NDArray[np.uint8]
    tag: Any = None


@dataclass(frozen=True)
class RequestFailed:
    """A request failed.

    what: ``submit``, ``upload``, ``attach``, ``cancel``, ``requeue``, ``forget``, ``list``,
    ``fetch``.
    tag: that of the fetch. An ``upload`` with a retryable problem is retried automatically.
    """

    what: str
    job_id: str | None
    problem: Problem
    tag: Any = None


@dataclass(frozen=True)
class JobList:
    """The jobs that the backend knows, newest first."""

    jobs: tuple[JobInfo, ...]


ClientEvent = (
    ConnectionChanged | BackendStatus | Uploading | JobAccepted | JobEvent | Fetched | RequestFailed
    | JobList
)  # fmt: skip
