"""The process that does the work: takes one job after another, reports, stops when told.

Started by an executor, one a device; torch and the CLIP model are loaded once and kept. A reader
thread watches the pipe, so a cancel is seen even inside a long torch call, and the process ends
itself when the server is gone.
"""

from __future__ import annotations

import contextlib
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
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from backend.executors.base import (
    AnyReport,
    Failed,
    Finished,
    Memory,
    Note,
    Preview,
    Ready,
    Started,
    Step,
    Stopped,
    Unusable,
)
from backend.memory import give_back, keep_freed
from backend.progress import Cancelled
from backend.store import Store
from protocol.jobs import (
    AtlasJob,
    ClipModel,
    EditJob,
    JobError,
    JobSpec,
    ObjectRef,
    PaintJob,
    Problem,
    Result,
)

if TYPE_CHECKING:
    import torch

STEP_INTERVAL = 0.25  # seconds between progress reports of one phase
MEMORY_INTERVAL = 5.0  # seconds between looks at the device's memory
MEMORY_STEP = 2**26  # bytes; smaller changes are not told
MEMINFO = Path("/proc/meminfo")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker is started.

    device: ``auto``, ``cpu``, ``cuda:0``, or ``none`` for a runner without torch.
    runner: ``module:function`` of (spec, ctx) -> Result. model: used by jobs that name none.
    """

    device: str
    data: str
    log: str
    runner: str = "backend.worker:run_job"
    model: ClipModel = ClipModel()


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the server tells a worker."""

    what: Literal["start", "cancel"]
    job: str
    spec: JobSpec | None = None


class Context:
    """All a method may touch: the store, its device, and how to report. Is a Reporter.

    device: the torch device to compute on. data: the backend's folder. model: the backend's own
    choice of CLIP model.
    """

    def __init__(
        self,
        job: str,
        device: str,
        data: Path,
        send: Callable[[AnyReport], None],
        cancelled: Callable[[], bool] = lambda: False,
        model: ClipModel = ClipModel(),  # noqa: B008  (frozen)
    ) -> None:
        self.job = job
        self.data = data
        self.model = model
        self._device = device
        self._send = send
        self._cancelled = cancelled
        self._store = Store(data / "objects")
        self._phase = ""
        self._began = (0.0, 0)  # time and step at which the phase's pace is measured from
        self._sent = 0.0

    @property
    def device(self) -> torch.device:
        """The device to compute on."""
        import torch

        return torch.device(self._device)

    def check(self) -> None:
        """Raise Cancelled if the job was cancelled."""
        if self._cancelled():
            raise Cancelled

    def step(self, phase: str, done: int, total: int) -> None:
        """Report done of total; sent at most four times a second, with the time left."""
        self.check()
        now = time.monotonic()
        if phase != self._phase:
            self._phase, self._began = phase, (now, done)
        elif now - self._sent < STEP_INTERVAL and done != total:
            return
        self._sent = now
        self._send(
            Step(
                job=self.job, phase=phase, done=done, total=total, eta_s=self._eta(now, done, total)
            )
        )

    def _eta(self, now: float, done: int, total: int) -> float | None:
        since, first = self._began
        if done <= first or now - since < 0.5:
            return None
        return (now - since) / (done - first) * max(total - done, 0)

    def preview(self, image: NDArray[np.uint8]) -> None:
        """Show a picture: uint8 [H,W,3] or [H,W,4]."""
        self.check()
        self._send(Preview(job=self.job, object=self._store.save(image)))

    def note(self, text: str) -> None:
        """Tell the artist something: one plain sentence."""
        self.check()
        self._send(Note(job=self.job, text=text))

    def load(self, ref: ObjectRef) -> NDArray[np.uint8]:
        """An object as a read-only array [H,W,C]. Raises JobError if it is gone or damaged."""
        self.check()
        return self._store.load(ref)

    def store(self, array: NDArray[np.uint8]) -> ObjectRef:
        """Keep an array uint8 [H,W,C], on the disk when this returns. Raises JobError disk_full."""
        self.check()
        return self._store.save(array)

    def atlas_folder(self, key: str) -> Path:
        """Where the atlas of this key is kept, or is to be; its parent exists."""
        folder = self.data / "atlases"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / key


def run_job(spec: JobSpec, ctx: Context) -> Result:
    """Carry out a job with the method of its kind."""
    if isinstance(spec, AtlasJob):
        from backend.methods import atlas

        return atlas.run(spec, ctx)
    if isinstance(spec, PaintJob):
        from backend.methods import paint

        return paint.run(spec, ctx)
    from backend.methods import text2live

    return text2live.run(_with_model(spec, ctx.model), ctx)


def _with_model(spec: EditJob, model: ClipModel) -> EditJob:
    return spec if spec.model.name else msgspec.structs.replace(spec, model=model)


def main(pipe: Connection, packed: bytes) -> None:
    """The worker process. packed: Options as msgpack."""
    options = msgspec.msgpack.decode(packed, type=Options)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to handle
    _log_to(Path(options.log))
    keep_freed()
    Worker(pipe, options).run()


