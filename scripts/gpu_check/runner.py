"""Runs the items in a process of their own, which is killed and replaced when an item hangs."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
import traceback
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from scripts.gpu_check.items import Item

START_LIMIT_S = 180.0
QUICK_PATIENCE = 6  # a busy CPU gets this many times an item's limit
PID_FILE = "server.pid"  # in the scratch folder; written by an item that starts a server
RESERVE_S = 2.0  # of the budget, for the last files


@dataclass(frozen=True)
class Settings:
    """What the command line asked for. budget: seconds in all, 0 for no limit."""

    device: str
    quick: bool
    out: Path
    scratch: Path
    budget: float


@dataclass
class Outcome:
    """The result of an item.

    state: passed, failed (a check did not hold), error (an exception), lost (an exception after
    which the device could not be used), stopped (over its time), died (its process ended), skipped
    (no time left).
    """

    number: int
    name: str
    title: str
    state: str = "running"
    summary: str = ""
    seconds: float = 0.0
    values: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For gpu.json."""
        return asdict(self)


class RefusedError(Exception):
    """The device does not exist."""


class Worker:
    """A process that holds the device and runs one item after another."""

    def __init__(self, settings: Settings) -> None:
        self._scratch = settings.scratch
        self.pipe, end = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self.process = context.Process(target=work, args=(end, settings))
        self.process.start()
        end.close()

    def wait_until_ready(self, limit: float = START_LIMIT_S) -> None:
        """Wait for the libraries to load. Raises RefusedError, or TimeoutError and EOFError."""
        if not self.pipe.poll(limit):
            raise TimeoutError(f"the process was not ready within {limit:.0f} s")
        kind, text = self.pipe.recv()
        if kind == "refused":
            raise RefusedError(text)

    def run(self, item: Item, limit: float) -> Outcome:
        """Run an item for at most limit seconds; afterwards the process may be gone."""
        outcome = Outcome(item.number, item.name, item.title)
        since = time.monotonic()
        try:
            self.pipe.send(item)
            while outcome.state == "running":
                left = limit - (time.monotonic() - since)
                if left <= 0 or not self.pipe.poll(left):
                    outcome.state = "stopped"
                    outcome.summary = f"stopped after {limit:.0f} s"
                else:
                    _take(outcome, self.pipe.recv())
        except (EOFError, OSError):
            self.process.join(5)
            outcome.state = "died"
            outcome.summary = f"its process ended with exit code {self.process.exitcode}"
        outcome.seconds = time.monotonic() - since
        if outcome.state in ("stopped", "died", "lost"):
            self.end()
        return outcome

    @property
    def alive(self) -> bool:
        """Whether it can run another item."""
        return self.process.is_alive()

    def end(self) -> None:
        """Kill it and all that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self.process.pid:
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.join(10)
        with contextlib.suppress(OSError, ValueError):  # a server has a group of its own
            os.kill(int((self._scratch / PID_FILE).read_text()), signal.SIGKILL)
        self.pipe.close()


def _take(outcome: Outcome, message: tuple[str, Any, Any]) -> None:
    """Enter a message of the worker into an outcome."""
    kind, name, value = message
    if kind == "value":
        outcome.values[name] = value
    elif kind == "problem":
        outcome.problems.append(value)
    elif kind == "done":
        outcome.state = "failed" if outcome.problems else "passed"
        outcome.summary = value
    else:
        outcome.state, outcome.summary = kind, name
        outcome.problems.append(value)


def work(pipe: Connection, settings: Settings) -> None:
    """The worker's process: prepares the device, then runs the items it receives."""
    with contextlib.suppress(OSError):
        os.setsid()  # so that it is killed together with what it starts
    import torch

    from backend.device import find_device, free_memory
    from protocol.jobs import JobError

    try:
        name, _ = find_device(settings.device)
    except JobError as why:
        pipe.send(("refused", f"{why.problem.message} {why.problem.hint}"))
        return
    from scripts.gpu_check.bench import Bench  # takes seconds to import

    device = torch.device(name)
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.zeros(1, device=device)

    def send(name: str, value: Any) -> None:
        pipe.send(("value", name, value) if name else ("problem", "", value))

    bench = Bench(device, settings.quick, settings.scratch, settings.out, send)
    pipe.send(("ready", ""))
    with contextlib.suppress(EOFError):
        while True:
            item: Item = pipe.recv()
            _run_item(item, bench, pipe)
            free_memory()


def _run_item(item: Item, bench: Any, pipe: Connection) -> None:
    try:
        summary = item.load()(bench)
        bench.sync()
        pipe.send(("done", "", summary))
    except Exception as why:
        text = traceback.format_exc()[-3000:]
        summary = f"{type(why).__name__}: {str(why)[:300]}"
        pipe.send(("error" if bench.usable() else "lost", summary, text))


class Visit:
    """All items of a visit, and their outcomes so far."""

    def __init__(self, settings: Settings, items: list[Item]) -> None:
        self.settings, self.items = settings, items
        self.since = time.monotonic()
        self.outcomes: list[Outcome] = []
        self._worker: Worker | None = None

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.since

    def run(self, item: Item) -> Outcome:
        """Run an item if there is time left. Raises RefusedError."""
        outcome = self._run(item)
        self.outcomes.append(outcome)
        return outcome

    def _run(self, item: Item) -> Outcome:
        outcome = Outcome(item.number, item.name, item.title)
        left = self.settings.budget - RESERVE_S - self.seconds if self.settings.budget else 1e9
        if left < item.estimate:
            outcome.state = "skipped"
            rest = max(0, left)
            outcome.summary = f"no time left: needs {item.estimate:.0f} s of {rest:.0f} s"
            return outcome
        try:
            if self._worker is None or not self._worker.alive:
                self.close()
                self._worker = Worker(self.settings)
                self._worker.wait_until_ready(min(START_LIMIT_S, left))
        except (EOFError, OSError) as why:  # a TimeoutError is an OSError
            outcome.state, outcome.summary = "died", f"its process did not start: {why}"
            self.close()
            return outcome
        patience = QUICK_PATIENCE if self.settings.quick else 1
        return self._worker.run(item, min(item.limit * patience, left))

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.end()
        self._worker = None
