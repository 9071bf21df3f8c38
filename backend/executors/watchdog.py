"""Notice a worker that no longer answers or makes no progress, and explain why one ended."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

from backend.executors.base import FromWorker
from backend.logs import last_output
from protocol.jobs import Problem

QUIET = 30.0  # seconds without a sign of life, which comes every worker.ALIVE_EVERY seconds
NO_PROGRESS = 600.0  # seconds without a report about the running job
PAUSED = 5.0  # seconds between two looks after which this process itself was stopped


@dataclass(frozen=True)
class Finding:
    """What is wrong with a worker, in a sentence; restart: whether it should be killed."""

    text: str
    restart: bool = False


class Watchdog:
    """Knows when a worker was last heard. restart_after: seconds until it is killed; 0: never.

    Times are those of time.monotonic(). `heard` may be called from another thread.
    """

    def __init__(self, restart_after: float = 0.0) -> None:
        self._restart_after = restart_after
        self._heard = self._advanced = self._looked = 0.0
        self._reported = False

    def reset(self, now: float) -> None:
        """A new worker was started, or the time that passed does not count."""
        self._heard = self._advanced = self._looked = now
        self._reported = False

    def started(self, now: float) -> None:
        """A job was given to the worker."""
        self._advanced, self._reported = now, False

    def heard(self, now: float, report: FromWorker) -> None:
        """The worker sent a report."""
        self._heard = now
        if report.job:
            self._advanced, self._reported = now, False

    def look(self, now: float, *, working: bool) -> Finding | None:
        """What is wrong, once when it is noticed and once when the worker is to be killed.

        working: whether it has a job.
        """
        if now - self._looked > PAUSED:  # its reports may still wait to be read
            self._heard = self._advanced = now
        self._looked = now
        silent, idle = now - self._heard, now - self._advanced if working else 0.0
        if 0 < self._restart_after <= max(silent, idle):
            return Finding(f"{_sentence(silent, idle)} It is being restarted.", restart=True)
        if not self._reported and (silent > QUIET or idle > NO_PROGRESS):
            self._reported = True
            return Finding(f"{_sentence(silent, idle)} Cancelling its job restarts it.")
        return None


def _sentence(silent: float, idle: float) -> str:
    if silent >= idle or silent > QUIET:
        return f"The backend's worker has not answered for {_duration(silent)}."
    return f"The job has made no progress for {_duration(idle)}."


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"


def worker_stuck(finding: str) -> Problem:
    """Why a job failed whose worker was killed for this finding."""
    return Problem(
        code="worker_stuck",
        message=finding,
        hint="Run the job again; if it gets stuck again, use a smaller clip or look at the log.",
        retryable=True,
    )


def worker_died(exitcode: int | None, log: Path) -> Problem:
    """Why a job failed whose worker ended. exitcode: negative for a signal, None if unknown."""
    if exitcode is None:
        how = "disappeared"
    elif exitcode < 0:
        try:
            how = f"was killed by {signal.Signals(-exitcode).name}"
        except ValueError:
            how = f"was killed by signal {-exitcode}"
    else:
        how = f"ended with exit code {exitcode}"
    last = last_output(log)
    output = f" Its last output: {last}" if last else ""
    return Problem(
        code="worker_died",
        message=f"The backend's worker process {how}.{output}",
        hint="It is being restarted. SIGKILL usually means too little memory. The details are in "
        f"{log.name} in the backend's folder for logs.",
        retryable=True,
    )