def _log_to(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    faulthandler.enable()


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
        try:
            device, text = _find_device(self._options.device)
            module, _, function = self._options.runner.partition(":")
            runner: Callable[[JobSpec, Context], Result]
            runner = getattr(importlib.import_module(module), function)
        except JobError as why:
            self._send(Unusable(problem=why.problem))
            return
        self._send(Ready(device=device, text=text))
        threading.Thread(target=self._watch_memory, args=(device,), daemon=True).start()
        while True:
            order = self._orders.get()
            assert order.spec is not None
            self._send(self._carry_out(order.job, order.spec, runner, device))
            self._to_cancel.discard(order.job)

    def _listen(self) -> None:
        while True:
            try:
                order = msgspec.msgpack.decode(self._pipe.recv_bytes(), type=Order)
            except (EOFError, OSError):
                os._exit(0)  # the server is gone: so is the reason to work
            if order.what == "cancel":
                self._to_cancel.add(order.job)
            else:
                self._orders.put(order)

    def _watch_memory(self, device: str) -> None:
        told: Memory | None = None
        while True:
            memory = memory_of(device)
            if memory is not None and memory != told:
                told = memory
                self._send(memory)
            time.sleep(MEMORY_INTERVAL)

    def _send(self, report: AnyReport) -> None:
        # The listener ends the process when the pipe is closed.
        with contextlib.suppress(OSError), self._sending:
            self._pipe.send_bytes(msgspec.msgpack.encode(report))

    def _carry_out(
        self, job: str, spec: JobSpec, runner: Callable[[JobSpec, Context], Result], device: str
    ) -> AnyReport:
        self._send(Started(job=job))
        options = self._options
        context = Context(
            job,
            device,
            Path(options.data),
            self._send,
            lambda: job in self._to_cancel,
            options.model,
        )
        try:
            return Finished(job=job, result=runner(spec, context))
        except Cancelled:
            return Stopped(job=job)
        except Exception as why:
            if not isinstance(why, JobError):
                traceback.print_exc()
            return Failed(job=job, problem=problem_of(why, options.log))
        finally:
            _free_memory()


def problem_of(why: Exception, log: str) -> Problem:
    """What an exception of a method means, for the artist."""
    if isinstance(why, JobError):
        return why.problem
    text = f"{type(why).__name__}: {why}".strip(": ")
    if isinstance(why, MemoryError) or _is_out_of_memory(why):
        return Problem(
            code="out_of_memory",
            message="The backend's device ran out of memory.",
            hint="Use the preset draft, a smaller or shorter clip, or close other GPU programs.",
            retryable=True,
        )
    return Problem(
        code="worker_error",
        message=f"The backend failed on this job: {text[:600]}",
        hint=f"The details are in {log} on the backend's machine.",
    )


def _is_out_of_memory(why: Exception) -> bool:
    # By name: torch may not be imported here.
    names = {kind.__name__ for kind in type(why).__mro__}
    text = str(why)
    return (
        "OutOfMemoryError" in names
        or "out of memory" in text
        or ("RuntimeError" in names and "not enough memory" in text)
        or "DefaultCPUAllocator: can't allocate" in text
    )


def _free_memory() -> None:
    give_back()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def memory_of(device: str) -> Memory | None:
    """Free and total memory of a device, in steps of MEMORY_STEP; None where it cannot be known."""
    if device != "cpu":
        import torch

        free, total = torch.cuda.mem_get_info(torch.device(device))
    else:
        try:
            lines = MEMINFO.read_text().splitlines()
        except OSError:  # no Linux
            return None
        kib = {name: int(rest.split()[0]) for name, _, rest in (li.partition(":") for li in lines)}
        free, total = kib["MemAvailable"] * 1024, kib["MemTotal"] * 1024
    return Memory(free=free // MEMORY_STEP * MEMORY_STEP, total=total)


def _find_device(wanted: str) -> tuple[str, str]:
    """Torch's name of the device and the same for people. Raises JobError: never falls back."""
    if wanted == "none":
        return "cpu", "none (no torch: a stand-in makes the layers)"
    import torch

    try:
        device = torch.device(wanted if wanted != "auto" else _best(torch.cuda.is_available()))
    except RuntimeError as why:
        raise JobError(
            "bad_device", f"There is no device {wanted!r}.", "Use auto, cpu, cuda or cuda:0."
        ) from why
    if device.type == "cpu":
        torch.set_num_threads(_threads())
        threads = torch.get_num_threads()
        return "cpu", f"cpu ({threads} thread{'' if threads == 1 else 's'})"
    if device.type != "cuda":
        raise JobError(
            "bad_device", f"The device {wanted!r} is not supported.", "Use auto, cpu or cuda:0."
        )
    index = device.index or 0
    if not torch.cuda.is_available() or index >= torch.cuda.device_count():
        raise JobError(
            "no_cuda",
            f"The device {wanted} was asked for, but torch sees {torch.cuda.device_count()} "
            "CUDA devices.",
            "Check nvidia-smi and that torch was installed with CUDA, or use --device cpu.",
        )
    memory = torch.cuda.get_device_properties(index).total_memory / 2**30
    return f"cuda:{index}", f"cuda:{index} ({torch.cuda.get_device_name(index)}, {memory:.0f} GiB)"


def _threads() -> int:
    """All cores but one: torch's threads wait by spinning, and crawl where Blender needs a core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 2) - 1)


def _best(cuda: bool) -> str:
    return "cuda:0" if cuda else "cpu"
