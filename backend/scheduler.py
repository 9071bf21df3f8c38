"""Move jobs from the queue to the executor and back: every change of a job's state happens here.

Everything runs in the server's thread. The journal is authoritative; what the scheduler keeps
itself can be rebuilt from it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import get_args

import msgspec

from backend.executors.base import (
    AnyReport,
    Executor,
    Failed,
    Finished,
    Gone,
    Memory,
    Note,
    Previewed,
    Ready,
    Started,
    Step,
    Stopped,
    Unusable,
)
from backend.housekeeping import Housekeeping
from backend.job_events import (
    input_refs,
    new_event,
    new_state,
    result_bytes,
    result_refs,
    wrong_shape,
)
from backend.journal import JobRecord, Journal
from backend.store import Store
from protocol.jobs import (
    FINAL_STATES,
    Event,
    JobError,
    JobSpec,
    JobState,
    ObjectRef,
    Problem,
)
from protocol.limits import LIMITS
from protocol.validate import check, check_job_id

MAX_ATTEMPTS = 2  # how often an interrupted job is started again
PROGRESS_INTERVAL = 0.5  # seconds between progress events in the journal
_log = logging.getLogger(__name__)


class Slot(msgspec.Struct):
    """The state of a slot. job: what runs there; since: when it began (time.time()).

    free, total: bytes of its device's memory.
    """

    device: str = ""
    text: str = ""
    ready: bool = False
    job: str = ""
    since: float = 0.0
    free: int = 0
    total: int = 0


class Scheduler:
    """Runs the jobs of one journal on one executor.

    changed: called with a job's id whenever it has new events.
    """

    def __init__(
        self,
        journal: Journal,
        store: Store,
        executor: Executor,
        changed: Callable[[str], None],
        housekeeping: Housekeeping,
    ) -> None:
        self._journal = journal
        self._store = store
        self._executor = executor
        self._changed = changed
        self._housekeeping = housekeeping
        self.slots = {name: Slot() for name in executor.slots()}
        self.unusable: Problem | None = None
        self._waiting: dict[str, dict[str, ObjectRef]] = {}  # job -> objects it lacks
        self._unfit: list[str] = []  # jobs that name an object with a wrong shape
        self._results: dict[str, int] = {}  # unfinished job -> bytes that its result may take
        self._written: dict[str, tuple[float, str]] = {}  # job -> last progress: time, phase
        self._held_back: dict[str, Step] = {}  # job -> progress that is not written yet
        self._recover()

    def _recover(self) -> None:
        """Continue the jobs an earlier server left unfinished, unless they keep crashing it."""
        for job in self._journal.in_states("cancelling"):
            self._write(job.id, new_state("cancelled"))
        for job in self._journal.in_states("starting", "running", "saving"):
            attempts = job.attempts + 1
            events = [new_state("interrupted")]
            if attempts <= MAX_ATTEMPTS:
                events.append(new_state("queued"))
            else:
                problem = Problem(
                    code="interrupted_too_often",
                    message=f"The backend stopped {attempts} times while running this job.",
                    hint="The job may be the cause: try a smaller one, and look at the log.",
                    retryable=True,
                )
                events.append(new_state("failed", problem=problem))
            self._write(job.id, *events, attempts=attempts)
        for job in self._journal.in_states("interrupted"):
            self._write(job.id, new_state("queued"))
        for job in self._journal.in_states("queued"):
            self._results[job.id] = result_bytes(self._journal.spec(job.id))
            self._restore_objects(job)
        for job in self._journal.in_states("uploading"):
            spec = self._journal.spec(job.id)
            self._results[job.id] = result_bytes(spec)
            self._wait_for_objects(job.id, spec)

    # clients' requests

    def submit(self, job: str, owner: str, spec: JobSpec) -> tuple[JobRecord, bool]:
        """Accept a job, or find it already accepted: (job, is it new). Raises JobError."""
        check_job_id(job)
        known = self._journal.find(job)
        if known is not None:
            if self._journal.spec(job) != spec:
                raise JobError(
                    "job_id_conflict",
                    "A different job was already sent with this id.",
                    "Give the new job another id.",
                )
            self._restore_objects(known)
            return self._journal.job(job), False
        check(spec)
        if self._journal.open_jobs(owner) >= LIMITS.open_jobs:
            raise JobError(
                "too_many_jobs",
                f"{LIMITS.open_jobs} jobs are already waiting.",
                "Wait until some are done, or cancel some.",
                retryable=True,
            )
        space = self._check_space(spec)
        self._journal.add(job, owner, spec, "uploading")
        self._results[job] = space
        self._changed(job)
        self._wait_for_objects(job, spec)
        return self._journal.job(job), True

    def _check_space(self, spec: JobSpec) -> int:
        """The space for a job's result; JobError disk_full if it does not fit beside the others."""
        waiting = {ref for lacking in self._waiting.values() for ref in lacking.values()}
        waiting |= {ref for ref in input_refs(spec) if not self._store.has(ref)}
        uploads = sum(ref.nbytes for ref in waiting)
        results = sum(self._results.values()) + result_bytes(spec)
        self._housekeeping.check_space(uploads + results)
        return result_bytes(spec)

    def _restore_objects(self, job: JobRecord) -> None:
        """Send a queued job back to uploading if objects of it were lost."""
        if job.state != "queued":
            return
        spec = self._journal.spec(job.id)
        if any(not self._store.has(ref) for ref in input_refs(spec)):
            self._write(job.id, new_state("uploading"))
            self._wait_for_objects(job.id, spec)

    def _wait_for_objects(self, job: str, spec: JobSpec) -> None:
        refs = [ref for ref in input_refs(spec) if not self._store.use(ref)]
        self._store.finish([(ref,) for ref in refs if self._store.is_full([ref])])
        self._waiting[job] = {ref.digest: ref for ref in refs if not self._store.has(ref)}

    def wanted(self, digest: str) -> tuple[ObjectRef, ...]:
        """The references to this object in jobs that wait for it, the largest first.

        There is more than one if jobs disagree about its shape: only one of them can be right.
        """
        found = {lacking[digest] for lacking in self._waiting.values() if digest in lacking}
        return tuple(sorted(found, key=lambda ref: (-ref.nbytes, ref.shape)))

    def arrived(self, ref: ObjectRef) -> None:
        """Note that an object is complete.

        At the next tick, jobs that lack no other are queued, and those that name it with another
        shape fail.
        """
        for job, lacking in self._waiting.items():
            if lacking.pop(ref.digest, ref) != ref:
                self._unfit.append(job)

    def cancel(self, job: str) -> None:
        """Stop a job, whatever its state. Raises JobError ``unknown_job``."""
        state = self._journal.job(job).state
        if state in FINAL_STATES:
            return
        if state in ("uploading", "queued", "interrupted"):
            self._write(job, new_state("cancelled"))
            self._stop_waiting(job)
            return
        if state != "cancelling":
            self._write(job, new_state("cancelling"))
        self._executor.cancel(job)

    def requeue(self, job: str) -> JobRecord:
        """Run a job again that failed by no fault of its own. Idempotent.

        Raises JobError ``unknown_job``, ``not_requeueable``.
        """
        record = self._journal.job(job)
        if record.state not in FINAL_STATES:
            return record
        if not self._failed_by_no_fault(record):
            raise JobError(
                "not_requeueable",
                "Only a job that failed by no fault of its own can run again as it is.",
                "Change what its message names, and send it as a new job.",
            )
        space = self._check_space(self._journal.spec(job))
        self._write(job, new_state("queued"), attempts=0)
        self._results[job] = space
        self._restore_objects(self._journal.job(job))
        return self._journal.job(job)

    def _failed_by_no_fault(self, job: JobRecord) -> bool:
        if job.state != "failed":
            return False
        for _, body in self._journal.events(job.id, job.seq - 1, 1):
            problem = msgspec.msgpack.decode(body, type=Event).problem
            return problem is not None and problem.retryable
        return False

    def _stop_waiting(self, job: str) -> None:
        """Expect no more uploads for a job; delete parts that no other job waits for."""
        for digest in self._waiting.pop(job, {}):
            if not self.wanted(digest):
                self._store.drop_part(digest)

    def forget(self, job: str) -> None:
        """Remove a finished job. Raises JobError ``job_active``; ignores an unknown job."""
        known = self._journal.find(job)
        if known is None:
            return
        if known.state not in FINAL_STATES:
            raise JobError(
                "job_active", "The job is not finished.", "Cancel it first, then forget it."
            )
        digests = self._journal.digests(job)
        self._journal.forget(job)
        self._housekeeping.release(digests)

    # the executor's reports

    def report(self, slot: str, report: AnyReport) -> None:
        """Record a worker's report. Raises JobError disk_full: then call it again later."""
        if isinstance(report, Ready):
            self.slots[slot] = Slot(device=report.device, text=report.text, ready=True)
        elif isinstance(report, Memory):
            self.slots[slot].free, self.slots[slot].total = report.free, report.total
        elif isinstance(report, Gone):
            self.slots[slot].ready = False
        elif isinstance(report, Unusable):
            self.unusable = report.problem
        else:
            self._about_job(slot, report)

    def _about_job(
        self, slot: str, report: Started | Step | Previewed | Note | Finished | Failed | Stopped
    ) -> None:
        job = self._journal.find(report.job)
        if job is None or job.state in FINAL_STATES:
            return
        if isinstance(report, Step):
            self._progress(job, report)
            return
        if isinstance(report, Finished | Failed | Stopped):
            self._write(job.id, *self._ending(job, report))
            self._held_back.pop(job.id, None)
            self._written.pop(job.id, None)
            self.slots[slot].job = ""
            return
        self._flush(job.id)
        if isinstance(report, Previewed):
            self._write(job.id, new_event("preview", job.state, object=report.object))
        elif isinstance(report, Note):
            self._write(job.id, new_event("note", job.state, text=report.text))
        elif job.state == "starting":
            self._write(job.id, new_state("running"))

    def _ending(self, job: JobRecord, report: Finished | Failed | Stopped) -> list[Event]:
        if isinstance(report, Finished):  # wins over a later cancel
            lost = [r for r in result_refs(report.result) if not self._store.has(r)]
            if not lost:
                return [new_state("saving"), new_state("done", result=report.result)]
            problem = Problem(
                code="result_lost",
                message=f"{len(lost)} images of the result are missing on the backend's disk.",
                hint="Run the job again.",
                retryable=True,
            )
            return [new_state("failed", problem=problem)]
        if isinstance(report, Stopped) or job.state == "cancelling":
            return [new_state("cancelled")]
        return [new_state("failed", problem=report.problem)]

    def _progress(self, job: JobRecord, report: Step) -> None:
        at, phase = self._written.get(job.id, (0.0, ""))
        now = time.monotonic()
        if phase == report.phase and now - at < PROGRESS_INTERVAL:
            self._held_back[job.id] = report
            return
        self._held_back.pop(job.id, None)
        self._write(
            job.id,
            new_event(
                "progress",
                job.state,
                phase=report.phase,
                done=report.done,
                total=report.total,
                eta_s=report.eta_s,
            ),
        )
        self._written[job.id] = (now, report.phase)

    def _flush(self, job: str) -> None:
        report = self._held_back.pop(job, None)
        if report is not None:
            self._written.pop(job, None)
            self._progress(self._journal.job(job), report)

    # the clock

    def tick(self, now: float) -> None:
        """Queue uploaded jobs, write held-back progress, start jobs, tick the executor."""
        self._executor.tick(now)
        while self._unfit:
            if self._unfit[-1] in self._waiting:
                self._write(self._unfit[-1], new_state("failed", problem=wrong_shape()))
                self._stop_waiting(self._unfit[-1])
            self._unfit.pop()
        for job in [job for job, lacking in self._waiting.items() if not lacking]:
            self._write(job, new_state("queued"))
            del self._waiting[job]
        for held in list(self._held_back):
            if now - self._written.get(held, (0.0, ""))[0] >= PROGRESS_INTERVAL:
                self._flush(held)
        free = [name for name, slot in self.slots.items() if slot.ready and not slot.job]
        if not free:
            return
        for name, queued in zip(free, self._journal.in_states("queued"), strict=False):
            self._write(queued.id, new_state("starting"))
            self.slots[name].job, self.slots[name].since = queued.id, time.time()
            self._executor.start(name, queued.id, self._journal.spec(queued.id))

    def stop(self) -> None:
        """Interrupt the running jobs because the backend stops; it does not count as an attempt."""
        for job in self._journal.in_states("starting", "running", "saving"):
            self._write(job.id, new_state("interrupted"))

    def pinned(self) -> set[str]:
        """Digests that unfinished jobs need."""
        live = [state for state in get_args(JobState) if state not in FINAL_STATES]
        specs = [self._journal.spec(job.id) for job in self._journal.in_states(*live)]
        return {ref.digest for spec in specs for ref in input_refs(spec)}

    def running_since(self) -> float | None:
        """When the oldest running job began (time.time()), or None."""
        return min((slot.since for slot in self.slots.values() if slot.job), default=None)

    def _write(self, job: str, *events: Event, attempts: int | None = None) -> None:
        self._journal.append(job, *events, attempts=attempts)
        self._changed(job)
        for event in events:
            if event.kind == "state":
                if event.state in FINAL_STATES:
                    self._results.pop(job, None)
                why = f": {event.problem.code}, {event.problem.message}" if event.problem else ""
                _log.info("job %s %s%s", job, event.state, why)
