"""Notices when jobs end: a sentence for each, and the newest one for the panel and status bar."""

from __future__ import annotations

import time
from collections.abc import Iterable

from .jobs import CANCELLED, Job

SHOWN_S = 60.0


class Notices:
    """Finds jobs that have ended since the last poll."""

    def __init__(self) -> None:
        self._running: set[str] = set()
        self._text = ""
        self._until = 0.0

    @property
    def text(self) -> str:
        """The newest notice; empty once it is SHOWN_S seconds old."""
        return self._text if time.monotonic() < self._until else ""

    def poll(self, jobs: Iterable[Job]) -> list[str]:
        """A sentence for each job that has ended since the last call, but not if cancelled."""
        known = list(jobs)
        ended = [job for job in known if job.ended and job.id in self._running]
        self._running = {job.id for job in known if not job.ended}
        texts = [_sentence(job) for job in ended if job.phase != CANCELLED]
        if texts:
            self._text, self._until = texts[-1], time.monotonic() + SHOWN_S
        return texts


def _sentence(job: Job) -> str:
    if job.problem is not None:
        return f"Text2LIVE: {job.title} failed. {job.problem.message}"
    return f"Text2LIVE: {job.title} is done."
