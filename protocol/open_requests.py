"""What a client wants from its backend, kept up through every loss of the connection.

No thread here: the client's thread drives it. All requests may be repeated, so after a loss (of
the connection or of the backend itself) everything that is unfinished is simply asked for again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .codec import BadMessage, Bytes, Packet, pack, unpack_as
from .events import ClientEvent, JobAccepted, JobEvent, JobList, RequestFailed
from .jobs import FINAL_STATES, Event, JobError, JobSpec, ObjectRef
from .limits import LIMITS, Limits
from .link import Link
from .messages import (
    Accepted,
    AnyMessage,
    Attach,
    Cancel,
    Channel,
    Error,
    Forget,
    JobInfo,
    Jobs,
    ListJobs,
    News,
    Submit,
)
from .transfer import Downloads, Source, Uploads
from .validate import check, check_job_id, objects


@dataclass
class _Tracked:
    """A job that is followed. spec and source: only if it was submitted here."""

    last_seq: int = 0
    spec: JobSpec | None = None
    source: Source | None = None
    attached: bool = False


class OpenRequests:
    """Jobs followed, transfers and requests under way."""

    def __init__(self, link: Link, emit: Callable[[ClientEvent], None]) -> None:
        self._link = link
        self._emit = emit
        self._jobs: dict[str, _Tracked] = {}
        self._wishes: dict[tuple[str, str], AnyMessage] = {}
        self._uploads = Uploads(self._ask, emit)
        self._downloads = Downloads(self._ask, emit)
        self._round = 0

    def _ask(
        self,
        channel: Channel,
        message: AnyMessage,
        answer: Callable[[Packet], None],
        buffers: Sequence[Bytes] = (),
    ) -> None:
        if self._ready:
            self._link.ask(channel, message, answer, buffers, now=time.monotonic())

    @property
    def _ready(self) -> bool:
        return self._link.state == "ready" and self._round == self._link.round

    # what the artist asks for

    def submit(self, job: str, spec: JobSpec, source: Source) -> None:
        """Have a job run; ends in events of the job, or in RequestFailed ``submit``."""
        try:
            check_job_id(job)
            check(spec, self._limits)
        except JobError as why:
            self._emit(RequestFailed("submit", job, why.problem))
            return
        tracked = self._jobs.setdefault(job, _Tracked())
        tracked.spec, tracked.source = spec, source
        self._submit(job, tracked)

    def attach(self, job: str, after_seq: int) -> None:
        """Follow a job after a seq."""
        tracked = self._jobs.setdefault(job, _Tracked())
        tracked.last_seq = after_seq
        self._attach(job, tracked)

    def cancel(self, job: str) -> None:
        """Stop a job."""
        self._wish("cancel", job, Cancel(job=job))

    def forget(self, job: str) -> None:
        """Remove a finished job from the backend."""
        self._wish("forget", job, Forget(job=job))

    def list_jobs(self) -> None:
        """Ask for the backend's jobs."""
        self._wish("list", "", ListJobs())

    def fetch(self, ref: ObjectRef, tag: Any) -> None:
        """Fetch an object."""
        self._downloads.add(ref, tag)

    @property
    def _limits(self) -> Limits:
        return LIMITS if self._link.welcome is None else self._link.welcome.limits

    # how it is done

    def pump(self, now: float) -> None:
        """Bring a new link up to date, and move the transfers on."""
        if self._link.state != "ready":
            return
        if self._round != self._link.round:
            self._round = self._link.round
            self._uploads.restart()
            self._downloads.restart()
            for job, tracked in list(self._jobs.items()):
                if tracked.spec is not None:
                    self._submit(job, tracked)
                else:
                    self._attach(job, tracked)
            for (what, job), message in list(self._wishes.items()):
                self._wish(what, job, message)
        self._uploads.pump(now, self._limits)
        self._downloads.pump(self._limits)

    def _submit(self, job: str, tracked: _Tracked) -> None:
        assert tracked.spec is not None
        tracked.attached = False
        spec, source = tracked.spec, tracked.source

        def answer(packet: Packet) -> None:
            message = packet.message
            if isinstance(message, Error):
                self._drop(job)
                self._emit(RequestFailed("submit", job, message.problem))
            elif isinstance(message, Accepted):
                if message.new:
                    tracked.last_seq = 0  # this backend never saw it: its history starts again
                self._emit(JobAccepted(job, message.new, message.state))
                self._attach(job, tracked)
                if message.state == "uploading" and source is not None:
                    self._uploads.add(job, objects(spec), source)

        self._ask("control", Submit(job=job), answer, (pack(spec),))

    def _attach(self, job: str, tracked: _Tracked) -> None:
        def answer(packet: Packet) -> None:
            if isinstance(packet.message, Error):
                self._drop(job)
                self._emit(RequestFailed("attach", job, packet.message.problem))

        self._ask("control", Attach(job=job, after_seq=tracked.last_seq), answer)

    def _wish(self, what: str, job: str, message: AnyMessage) -> None:
        """Ask until it is answered, through losses of the link."""
        self._wishes[(what, job)] = message

        def answer(packet: Packet) -> None:
            self._wishes.pop((what, job), None)
            if isinstance(packet.message, Error):
                self._emit(RequestFailed(what, job or None, packet.message.problem))
            elif isinstance(packet.message, Jobs) and len(packet.buffers) == 1:
                try:
                    self._emit(JobList(unpack_as(packet.buffers[0], tuple[JobInfo, ...])))
                except BadMessage as why:
                    self._emit(RequestFailed(what, None, why.problem))

        self._ask("control", message, answer)

    def news(self, packet: Packet) -> None:
        """Take an event of a job: each seq once, in order."""
        message = packet.message
        if not isinstance(message, News) or len(packet.buffers) != 1:
            return
        tracked = self._jobs.get(message.job)
        if tracked is None:
            return
        try:
            event: Event = unpack_as(packet.buffers[0], Event)
        except BadMessage as why:
            self._drop(message.job)
            self._emit(RequestFailed("attach", message.job, why.problem))
            return
        if event.seq <= tracked.last_seq:
            return
        if event.seq != tracked.last_seq + 1:
            self._attach(message.job, tracked)
            return
        tracked.last_seq = event.seq
        if event.state in FINAL_STATES:
            self._drop(message.job)
        self._emit(JobEvent(message.job, event))

    def _drop(self, job: str) -> None:
        self._jobs.pop(job, None)
        self._uploads.drop(job)
