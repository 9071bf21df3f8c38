"""Blocking waits for scripts: the work of the timer is done here in the meantime."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..core import jobs as phases
from ..core.jobs import Job
from ..wire import jobs
from .problems import as_error, no_answer

if TYPE_CHECKING:
    from .baking import Bake
    from .runtime import Runtime

CONNECT_WITHIN_S = 10.0


def wait_for_bake(state: Runtime, bake: Bake) -> Any:
    """Block until a layer is baked; returns its movie strip. Raises JobError."""
    while bake.writer.state == "writing":
        bake.writer.poll()
        time.sleep(0.01)
    with state.session.threads_paused():
        return state.bakes.finish(bake)


def wait_for_job(state: Runtime, job: Job, timeout: float = 0.0) -> None:
    """Block until a job has ended; raises JobError for whatever stopped it.

    timeout: seconds for the whole job, 0 for no limit. A backend that cannot be reached before the
    job is sent ends the wait after CONNECT_WITHIN_S seconds.
    """
    began = time.monotonic()
    unreachable_since = began
    while not job.ended:
        with state.session.threads_paused():
            state.tick(wait=True)
        now = time.monotonic()
        if state.session.status.state == "ready" or job.phase == phases.READING:
            unreachable_since = now
        elif job.phase == phases.SENDING and now - unreachable_since > CONNECT_WITHIN_S:
            state.cancel(job)
            raise as_error(state.session.status.problem or no_answer(state.session.status.address))
        if timeout and now - began > timeout:
            state.cancel(job)
            raise jobs.JobError(
                "timeout",
                f"The job was not finished after {phases.duration(timeout)}.",
                "Allow more time, or use the draft preset.",
            )
        if not state.is_reading(job) and not job.ended:
            time.sleep(0.01)
    if job.problem is not None:
        raise as_error(job.problem)
