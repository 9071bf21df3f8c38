"""The news that a Client puts into its queue."""

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
    """Where the connection stands.

    ``connecting``: first attempt. ``ready``. ``lost``: it is tried again by itself. ``refused``:
    it is not tried again until something changes; make a new Client. problem says why.
    """

    state: State
    problem: Problem | None = None
    device: str = ""
    model: str = ""


@dataclass(frozen=True)
class BackendStatus:
    """How busy the backend is. jobs: to be done, the running ones included.

    free_bytes, total_bytes: memory of its device; 0 where it does not say.
    """

    jobs: int
    free_bytes: int = 0
    total_bytes: int = 0


@dataclass(frozen=True)
class Uploading:
    """Bytes of a job's objects that the backend holds, of all. Not sent if it lacked nothing."""

    job_id: str
    sent: int
    total: int


@dataclass(frozen=True)
class JobAccepted:
    """The backend has taken the job. new: false if it knew it already."""

    job_id: str
    new: bool
    state: JobState


@dataclass(frozen=True)
class JobEvent:
    """One line of a job's history; each seq comes once, in order, without gaps."""

    job_id: str
    event: Event


@dataclass(frozen=True)
class Fetched:
    """An object that was asked for: uint8 [H,W,C], its digest verified."""

    ref: ObjectRef
    array: NDArray[np.uint8]
    tag: Any = None


@dataclass(frozen=True)
class RequestFailed:
    """Something that was asked for could not be done.

    what: ``submit``, ``upload``, ``attach``, ``cancel``, ``forget``, ``list`` or ``fetch``.
    tag: that of the fetch. An ``upload`` with a retryable problem is tried again by itself.
    """

    what: str
    job_id: str | None
    problem: Problem
    tag: Any = None


@dataclass(frozen=True)
class JobList:
    """The jobs the backend knows, newest first."""

    jobs: tuple[JobInfo, ...]


ClientEvent = (
    ConnectionChanged | BackendStatus | Uploading | JobAccepted | JobEvent | Fetched | RequestFailed
    | JobList
)  # fmt: skip
