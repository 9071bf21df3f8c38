"""One worker process: its start, its reports and orders, and what happens when it dies or hangs."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import threading
import time
import traceback
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import SimpleQueue

import msgspec

from backend import worker
from backend.executors.base import (
    Alive,
    AnyReport,
    Failed,
    Finished,
    FromWorker,
    Gone,
    Note,
    Ready,
    Sink,
    Stopped,
    Unusable,
)
from backend.executors.watchdog import Watchdog, worker_died, worker_stuck
from protocol.jobs import JobSpec

_log = logging.getLogger(__name__)
_SPAWN = multiprocessing.get_context("spawn")  # fork would copy CUDA, locks and sockets
_ENDS = (Finished, Failed, Stopped)
_FIRST_DELAY, _LAST_DELAY = 0.5, 30.0  # seconds before a dead worker is restarted


class Slot:
    """One worker process, and the two threads that read and write its pipe.

    The server's thread never waits for the worker: its orders go through a queue. The lock guards
    the fields that both the reading thread and the server's thread use. restart_after: as for
    LocalExecutor.
    """

    def __init__(self, name: str, options: worker.Options, restart_after: float = 0.0) -> None:
        self._name = name
        self._options = options
        self._lock = threading.Lock()
        self._sink: Sink | None = None
        self._orders: SimpleQueue[bytes | None] = SimpleQueue()
        self._watchdog = Watchdog(restart_after)
        self._process: BaseProcess | None = None
        self._reader: threading.Thread | None = None
        self._job = ""
        self._kill_at: float | None = None
        self._killed = False
        self._stuck = ""
        self._was_ready = False
        self._spawn_at: float | None = None
        self._delay = _FIRST_DELAY
        self._closed = False

    def open(self, sink: Sink) -> None:
        """Start the worker."""
        self._sink = sink
        self._spawn()

    def _spawn(self) -> None:
        ours, theirs = _SPAWN.Pipe()
        packed = msgspec.msgpack.encode(self._options)
        process = _SPAWN.Process(
            target=worker.main, args=(theirs, packed), name=self._name, daemon=True
        )
        try:
            process.start()
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()  # so that the pipe closes when the worker ends
        self._orders = SimpleQueue()
        self._process, self._spawn_at = process, None
        self._watchdog.reset(time.monotonic())
        self._reader = threading.Thread(
            target=self._read,
            args=(ours, process, self._orders),
            name=f"{self._name}-reader",
            daemon=True,
        )
        self._reader.start()
        threading.Thread(
            target=_write, args=(ours, self._orders), name=f"{self._name}-writer", daemon=True
        ).start()

    def _read(
        self, pipe: Connection, process: BaseProcess, orders: SimpleQueue[bytes | None]
    ) -> None:
        usable = True
        while True:
            try:
                report = msgspec.msgpack.decode(pipe.recv_bytes(), type=FromWorker)
            except (EOFError, OSError):
                break
            self._watchdog.heard(time.monotonic(), report)
            if isinstance(report, Alive):
                continue
            with self._lock:
                if isinstance(report, Ready):
                    self._was_ready, self._delay = True, _FIRST_DELAY
                usable = usable and not isinstance(report, Unusable)
                dying = self._killed and isinstance(report, _ENDS)
                if isinstance(report, _ENDS):
                    self._job, self._kill_at = "", None
            if dying:  # the job ended just as its worker was killed: give it no other job
                self._report(Gone())
            self._report(report)
        process.join(5)
        if process.is_alive():
            process.kill()
            process.join(5)
        orders.put(None)
        if usable:
            self._died(process.exitcode)

    def _died(self, exitcode: int | None) -> None:
        with self._lock:
            if self._closed:
                return
            job, killed, stuck = self._job, self._killed, self._stuck
            self._job, self._kill_at, self._killed, self._stuck = "", None, False, ""
            again = self._was_ready or bool(stuck)
            if again:
                self._spawn_at = time.monotonic() + self._delay
                self._delay = min(self._delay * 2, _LAST_DELAY)
        output = Path(self._options.log)
        problem = worker_stuck(stuck) if stuck else worker_died(exitcode, output)
        if not again:
            self._report(Unusable(problem=problem))
            return
        self._report(Gone())
        if job:
            self._report(Stopped(job=job) if killed else Failed(job=job, problem=problem))

    def _report(self, report: AnyReport) -> None:
        if self._sink is not None and not self._closed:
            self._sink(self._name, report)

    def _order(self, order: worker.Order) -> None:
        self._orders.put(msgspec.msgpack.encode(order))

    def start(self, job: str, spec: JobSpec) -> None:
        """Run a job; the worker is ready."""
        with self._lock:
            self._job = job
            died = self._spawn_at is not None
        if died:  # since the last report
            problem = worker_died(None, Path(self._options.log))
            self._report(Failed(job=job, problem=problem))
            return
        self._watchdog.started(time.monotonic())
        self._order(worker.Order(what="start", job=job, spec=spec))

    def cancel(self, job: str, grace_s: float) -> None:
        """Ask the job to stop if it runs here; kill the worker after grace_s."""
        with self._lock:
            if job != self._job:
                return
            if self._kill_at is None:
                self._kill_at = time.monotonic() + grace_s
        self._order(worker.Order(what="cancel", job=job))

    def tick(self, now: float) -> None:
        """Kill a worker that did not stop in time or is stuck; restart a dead one."""
        self._watch(now)
        with self._lock:
            late = self._kill_at is not None and now >= self._kill_at
            if late:
                self._kill_at, self._killed = None, True
            spawn = self._spawn_at is not None and now >= self._spawn_at
        if late and self._process is not None:
            self._process.kill()
        if spawn:
            try:
                self._spawn()
            except OSError:  # too little memory or too many processes, perhaps only for now
                traceback.print_exc()
                self._spawn_at = now + self._delay
                self._delay = min(self._delay * 2, _LAST_DELAY)

    def _watch(self, now: float) -> None:
        with self._lock:
            job = self._job
            if self._spawn_at is not None or self._stuck or self._closed:
                return
        finding = self._watchdog.look(now, working=bool(job))
        if finding is None:
            return
        _log.warning("%s: %s", self._name, finding.text)
        if job:
            self._report(Note(job=job, text=finding.text))
        if finding.restart and self._process is not None:
            with self._lock:
                self._stuck = finding.text
            self._process.kill()

    def close(self) -> None:
        """Stop the worker; no report follows."""
        with self._lock:
            self._closed = True
        if self._process is None:
            return
        self._process.terminate()
        self._process.join(1)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(1)
        self._orders.put(None)
        if self._reader is not None:
            self._reader.join(2)


def _write(pipe: Connection, orders: SimpleQueue[bytes | None]) -> None:
    """Pass orders on to the worker; ends with it. Waits for as long as the worker is stopped."""
    with contextlib.suppress(OSError):  # the reader notices the closed pipe too, and reports it
        while (order := orders.get()) is not None:
            pipe.send_bytes(order)
