"""Run jobs on this machine: one long-lived worker process per device, restarted if it dies."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
import traceback
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import msgspec

from backend import worker
from backend.executors.base import AnyReport, Failed, Finished, Gone, Ready, Sink, Stopped, Unusable
from backend.logs import last_output
from protocol.jobs import ClipModel, JobSpec, Problem

_SPAWN = multiprocessing.get_context("spawn")  # fork would copy CUDA, locks and sockets
_ENDS = (Finished, Failed, Stopped)
_FIRST_DELAY, _LAST_DELAY = 0.5, 30.0  # seconds before a dead worker is restarted


class LocalExecutor:
    """An Executor with one slot for each device.

    devices: as for ``--device``. runner: ``module:function`` that runs a job. model: the default
    text-image model.
    """

    def __init__(
        self,
        data: Path,
        devices: tuple[str, ...] = ("auto",),
        runner: str = "backend.methods.dispatch:run_job",
        model: ClipModel = ClipModel(),  # noqa: B008  (frozen)
    ) -> None:
        self._slots = {
            f"worker-{index}": _Slot(
                f"worker-{index}",
                worker.Options(
                    device=device,
                    data=str(data),
                    log=str(data / "logs" / f"worker-{index}.log"),
                    runner=runner,
                    model=model,
                ),
            )
            for index, device in enumerate(devices)
        }

    def open(self, sink: Sink) -> None:
        """Start the workers."""
        for slot in self._slots.values():
            slot.open(sink)

    def slots(self) -> list[str]:
        """Names of the slots."""
        return list(self._slots)

    def start(self, slot: str, job: str, spec: JobSpec) -> None:
        """Run a job in a ready slot."""
        self._slots[slot].start(job, spec)

    def cancel(self, job: str, grace_s: float = 5.0) -> None:
        """Ask a job to stop; kill its worker if it has not after grace_s."""
        for slot in self._slots.values():
            slot.cancel(job, grace_s)

    def tick(self, now: float) -> None:
        """Kill workers that did not stop in time; restart dead ones."""
        for slot in self._slots.values():
            slot.tick(now)

    def close(self) -> None:
        """Stop all workers."""
        for slot in self._slots.values():
            slot.close()


class _Slot:
    """One worker process and the thread that reads its pipe.

    The lock guards the fields that both that thread and the server's thread use.
    """

    def __init__(self, name: str, options: worker.Options) -> None:
        self._name = name
        self._options = options
        self._lock = threading.Lock()
        self._sink: Sink | None = None
        self._pipe: Connection | None = None
        self._process: BaseProcess | None = None
        self._reader: threading.Thread | None = None
        self._job = ""
        self._kill_at: float | None = None
        self._killed = False
        self._was_ready = False
        self._spawn_at: float | None = None
        self._delay = _FIRST_DELAY
        self._closed = False

    def open(self, sink: Sink) -> None:
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
        self._pipe, self._process, self._spawn_at = ours, process, None
        self._reader = threading.Thread(
            target=self._read, args=(ours, process), name=f"{self._name}-reader", daemon=True
        )
        self._reader.start()

    def _read(self, pipe: Connection, process: BaseProcess) -> None:
        usable = True
        while True:
            try:
                report = msgspec.msgpack.decode(pipe.recv_bytes(), type=AnyReport)
            except (EOFError, OSError):
                break
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
        if usable:
            self._died(process.exitcode)

    def _died(self, exitcode: int | None) -> None:
        with self._lock:
            if self._closed:
                return
            job, killed = self._job, self._killed
            self._job, self._kill_at, self._killed = "", None, False
            again = self._was_ready
            if again:
                self._spawn_at = time.monotonic() + self._delay
                self._delay = min(self._delay * 2, _LAST_DELAY)
        problem = _death(exitcode, Path(self._options.log))
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
        assert self._pipe is not None
        try:
            self._pipe.send_bytes(msgspec.msgpack.encode(order))
        except OSError:
            return  # the reader notices the closed pipe too, and reports it

    def start(self, job: str, spec: JobSpec) -> None:
        with self._lock:
            self._job = job
            died = self._spawn_at is not None
        if died:  # since the last report
            self._report(Failed(job=job, problem=_death(None, Path(self._options.log))))
            return
        self._order(worker.Order(what="start", job=job, spec=spec))

    def cancel(self, job: str, grace_s: float) -> None:
        with self._lock:
            if job != self._job:
                return
            if self._kill_at is None:
                self._kill_at = time.monotonic() + grace_s
        self._order(worker.Order(what="cancel", job=job))

    def tick(self, now: float) -> None:
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

    def close(self) -> None:
        with self._lock:
            self._closed = True
        if self._process is None or self._pipe is None:
            return
        self._process.terminate()
        self._process.join(1)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(1)
        if self._reader is not None:
            self._reader.join(2)
        self._pipe.close()


def _death(exitcode: int | None, log: Path) -> Problem:
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
        hint=f"It is being restarted. SIGKILL usually means too little memory. Log: {log}",
        retryable=True,
    )
