"""A real worker process: its reports, and how it is killed."""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing import active_children
from pathlib import Path
from queue import SimpleQueue

from held_checkpoint import HOLD

from backend.executors.base import AnyReport, Failed, Finished
from backend.executors.local import LocalExecutor

SLOT = "worker-0"


class LiveWorker:
    """A worker that runs jobs with a runner, ``module:function``."""

    def __init__(self, data: Path, runner: str, device: str = "cpu") -> None:
        self.executor = LocalExecutor(data, (device,), runner)
        self.reports: list[AnyReport] = []
        self._queue: SimpleQueue[AnyReport] = SimpleQueue()
        self.executor.open(lambda _slot, report: self._queue.put(report))

    def until(self, found: Callable[[AnyReport], bool]) -> AnyReport:
        """Wait for such a report."""
        while True:
            self.executor.tick(time.monotonic())
            if self._queue.empty():
                time.sleep(0.005)
                continue
            self.reports.append(self._queue.get())
            if found(self.reports[-1]):
                return self.reports[-1]

    def kill_when_held(self, data: Path) -> None:
        """Kill the worker once the training that HOLD holds has come to its step."""
        while (data / HOLD).exists():
            self.executor.tick(time.monotonic())
            if self._queue.empty():
                time.sleep(0.005)
                continue
            self.reports.append(self._queue.get())
            assert not isinstance(self.reports[-1], Finished | Failed), self.reports[-1]
        self.kill()

    def kill(self) -> None:
        """End the worker process as the kernel does when memory runs out."""
        (process,) = (one for one in active_children() if one.name == SLOT)
        process.kill()


def is_a(*kinds: type) -> Callable[[AnyReport], bool]:
    return lambda report: isinstance(report, kinds)
