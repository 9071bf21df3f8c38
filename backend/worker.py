"""The worker process: runs one job after another, and reports to the executor.

An executor starts one per device; torch and the CLIP model are loaded once and kept. A reader
thread watches the pipe, so a cancel arrives even during a long torch call, and the process ends
when the server is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Literal

import msgspec

from backend.context import Context
from backend.device import find_device, free_memory, memory_of
from backend.device_errors import is_device_broken, is_out_of_memory
from backend.executors.base import (
    Alive,
    AnyReport,
    Failed,
    Finished,
    FromWorker,
    Gone,
    Memory,
    Ready,
    Started,
    Stopped,
    Unusable,
)
from backend.logs import is_large, redirect_output
from backend.memory import keep_freed
from backend.progress import Cancelled
from protocol.jobs import ClipModel, JobError, JobSpec, Problem, Result

ALIVE_EVERY = 5.0  # seconds between two signs of life
WATCH_INTERVAL = 5.0  # seconds between two looks at the device's memory and at the log
DEVICE_BROKEN = 3  # exit code after an error that makes the device refuse this process
_PR_SET_PDEATHSIG = 1


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is started with.

    device: ``auto``, ``cpu``, ``cuda:0``, or ``none`` for a runner without torch.
    runner: ``module:function`` of (spec, ctx) -> Result. model: for jobs that do not name one.
    models: folder in which jobs name models; empty: in the data folder.
    server: id of the process that the worker must not outlive.
    """

    device: str
    data: str
    log: str
    runner: str = "backend.methods.dispatch:run_job"
    model: ClipModel = ClipModel()
    models: str = ""
    server: int = 0


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order from the server to a worker."""

    what: Literal["start", "cancel"]
    job: str
    spec: JobSpec | None = None


def main(pipe: Connection, packed: bytes) -> None:
    """Run the worker process. packed: Options as msgpack."""
    options = msgspec.msgpack.decode(packed, type=Options)
    _end_with(options.server)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server handles Ctrl-C
    redirect_output(Path(options.log))
    faulthandler.enable()
    keep_freed()
    Worker(pipe, options).run()


def _end_with(server: int) -> None:
    """Make Linux kill this process when the server ends, even while it hangs or is stopped.

    Elsewhere the reader thread ends the process when the pipe closes.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if server and os.getppid() != server:  # it ended before the call
            os._exit(0)


class Worker:
    """The loop of a worker process: orders in, reports out."""

    def __init__(self, pipe: Connection, options: Options) -> None:
        self._pipe = pipe
        self._options = options
        self._orders: SimpleQueue[Order] = SimpleQueue()
        self._to_cancel: set[str] = set()
        self._sending = threading.Lock()

    def run(self) -> None:
        """Work until the pipe closes."""
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._show_life, daemon=True).start()
        try:
            device, text = find_device(self._options.device)
            module, _, function = self._options.runner.partition(":")
            runner: Callable[[JobSpec, Context], Result]
            runner = getattr(importlib.import_module(module), function)
        except JobError as why:
            self._send(Unusable(problem=why.problem))
            return
        self._send(Ready(device=device, text=text))
        threading.Thread(target=self._watch, args=(device,), daemon=True).start()
        while True:
            order = self._orders.get()
            assert order.spec is not None
            report, usable = self._run_job(order.job, order.spec, runner, device)
            if not usable:
                self._send(Gone())  # first, so that this worker is given no other job
                self._send(report)
                sys.stderr.flush()
                os._exit(DEVICE_BROKEN)
            self._send(report)
            self._to_cancel.discard(order.job)

    def _listen(self) -> None:
        while True:
            try:
                order = msgspec.msgpack.decode(self._pipe.recv_bytes(), type=Order)
            except (EOFError, OSError):
                os._exit(0)  # the server is gone
            if order.what == "cancel":
                self._to_cancel.add(order.job)
            else:
                self._orders.put(order)

    def _show_life(self) -> None:
        while True:
            self._send(Alive())
            time.sleep(ALIVE_EVERY)

    def _watch(self, device: str) -> None:
        """Report the device's memory, and rotate the log."""
        reported: Memory | None = None
        log = Path(self._options.log)
        while True:
            if is_large(log):
                with contextlib.suppress(OSError):
                    redirect_output(log)
            memory = memory_of(device)
            if memory is not None and memory != reported:
                reported = memory
                self._send(memory)
            time.sleep(WATCH_INTERVAL)

    def _send(self, report: FromWorker) -> None:
        # The listener ends the process when the pipe is closed.
        with contextlib.suppress(OSError), self._sending:
            self._pipe.send_bytes(msgspec.msgpack.encode(report))

    def _run_job(
        self, job: str, spec: JobSpec, runner: Callable[[JobSpec, Context], Result], device: str
    ) -> tuple[AnyReport, bool]:
        """How the job ended, and whether this process can run another one."""
        self._send(Started(job=job))
        options = self._options
        context = Context(
            job,
            device,
            Path(options.data),
            self._send,
            lambda: job in self._to_cancel,
            options.model,
            Path(options.models) if options.models else None,
        )
        report: AnyReport
        usable = True
        try:
            report = Finished(job=job, result=runner(spec, context))
        except Cancelled:
            report = Stopped(job=job)
        except Exception as why:
            if not isinstance(why, JobError):
                traceback.print_exc()
            report = Failed(job=job, problem=problem_of(why, options.log))
            usable = not is_device_broken(why)
        try:
            free_memory()
        except RuntimeError:  # a kernel of the job failed after its last call
            traceback.print_exc()
            usable = False
        return report, usable


def problem_of(why: Exception, log: str) -> Problem:
    """Explain an exception that a job raised to the artist."""
    if isinstance(why, JobError):
        return why.problem
    text = f"{type(why).__name__}: {why}".strip(": ")
    if is_out_of_memory(why):
        return Problem(
            code="out_of_memory",
            message="The backend's device ran out of memory.",
            hint="Use the preset draft, a smaller or shorter clip, or close other GPU programs.",
            retryable=True,
        )
    if is_device_broken(why):
        return Problem(
            code="device_failed",
            message=f"The GPU failed during this job: {text.splitlines()[0][:600]}",
            hint="Run the job again: the backend's worker is being restarted. If it fails again, "
            "update the GPU's driver, or start the backend with --device cpu. The details are in "
            f"{log} on the backend's machine.",
            retryable=True,
        )
    return Problem(
        code="worker_error",
        message=f"The backend failed on this job: {text[:600]}",
        hint=f"The details are in {log} on the backend's machine.",
    )
