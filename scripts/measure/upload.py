"""Frames to a backend on this machine, against plain TCP: ``python -m scripts.measure.upload``.

The unit is plain TCP in the same run: the same bytes through one loopback connection, received
into memory. Each round measures both, in turn. The upload is encrypted, hashed, written and synced.
Prints, per round and as medians: megabytes a second, their ratio, and CPU seconds per gigabyte of
the sender and the receiver (user and system). With other programs running, only the CPU seconds
and the ratio of two alternated runs mean anything.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from protocol.client import Client, JobEvent, new_job_id
from protocol.jobs import Clip, EditJob, reference
from protocol.keys import read_connection_file
from protocol.local import BackendProcess

GB = 1e9
_RECEIVE = """
import resource, socket
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    one, _ = listener.accept()
    buffer = bytearray(1 << 20)
    while one.recv_into(buffer):
        pass
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, flush=True)
"""


class Sent(msgspec.Struct, frozen=True):
    """One transfer. seconds: wall time. sender, receiver: CPU seconds."""

    seconds: float
    sender: float
    receiver: float


def clip_of(size: int, height: int, width: int, seed: int) -> list[np.ndarray]:
    """Random frames uint8 [H,W,3] of about so many bytes in all."""
    random = np.random.default_rng(seed)
    count = max(1, round(size / (height * width * 3)))
    return [random.integers(0, 256, (height, width, 3), np.uint8) for _ in range(count)]


def by_tcp(frames: Sequence[np.ndarray]) -> Sent:
    """Send the frames through one TCP connection."""
    with subprocess.Popen(
        [sys.executable, "-c", _RECEIVE], stdout=subprocess.PIPE, text=True
    ) as receiver:
        assert receiver.stdout is not None
        port = int(receiver.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)) as one:
            began, used = time.perf_counter(), time.process_time()
            for frame in frames:
                one.sendall(frame.data.cast("B"))
            one.shutdown(socket.SHUT_WR)
            one.recv(1)
            seconds, sender = time.perf_counter() - began, time.process_time() - used
        return Sent(seconds, sender, float(receiver.stdout.readline()))


def cpu_of(process: int) -> float:
    """CPU seconds that a process has used (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def by_client(client: Client, backend: int, frames: Sequence[np.ndarray]) -> Sent:
    """Submit a job with the frames; until the backend has them all."""
    refs = tuple(reference(frame) for frame in frames)
    by_digest = {ref.digest: frame for ref, frame in zip(refs, frames, strict=True)}
    job = new_job_id()
    began, sender, receiver = time.perf_counter(), time.process_time(), cpu_of(backend)
    spec = EditJob(clip=Clip(frames=refs), prompt=("x",))
    client.submit(job, spec, by_digest.__getitem__)
    while True:
        event = client.events.get(timeout=600)
        if isinstance(event, JobEvent) and event.event.state == "queued":
            break
    sent = Sent(
        time.perf_counter() - began, time.process_time() - sender, cpu_of(backend) - receiver
    )
    client.cancel(job)
    return sent


def describe(name: str, sent: Sent, size: int) -> str:
    """One line about a transfer."""
    return (
        f"{name:8} {size / sent.seconds / 1e6:7.0f} MB/s   CPU-s/GB: "
        f"sender {sent.sender / size * GB:5.2f}, receiver {sent.receiver / size * GB:5.2f}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=300, help="per transfer (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of both (%(default)s)")
    parser.add_argument("--frame", default="432x768", help="HEIGHTxWIDTH (%(default)s)")
    options = parser.parse_args(arguments)
    height, width = (int(number) for number in options.frame.split("x"))
    plain: list[Sent] = []
    ours: list[Sent] = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        started = BackendProcess(data, ["--mock", "stall"], stdout=subprocess.DEVNULL)
        try:
            while not started.ready:
                time.sleep(0.05)
            with Client(read_connection_file(started.connection_file)) as client:
                for number in range(options.rounds):
                    frames = clip_of(options.megabytes * 10**6, height, width, number)
                    size = sum(frame.nbytes for frame in frames)
                    plain.append(by_tcp(frames))
                    ours.append(by_client(client, started.process.pid, frames))
                    print(
                        describe("TCP", plain[-1], size),
                        describe("upload", ours[-1], size),
                        sep="\n",
                    )
        finally:
            started.process.terminate()
            started.process.wait()
    ratios = [a.seconds / b.seconds for a, b in zip(plain, ours, strict=True)]
    medians = Sent(
        *(
            statistics.median(values)
            for values in zip(*map(msgspec.structs.astuple, ours), strict=True)
        )
    )
    print(describe("median", medians, size), f"  {statistics.median(ratios):.2f} x TCP")
    return 0


if __name__ == "__main__":
    sys.exit(main())
