"""The session: owns the client, handles its events on the main thread, keeps the state of jobs.

Threading rule: the client's thread never runs code of this file. Its events wait in `client.events`
until drain() handles them on Blender's main thread, within a time budget.
"""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..wire import client as wire_client
from ..wire import jobs, keys
from .connection import ConnectionStatus
from .delivery import Delivery
from .frames import FrameStore
from .jobs import CANCELLED, ENDED, FETCHING, PLACING, READING, SENDING, WAITING, Job
from .previews import PreviewRequest, Previews


class Session:
    """One backend at a time, and every job started or re-attached since Blender opened."""

    def __init__(self, make_client: Callable[[keys.Connection], Any] = wire_client.Client) -> None:
        self.status = ConnectionStatus()
        self.jobs: dict[str, Job] = {}
        self._make_client = make_client
        self._client: Any = None
        self._address = ""
        self.server = ""
        self._sent: dict[str, tuple[jobs.JobSpec, FrameStore]] = {}
        self._deliveries: dict[str, Delivery] = {}
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="text2live-png")
        self._previews = Previews(self._writer)

    @property
    def connected(self) -> bool:
        """A client is running, whether or not the backend answers."""
        return self._client is not None

    def connect(self, connection: keys.Connection) -> None:
        """Start a client, closing an older one, and resume every job that has not ended."""
        self.disconnect()
        self._address, self.server = connection.address, connection.server_key[:12]
        self.status = ConnectionStatus(state="connecting", address=self._address)
        self._client = self._make_client(connection)
        self._client.start()
        for job in self.jobs.values():
            self._resume(job)

    def refuse(self, problem: jobs.Problem) -> None:
        """Disconnect, and show why no connection was attempted."""
        self.disconnect()
        self.status = ConnectionStatus(problem=problem)

    def disconnect(self) -> None:
        """Close the client. The backend keeps working; jobs are resumed at the next connect."""
        if self._client is not None:
            self._client.close()
            self._client = None
        for delivery in self._deliveries.values():
            delivery.drop()
        self._deliveries.clear()
        self.status = ConnectionStatus()

    def close(self) -> None:
        """Disconnect, and release the writer and every frame waiting to be sent."""
        self.disconnect()
        for _spec, frames in self._sent.values():
            frames.close()
        self._sent.clear()
        self._previews.close()
        self._writer.shutdown(wait=True)

    @contextlib.contextmanager
    def threads_paused(self) -> Iterator[None]:
        """Keep the add-on's threads from running Python; waits for the PNG being written.

        Up to Blender 5.0 (Python 3.11), an operator inside a script's `temp_override` reads Python
        objects without holding the GIL, and crashes if another thread allocates at that time.
        """
        paused, resume = threading.Event(), threading.Event()

        def pause() -> None:
            paused.set()
            resume.wait()

        self._writer.submit(pause)
        try:
            paused.wait()
            halt = self._client.standing_still() if self._client is not None else None
            with halt or contextlib.nullcontext():
                yield
        finally:
            resume.set()

    def add(self, job: Job) -> None:
        """Add a job whose frames are being read."""
        self.jobs[job.id] = job

    def submit(self, job: Job, spec: jobs.JobSpec, frames: FrameStore) -> None:
        """Send a job, at the next connect if there is no client."""
        self.jobs[job.id] = job
        self._sent[job.id] = (spec, frames)
        job.enter(SENDING)
        if self._client is not None:
            self._client.submit(job.id, spec, frames)

    def attach(self, job: Job) -> None:
        """Follow a job that was sent earlier, from its first event."""
        self.jobs[job.id] = job
        job.accepted = True
        job.enter(WAITING)
        if self._client is not None:
            self._client.attach(job.id, 0)

    def cancel(self, job: Job) -> None:
        """Cancel a job, also at the backend once it can be reached."""
        if job.ended:
            return
        job.cancelling = True
        here = job.phase in (READING, FETCHING, PLACING)
        if not here and self._client is not None:
            self._client.cancel(job.id)
        if here or not job.accepted:
            job.enter(CANCELLED)
            self._release(job)

    def can_resume(self, job: Job) -> bool:
        """Whether the backend can run an ended job again with the frames that it has."""
        here = self._client is not None and job.server in ("", self.server)
        return here and job.failed_by_no_fault

    def resume(self, job: Job) -> None:
        """Let the backend run a job again that failed by no fault of its own."""
        job.problem = None
        job.enter(WAITING)
        self._client.requeue(job.id, job.seq)

    def remove(self, job: Job) -> None:
        """Remove an ended job from the list, here and at the backend; its files stay."""
        self.jobs.pop(job.id, None)
        self._previews.forget(job.id)
        if self._client is not None:
            self._client.forget(job.id)

    def fail(self, job: Job, problem: jobs.Problem) -> None:
        """End a job with a problem found in the add-on."""
        job.fail(problem)
        self._release(job)

    def drain(self, budget_s: float = 0.01) -> bool:
        """Handle events for about budget_s seconds at most; True when anything changed."""
        changed = False
        deadline = time.monotonic() + budget_s
        while self._client is not None and time.monotonic() < deadline:
            try:
                event = self._client.events.get_nowait()
            except queue.Empty:
                break
            changed = True
            self._handle(event)
        for delivery in list(self._deliveries.values()):
            changed |= self._poll_delivery(delivery)
        return self._previews.poll(self.jobs) or changed

    def _handle(self, event: Any) -> None:
        if isinstance(event, wire_client.ConnectionChanged):
            self.status = ConnectionStatus(
                state=event.state,
                address=self._address,
                problem=event.problem,
                device=event.device,
                model=event.model,
                jobs=self.status.jobs,
                others=self.status.others if event.state == "ready" else (),
                free_bytes=self.status.free_bytes,
                total_bytes=self.status.total_bytes,
                disk_free=self.status.disk_free,
                disk_total=self.status.disk_total,
            )
        elif isinstance(event, wire_client.BackendStatus):
            self.status = dataclasses.replace(
                self.status,
                jobs=event.jobs,
                free_bytes=event.free_bytes,
                total_bytes=event.total_bytes,
                disk_free=event.disk_free,
                disk_total=event.disk_total,
            )
            self._ask_for_others(event.jobs)
        elif isinstance(event, wire_client.JobList):
            self.status = dataclasses.replace(self.status, others=self._jobs_elsewhere(event.jobs))
        elif isinstance(event, wire_client.Fetched):
            self._handle_fetched(event)
        elif isinstance(event, wire_client.JobEvent):
            self._handle_job_event(event.job_id, event.event)
        elif isinstance(event, wire_client.Uploading):
            self._with_job(
                event.job_id, lambda job: self._show_upload(job, event.sent, event.total)
            )
        elif isinstance(event, wire_client.JobAccepted):
            self._with_job(event.job_id, lambda job: self._accepted(job, event.new))
        elif isinstance(event, wire_client.RequestFailed):
            if event.what in ("forget", "list") or isinstance(event.tag, PreviewRequest):
                return  # only a preview or the list of jobs is missing
            job_id = event.tag[0] if event.what == "fetch" else event.job_id
            self._with_job(job_id, lambda job: self._request_failed(job, event))

    def _ask_for_others(self, count: int) -> None:
        """Request the list of jobs if some in the queue are not in this session."""
        if count > sum(not job.ended for job in self.jobs.values()):
            self._client.list_jobs()
        else:
            self.status = dataclasses.replace(self.status, others=())

    def _jobs_elsewhere(self, listed: tuple[Any, ...]) -> tuple[str, ...]:
        """Unfinished jobs that are not in this session, oldest first, in words."""
        waiting = ("uploading", "queued", "interrupted")
        return tuple(
            f"{info.title or info.kind} ({'waiting' if info.state in waiting else 'running'})"
            for info in reversed(listed)
            if info.job not in self.jobs and info.state not in jobs.FINAL_STATES
        )

    def _handle_fetched(self, event: Any) -> None:
        if isinstance(event.tag, PreviewRequest):
            self._previews.receive(event.tag, event.array)
            return
        job_id, digest = event.tag
        if job_id in self._deliveries:
            self._deliveries[job_id].receive(digest, event.array)

    def _with_job(self, job_id: str | None, act: Callable[[Job], object]) -> None:
        job = self.jobs.get(job_id or "")
        if job is not None and not job.ended:
            act(job)

    @staticmethod
    def _accepted(job: Job, new: bool) -> None:
        job.accepted = True
        if new:
            job.seq = 0  # the backend did not know the job: its events start again
        if job.phase == SENDING:
            job.enter(WAITING)

    @staticmethod
    def _show_upload(job: Job, sent: int, total: int) -> None:
        if job.phase != SENDING:
            job.enter(SENDING)
        job.done, job.total = sent, max(1, total)

    def _handle_job_event(self, job_id: str, event: jobs.Event) -> None:
        job = self.jobs.get(job_id)
        if job is None or not job.apply(event):
            return
        if event.object is not None and not job.ended and self._client is not None:
            self._client.fetch(event.object, tag=PreviewRequest(job_id, event.seq))
        if job.phase == FETCHING:
            self._deliver(job)
        elif job.phase in ENDED:
            self._release(job)

    def _request_failed(self, job: Job, event: Any) -> None:
        if event.what == "cancel":
            job.cancelling = False
            job.note = event.problem.message
        elif event.what == "upload" and event.problem.retryable:
            job.note = event.problem.message
        else:
            self.fail(job, event.problem)

    def _deliver(self, job: Job) -> None:
        delivery = Delivery(job, self._client, self._writer)
        self._deliveries[job.id] = delivery
        try:
            delivery.start()
        except jobs.JobError as error:
            self.fail(job, error.problem)
        except OSError as error:
            self.fail(job, _cannot_write(job, error))
        if job.phase == PLACING:
            self._release(job)

    def _poll_delivery(self, delivery: Delivery) -> bool:
        try:
            changed = delivery.poll()
        except OSError as error:
            self.fail(delivery.job, _cannot_write(delivery.job, error))
            return True
        if delivery.job.phase == PLACING:
            self._release(delivery.job)
        return changed

    def _resume(self, job: Job) -> None:
        if job.ended or job.phase in (READING, PLACING):
            return
        if job.phase == FETCHING:
            self._deliver(job)
        elif job.id in self._sent:
            self._client.submit(job.id, *self._sent[job.id])
        else:
            self._client.attach(job.id, job.seq)
        if job.cancelling:
            self._client.cancel(job.id)

    def _release(self, job: Job) -> None:
        """Release what the job used in the add-on; it may still have to be placed."""
        delivery = self._deliveries.pop(job.id, None)
        if delivery is not None and job.phase != PLACING:
            delivery.drop()
        sent = self._sent.pop(job.id, None)
        if sent is not None:
            sent[1].close()


def _cannot_write(job: Job, error: OSError) -> jobs.Problem:
    return jobs.Problem(
        code="cannot_write_layer",
        message=f"The layer cannot be written to {job.folder}: {error.strerror or error}.",
        hint="Free some space, or save the .blend in a writable folder. Then start the edit again: "
        "the backend still has the result.",
    )
