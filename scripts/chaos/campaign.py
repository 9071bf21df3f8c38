"""One campaign: a backend, a client behind a proxy, faults in a random order, and the audit."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty

import msgspec
import numpy as np

from backend.journal import Journal
from protocol.client import Client, ConnectionChanged, JobEvent, RequestFailed, new_job_id
from protocol.jobs import FINAL_STATES, Event, JobError
from protocol.keys import read_connection_file
from protocol.local import BackendProcess
from scripts.chaos.jobs import Sent, atlas_of_noise, edit_of_noise
from scripts.chaos.proxy import Proxy

if sys.platform != "win32":
    import resource

IN_FLIGHT, IN_FLIGHT_REAL = 4, 2  # jobs that are not final at any time
STUCK = 600.0  # seconds without any event after which the last jobs count as stuck
START = 600.0  # seconds for a backend to start on a busy machine
REPORT_EVERY = 50  # faults
ORPHANED = 60.0  # seconds; a worker that is starting notices only then that its server is gone
GAP = 0.25  # seconds between two faults, on average
LARGEST_FILE = 4096  # bytes, while there is no space
PAUSE = "0.01"  # seconds per step of the stand-in


@dataclass
class Report:
    """What happened. broken: sentences about jobs that did not end as they must."""

    faults: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    requeued: int = 0
    broken: list[str] = field(default_factory=list)


class Campaign:
    """Runs faults against a backend in a folder. real: with the real worker on the CPU."""

    def __init__(self, folder: Path, seed: int, *, real: bool = False) -> None:
        self._folder, self._real = folder, real
        self._chance = random.Random(seed)
        self._pixels = np.random.default_rng(seed)
        self._jobs: dict[str, Sent] = {}
        self._backend: BackendProcess | None = None
        self._port = 0
        self._connection = "new"  # the client's, in words
        self.report = Report()
        self._start()
        self._proxy = Proxy(self._port)
        self._client = self._connect()
        self._faults: dict[str, Callable[[], None]] = {
            "kill the server": lambda: self._restart(signal.SIGKILL),
            "stop the server": lambda: self._restart(signal.SIGTERM),
            "kill the worker": lambda: self._to_workers(signal.SIGKILL),
            "pause the worker": self._pause_worker,
            "pause the server": self._pause_server,
            "cut all connections": self._proxy_cut,
            "cut one connection": lambda: self._proxy.cut(one=True),
            "flip a bit": lambda: self._proxy.flip_a_bit(),
            "drop bytes": lambda: self._proxy.drop_bytes(),
            "black hole": lambda: self._proxy.swallow(self._chance.uniform(0.1, 2.0)),
            "no space": self._no_space,
            "cancel a job": self._cancel,
            "replace the client": self._replace_client,
        }

    # the backend and the client

    def _start(self) -> None:
        options = ["--listen", f"127.0.0.1:{self._port}", "--reserve-gib", "0"]
        options += ["--device", "cpu"] if self._real else ["--mock", "ok"]
        log = (self._folder / "output.log").open("ab")
        self._backend = BackendProcess(
            self._folder / "data",
            options,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TEXT2LIVE_MOCK_PAUSE": PAUSE},
        )
        log.close()
        end = time.monotonic() + START
        while not self._backend.ready:
            if self._backend.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"the backend did not start; see {self._folder}/output.log")
            time.sleep(0.02)
        connection = read_connection_file(self._backend.connection_file)
        self._port = int(connection.address.rpartition(":")[2])

    def _connect(self) -> Client:
        assert self._backend is not None
        connection = read_connection_file(self._backend.connection_file)
        address = f"tcp://127.0.0.1:{self._proxy.port}"
        proof = connection.proof if self._chance.random() < 0.5 else ""  # without: has no inbox
        connection = msgspec.structs.replace(connection, address=address, proof=proof)
        client = Client(connection, name="chaos")
        client.start()
        return client

    def _workers(self) -> list[int]:
        assert self._backend is not None
        server = self._backend.process.pid
        try:
            children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        except OSError:
            return []
        return [int(child) for child in children if _is_worker(int(child))]

    # the faults

    def _restart(self, number: int) -> None:
        assert self._backend is not None
        workers = self._workers()
        self._backend.process.send_signal(number)
        self._backend.process.wait(60)
        end = time.monotonic() + ORPHANED
        while any(_is_worker(one) for one in workers) and time.monotonic() < end:
            time.sleep(0.02)
        left = [one for one in workers if _is_worker(one)]
        if left:
            self.report.broken.append(f"orphaned: worker {left[0]} outlived its server")
        self._start()

    def _to_workers(self, number: int) -> None:
        for worker in self._workers():
            with contextlib.suppress(OSError):
                os.kill(worker, number)

    def _pause_worker(self) -> None:
        self._to_workers(signal.SIGSTOP)
        time.sleep(self._chance.uniform(0.05, 1.0))
        self._to_workers(signal.SIGCONT)

    def _pause_server(self) -> None:
        assert self._backend is not None
        self._backend.process.send_signal(signal.SIGSTOP)
        time.sleep(self._chance.uniform(0.05, 1.0))
        self._backend.process.send_signal(signal.SIGCONT)

    def _no_space(self) -> None:
        """Let no file of the backend grow for a while, as if its disk were full (Linux)."""
        assert self._backend is not None
        processes = [self._backend.process.pid, *self._workers()]
        for limit in (LARGEST_FILE, resource.RLIM_INFINITY):
            for process in processes:
                with contextlib.suppress(OSError):  # ended meanwhile
                    resource.prlimit(
                        process, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)
                    )
            if limit == LARGEST_FILE:
                time.sleep(self._chance.uniform(0.05, 1.0))

    def _proxy_cut(self) -> None:
        self._proxy.cut()

    def _cancel(self) -> None:
        open_jobs = [job for job, sent in self._jobs.items() if not _final(sent)]
        if open_jobs:
            job = self._chance.choice(open_jobs)
            self._jobs[job].cancelled = True
            self._client.cancel(job)

    def _replace_client(self) -> None:
        self._read()
        self._client.close()
        self._read()
        self._client = self._connect()
        for job, sent in self._jobs.items():
            if not _final(sent):
                self._client.submit(job, sent.spec, sent.source)
                self._client.attach(job, len(sent.events))
                if _failed_by_no_fault(sent):  # the old client may not have had an answer
                    self._ask_again("requeue", job)

    # the campaign

    def run(self, count: int, ended: Callable[[], bool] = lambda: False) -> Report:
        """Inject `count` faults, wait for the last jobs, and audit everything.

        ended: asked before each fault; once it is true, no more follow.
        """
        names = list(self._faults)
        for number in range(count):
            if ended():
                break
            if number % REPORT_EVERY == REPORT_EVERY - 1:
                print(f"{number + 1} of {count} faults", file=sys.stderr, flush=True)
            self._keep_busy()
            name = self._chance.choice(names)
            self._faults[name]()
            self.report.faults[name] += 1
            time.sleep(self._chance.uniform(0, 2 * GAP))
            self._read()
        end, seen = time.monotonic() + STUCK, 0
        while time.monotonic() < end and not all(map(_final, self._jobs.values())):
            self._read()
            events = sum(len(sent.events) for sent in self._jobs.values())
            if events > seen:
                end, seen = time.monotonic() + STUCK, events
            time.sleep(0.05)
        self._audit()
        self._close()
        return self.report

    def _keep_busy(self) -> None:
        wanted = IN_FLIGHT_REAL if self._real else IN_FLIGHT
        while sum(not _final(sent) for sent in self._jobs.values()) < wanted:
            make = atlas_of_noise if self._real else edit_of_noise
            job, sent = new_job_id(), make(self._pixels, len(self._jobs))
            self._jobs[job] = sent
            self._client.submit(job, sent.spec, sent.source)

    def _read(self) -> None:
        with contextlib.suppress(Empty):
            while True:
                event = self._client.events.get_nowait()
                if isinstance(event, JobEvent):
                    self._take(event.job_id, event.event)
                elif isinstance(event, ConnectionChanged):
                    why = f" ({event.problem.code})" if event.problem else ""
                    self._connection = f"{event.state}{why}"
                elif isinstance(event, RequestFailed) and event.job_id is not None:
                    self._ask_again(event.what, event.job_id)

    def _ask_again(self, what: str, job: str) -> None:
        """Repeat a request that the backend could not record, as an artist would."""
        sent = self._jobs[job]
        if what in ("submit", "attach"):
            self._client.submit(job, sent.spec, sent.source)
        elif what == "cancel":
            self._client.cancel(job)
        elif what == "requeue":
            self._client.requeue(job, len(sent.events), spec=sent.spec, source=sent.source)

    def _take(self, job: str, event: Event) -> None:
        sent = self._jobs[job]
        if event.seq <= len(sent.events):  # attached again after a new client
            return
        if event.seq != len(sent.events) + 1:
            self.report.broken.append(f"lost: {job} went from {len(sent.events)} to {event.seq}")
        sent.events.append(event)
        if _failed_by_no_fault(sent):
            self.report.requeued += 1
            self._ask_again("requeue", job)

    # the audit

    def _audit(self) -> None:
        for job, sent in self._jobs.items():
            self._audit_job(job, sent)

    def _audit_job(self, job: str, sent: Sent) -> None:
        broken = self.report.broken
        if not _final(sent):
            state = sent.events[-1].state if sent.events else "never accepted"
            broken.append(f"stuck: {job} is {state}; the client is {self._connection}")
            return
        results = [event.result for event in sent.events if event.result is not None]
        last = sent.events[-1]
        self.report.ended[last.state] += 1
        if len(results) > 1:
            broken.append(f"doubled: {job} has {len(results)} results")
        if last.state == "failed":
            code = last.problem.code if last.problem else "no problem"
            broken.append(f"lost: {job} failed with {code}")
        if last.state == "cancelled" and not sent.cancelled:
            broken.append(f"lost: {job} was cancelled by nobody")
        if not results:
            return
        if sent.expected is not None and results[-1].layer != sent.expected:
            broken.append(f"lost: {job} has another result")
        try:
            self._client.fetch_all(results[-1].layer or tuple(results[-1].pictures.values()), 120)
        except JobError as why:
            broken.append(f"lost: the result of {job} cannot be fetched: {why}")

    def _close(self) -> None:
        assert self._backend is not None
        workers = self._workers()
        self._client.close()
        self._proxy.close()
        self._backend.process.terminate()
        self._backend.process.wait(60)
        time.sleep(0.5)
        self.report.broken += [f"orphaned: worker {one}" for one in workers if _is_worker(one)]
        self._audit_journal()

    def _audit_journal(self) -> None:
        path = self._folder / "data" / "journal.sqlite"
        with contextlib.closing(sqlite3.connect(path)) as db:
            (healthy,) = db.execute("PRAGMA integrity_check").fetchone()
        if healthy != "ok":
            self.report.broken.append(f"lost: the journal is damaged: {healthy}")
            return
        journal = Journal(path)
        for job, sent in self._jobs.items():
            seqs = [seq for seq, _ in journal.events(job, 0, 10**6)]
            if seqs != list(range(1, len(seqs) + 1)) or len(seqs) < len(sent.events):
                self.report.broken.append(f"lost: the journal of {job} has gaps")
        journal.close()


def _final(sent: Sent) -> bool:
    ended = bool(sent.events) and sent.events[-1].state in FINAL_STATES
    return ended and not _failed_by_no_fault(sent)


def _failed_by_no_fault(sent: Sent) -> bool:
    """Whether the job's last event is a failure after which it is requeued."""
    problem = sent.events[-1].problem if sent.events else None
    return problem is not None and problem.retryable


def _is_worker(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        command = Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return False
    return state != "Z" and "spawn_main" in command
