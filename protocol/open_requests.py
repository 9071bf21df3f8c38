"""A client's unfinished requests, repeated after every loss of the connection.

No thread here: the client's thread drives it. Every request can be repeated, so after a loss (of
the connection or of the backend) everything unfinished is simply requested again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .codec import BadMessage, Bytes, Packet, pack, unpack_as
from .events import ClientEvent, JobAccepted, JobEvent, JobList, RequestFailed
from .inbox import inbox_of
from .jobs import FINAL_STATES, Event, JobError, JobSpec, ObjectRef, Problem
from .limits import LIMITS, Limits
from .link import Link
from .messages import (
    NO_CRC,
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
    Requeue,
    Submit,
    backend_too_old,
)
from .transfer import Downloads, Source, Uploads
from .upgrade import needed_minor
from .validate import check, check_job_id, objects


@dataclass
class _Tracked:
    """A job whose events are followed. spec and source: only if this client submitted it.

    known: the backend has the job, as far as this client knows.
    """

    last_seq: int = 0
    spec: JobSpec | None = None
    source: Source | None = None
    known: bool = False


class OpenRequests:
    """The jobs that are followed, the transfers, and the requests without an answer."""

    def __init__(self, link: Link, emit: Callable[[ClientEvent], None]) -> None:
        self._link = link
        self._emit = emit
        self._jobs: dict[str, _Tracked] = {}
        self._unanswered: dict[tuple[str, str], tuple[AnyMessage, Callable[[Accepted], None]]] = {}
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

    # requests

    def submit(self, job: str, spec: JobSpec, source: Source) -> None:
        """Submit a job; answered by the job's events, or by RequestFailed ``submit``."""
        try:
            check_job_id(job)
            check(spec, self._limits)
        except JobError as why:
            self._emit(RequestFailed("submit", job, why.problem))
            return
        tracked = self._jobs.get(job)
        if tracked is not None and tracked.spec not in (None, spec):
            self._emit(RequestFailed("submit", job, _other_job()))
            return
        if tracked is None:
            tracked = self._jobs[job] = _Tracked()
        tracked.spec, tracked.source = spec, source
        self._submit(job, tracked)

    def attach(self, job: str, after_seq: int) -> None:
        """Follow a job's events after a seq."""
        tracked = self._jobs.setdefault(job, _Tracked())
        tracked.last_seq, tracked.known = after_seq, True
        self._attach(job, tracked)

    def cancel(self, job: str) -> None:
        """Stop a job."""
        self._repeat("cancel", job, Cancel(job=job))

    def requeue(
        self, job: str, after_seq: int, spec: JobSpec | None, source: Source | None
    ) -> None:
        """Run a failed job again; answered by JobAccepted and events, or by RequestFailed."""

        def accepted(message: Accepted) -> None:
            tracked = self._jobs.setdefault(job, _Tracked(last_seq=after_seq))
            tracked.spec, tracked.source = spec, source
            if message.state == "uploading" and (spec is None or source is None):
                self._drop(job)
                self.cancel(job)
                self._emit(RequestFailed("requeue", job, _frames_gone()))
                return
            self._emit(JobAccepted(job, message.new, message.state))
            self._attach(job, tracked)
            if message.state == "uploading" and spec is not None and source is not None:
                self._uploads.add(job, objects(spec), source)

        self._repeat("requeue", job, Requeue(job=job), accepted)

    def forget(self, job: str) -> None:
        """Remove a finished job from the backend."""
        self._repeat("forget", job, Forget(job=job))

    def list_jobs(self) -> None:
        """Ask for the backend's jobs."""
        self._repeat("list", "", ListJobs())

    def fetch(self, ref: ObjectRef, tag: Any) -> None:
        """Fetch an object; tag comes back with it."""
        self._downloads.add(ref, tag)

    @property
    def _limits(self) -> Limits:
        return LIMITS if self._link.welcome is None else self._link.welcome.limits

    # the link

    def pump(self, now: float) -> None:
        """Repeat open requests on a new link, and advance the transfers."""
        if self._link.state != "ready":
            return
        welcome = self._link.welcome
        if self._round != self._link.round:
            self._round = self._link.round
            self._uploads.restart()
            self._uploads.share(inbox_of(welcome, self._link.proof) if welcome else None)
            self._downloads.restart()
            for job, tracked in list(self._jobs.items()):
                if tracked.spec is not None:
                    self._submit(job, tracked)
                else:
                    self._attach(job, tracked)
            for (what, job), (message, accepted) in list(self._unanswered.items()):
                self._repeat(what, job, message, accepted)
        crc = welcome is None or NO_CRC not in welcome.features
        self._uploads.pump(now, self._limits, crc=crc)
        self._downloads.pump(self._limits)

    def _submit(self, job: str, tracked: _Tracked) -> None:
        assert tracked.spec is not None
        spec, source = tracked.spec, tracked.source
        needed = needed_minor(spec)
        if self._ready and self._link.minor < needed:
            self._drop(job)
            problem = backend_too_old(self._link.minor, needed)
            self._emit(RequestFailed("submit", job, problem))
            return

        def answer(packet: Packet) -> None:
            message = packet.message
            if isinstance(message, Error):
                if tracked.known and self._jobs.get(job) is tracked:
                    # The job goes on: only this request failed.
                    tracked.spec = tracked.source = None
                    self._attach(job, tracked)
                else:
                    self._drop(job)
                self._emit(RequestFailed("submit", job, message.problem))
            elif isinstance(message, Accepted):
                tracked.known = True
                if message.new:
                    tracked.last_seq = 0  # unknown to this backend: its history starts again
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

    def _repeat(
        self,
        what: str,
        job: str,
        message: AnyMessage,
        accepted: Callable[[Accepted], None] = lambda _: None,
    ) -> None:
        """Send a request, again on every new link until it is answered."""
        self._unanswered[(what, job)] = (message, accepted)

        def answer(packet: Packet) -> None:
            self._unanswered.pop((what, job), None)
            if isinstance(packet.message, Error):
                self._emit(RequestFailed(what, job or None, packet.message.problem))
            elif isinstance(packet.message, Accepted):
                accepted(packet.message)
            elif isinstance(packet.message, Jobs) and len(packet.buffers) == 1:
                try:
                    self._emit(JobList(unpack_as(packet.buffers[0], tuple[JobInfo, ...])))
                except BadMessage as why:
                    self._emit(RequestFailed(what, None, why.problem))

        self._ask("control", message, answer)

    def receive(self, packet: Packet) -> None:
        """Emit the event of a job that a packet carries: each seq once, in order."""
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
        tracked.last_seq, tracked.known = event.seq, True
        if event.state in FINAL_STATES:
            self._drop(message.job)
        self._emit(JobEvent(message.job, event))

    def _drop(self, job: str) -> None:
        self._jobs.pop(job, None)
        self._uploads.drop(job)


def _other_job() -> Problem:
    return Problem(
        code="job_id_conflict",
        message="A different job was already sent with this id.",
        hint="Give the new job another id.",
    )


def _frames_gone() -> Problem:
    return Problem(
        code="frames_gone",
        message="The backend no longer has all the frames of this job.",
        hint="Send the job again, with its frames, as a new one.",
    )
