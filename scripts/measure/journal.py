"""Measure what finished jobs cost a server: CPU time of a ping, a list, and a second of waiting.

    python -m scripts.measure.journal --jobs 0 10000

Fills a journal with finished jobs of 600 frames each, starts a server with a stand-in on it, and
reads the server's CPU time before and after each kind of request (Linux).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import zmq

from backend.journal import Journal
from protocol.codec import decode, encode
from protocol.jobs import Clip, EditJob, Event, ObjectRef, Result
from protocol.keys import read_connection_file
from protocol.local import BackendProcess
from protocol.messages import AnyMessage, Hello, ListJobs, Ping

FRAMES = 600
TICK = os.sysconf("SC_CLK_TCK")


def fill(data: Path, jobs: int) -> None:
    """Write finished jobs into the journal of a data folder, in one transaction."""
    data.mkdir(mode=0o700)
    refs = tuple(
        ObjectRef(digest=f"{number:064x}", dtype="uint8", shape=(64, 64, 4))
        for number in range(FRAMES)
    )
    spec = EditJob(clip=Clip(frames=refs), prompt=("a golden swan",))
    done = Event(seq=0, at=0.0, kind="state", state="done", result=Result(layer=refs))
    journal = Journal(data / "journal.sqlite")
    # Without the sync after every job this takes a minute instead of an hour.
    journal._db.execute("PRAGMA synchronous=OFF")
    for number in range(jobs):
        job = f"{number:032x}"
        journal.add(job, "owner", spec, "queued")
        journal.append(job, done)
    journal.close()


@contextlib.contextmanager
def serving(data: Path) -> Iterator[tuple[int, Callable[[AnyMessage], None]]]:
    """A server on a data folder: its process id, and a function that sends it a request."""
    backend = BackendProcess(data, ["--mock", "ok"], stdout=subprocess.DEVNULL)
    try:
        while not backend.ready:
            if backend.process.poll() is not None:
                raise SystemExit("the server did not start")
            time.sleep(0.1)
        connection = read_connection_file(backend.connection_file)
        context = zmq.Context()
        socket = context.socket(zmq.DEALER)
        socket.curve_serverkey = connection.server_key.encode()
        socket.curve_publickey = connection.client_public.encode()
        socket.curve_secretkey = connection.client_secret.encode()
        socket.connect(connection.address)

        def ask(message: AnyMessage) -> None:
            socket.send_multipart(encode(message, id="1"))
            decode(socket.recv_multipart())

        ask(Hello(protocols=(1,)))
        yield backend.process.pid, ask
        context.destroy(linger=0)
    finally:
        backend.process.terminate()
        backend.process.wait()


def cpu_seconds(process: int) -> float:
    """User and system time that a process has used so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def measure(jobs: int) -> None:
    """Print one line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        fill(data, jobs)
        with serving(data) as (process, ask):
            before = cpu_seconds(process)
            time.sleep(20)
            idle = (cpu_seconds(process) - before) / 20
            costs = []
            for message in (Ping(), ListJobs()):
                before = cpu_seconds(process)
                for _ in range(300):
                    ask(message)
                costs.append((cpu_seconds(process) - before) / 300 * 1000)
    print(f"{jobs:6}  {costs[0]:8.2f} {costs[1]:8.2f}  {idle:8.2%}", flush=True)


def main() -> None:
    """Measure for each number of jobs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, nargs="+", default=[0, 10000], metavar="N")
    print("  jobs  ping, ms list, ms  idle core")
    for jobs in parser.parse_args().jobs:
        measure(jobs)


if __name__ == "__main__":
    main()
