"""A real server on the device: killed in the middle of a job it goes on; a cancel acts at once."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from queue import Empty

import numpy as np

from protocol.client import Client, JobEvent, new_job_id
from protocol.jobs import FINAL_STATES, Clip, EditJob, Event, KeyMask, Masks, reference
from protocol.keys import read_connection_file
from protocol.local import BackendProcess
from protocol.transfer import Source
from scripts.gpu_check.bench import Bench
from scripts.gpu_check.runner import PID_FILE

START_LIMIT_S = 90.0
WAIT_LIMIT_S = 120.0
FITTING, EDITING = "Fitting the atlas", "edit"


def check_survival(bench: Bench) -> str:
    """Kill the server while it fits and while it edits, then let it finish; then cancel a job.

    A tiny visit, whose edit would take minutes, cancels the job that was killed.
    """
    server = Server(bench)
    try:
        server.start()
        with Client(read_connection_file(server.backend.connection_file), name="check") as client:
            watch = Watch(client, bench, seed=0)
            for phase in (FITTING,) if bench.quick else (FITTING, EDITING):
                _kill_within(phase, server, watch, bench)
            if not bench.quick:
                end = watch.until(_ended)
                bench.put("ended", end.state)
                if end.state != "done":
                    bench.problem(f"the killed job ended as {end.state}: {end.problem}")
                watch = Watch(client, bench, seed=1)
            latency = _cancel(client, watch, bench)
    finally:
        server.kill()
    return f"killed jobs went on; a cancel took {latency:.2f} s"


def _kill_within(phase: str, server: Server, watch: Watch, bench: Bench) -> None:
    """Kill the server within a phase and start it again; the job must reach the phase again."""
    at = watch.until(partial(_within, phase))
    server.kill()
    bench.put(f"killed_at.{phase}", f"{at.done} of {at.total}")
    bench.put(f"restart_s.after {phase}", server.start())
    watch.until(lambda event: event.state == "interrupted")
    first = watch.until(partial(_within, phase))
    bench.put(f"resumed_at.{phase}", f"{first.done} of {first.total}")


def _cancel(client: Client, watch: Watch, bench: Bench) -> float:
    """Seconds from a cancel within an edit to the job's end."""
    watch.until(partial(_within, EDITING))
    since = time.perf_counter()
    client.cancel(watch.job)
    end = watch.until(_ended)
    latency = time.perf_counter() - since
    bench.put("cancel_s", latency)
    if end.state != "cancelled":
        bench.problem(f"the cancelled job ended as {end.state}")
    return latency


def _ended(event: Event) -> bool:
    return event.state in FINAL_STATES


def _within(phase: str, event: Event) -> bool:
    """Whether an event reports this phase."""
    return event.phase == phase and event.done > 0


def _edit(bench: Bench, seed: int) -> tuple[EditJob, Source]:
    """An edit of the small clip, and its pixels."""
    frames = [np.ascontiguousarray(frame) for frame in bench.shot.frames]
    masks = [np.ascontiguousarray(mask[..., None]) for mask in bench.shot.masks()]
    pixels = {reference(one).digest: one for one in (*frames, *masks)}
    keys = tuple(KeyMask(frame=t, mask=reference(mask)) for t, mask in enumerate(masks))
    spec = EditJob(
        clip=Clip(frames=tuple(reference(frame) for frame in frames)),
        masks=Masks(mode="all", keys=keys), prompt=("a golden swan",), source=("a blue swan",),
        preset="draft", seed=seed,
    )  # fmt: skip
    return spec, pixels.__getitem__


class Server:
    """A backend on the device, started again on the same port and data."""

    def __init__(self, bench: Bench) -> None:
        self._bench, self._data = bench, bench.scratch / "server"
        self._address = "127.0.0.1:0"
        self.backend: BackendProcess

    def start(self) -> float:
        """Start it; returns the seconds until it can be reached."""
        since = time.perf_counter()
        options = ["--device", str(self._bench.device), "--listen", self._address]
        self.backend = BackendProcess(
            self._data, options, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        (self._bench.scratch / PID_FILE).write_text(str(self.backend.process.pid))
        while not self.backend.ready:
            if self.backend.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.backend.process.returncode}")
            if time.perf_counter() - since > START_LIMIT_S:
                raise TimeoutError("the server did not start")
            time.sleep(0.02)
        address = read_connection_file(self.backend.connection_file).address
        self._address = f"127.0.0.1:{address.rpartition(':')[2]}"
        return time.perf_counter() - since

    def kill(self) -> None:
        """Kill the server alone, by SIGKILL; its worker must end by itself."""
        if self.backend.process.poll() is None:
            os.kill(self.backend.process.pid, signal.SIGKILL)
            self.backend.process.wait(10)


class Watch:
    """A job that is submitted, and its events in order."""

    def __init__(self, client: Client, bench: Bench, seed: int) -> None:
        self._client, self.job = client, new_job_id()
        client.submit(self.job, *_edit(bench, seed))

    def until(self, wanted: Callable[[Event], bool]) -> Event:
        """The next event that is wanted. Raises TimeoutError, or RuntimeError if the job failed."""
        end = time.monotonic() + WAIT_LIMIT_S
        while time.monotonic() < end:
            try:
                news = self._client.events.get(timeout=0.1)
            except Empty:
                continue
            if isinstance(news, JobEvent) and news.job_id == self.job:
                if wanted(news.event):
                    return news.event
                if news.event.state == "failed":
                    raise RuntimeError(f"the job failed: {news.event.problem}")
        raise TimeoutError("the job did not go on")
