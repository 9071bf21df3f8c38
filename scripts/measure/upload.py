"""Frames to a backend on this machine, against plain TCP: ``python -m scripts.measure.upload``.

The unit is plain TCP in the same run: the same bytes through one loopback connection, received
into memory. Each round measures all ways in turn: plain TCP; the socket, as a client on another
machine sends (encrypted, hashed, written and synced); and the inbox, as one of the same user on
this machine does (hashed, written and synced). Prints, per round and as medians: megabytes a
second, and CPU seconds per gigabyte of the sender and the receiver (user and system); at the end,
the ratio to plain TCP. With other programs running, only the CPU seconds and the ratio of two
alternated runs mean anything.
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
from protocol.keys import Connection, read_connection_file
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


def ways(connection: Connection) -> dict[str, Connection]:
    """The connections of a client on another machine, and of one on this machine."""
    return {"socket": msgspec.structs.replace(connection, proof=""), "inbox": connection}


def describe(name: str, sent: Sent, size: int) -> str:
    """One line about a transfer."""
    return (
        f"{name:14} {size / sent.seconds / 1e6:7.0f} MB/s   CPU-s/GB: "
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
    ours: dict[str, list[Sent]] = {}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        started = BackendProcess(data, ["--mock", "stall"], stdout=subprocess.DEVNULL)
        backend = started.process.pid
        try:
            while not started.ready:
                time.sleep(0.05)
            connections = ways(read_connection_file(started.connection_file))
            for number in range(-1, options.rounds):
                # The first round, a small one, only gets both programs going.
                wanted = options.megabytes * 10**6 if number >= 0 else 1
                frames = clip_of(wanted, height, width, number + 1)
                size = sum(frame.nbytes for frame in frames)
                tcp = by_tcp(frames)
                for name, connection in connections.items():
                    with Client(connection) as client:
                        sent = by_client(client, backend, frames)
                    if number >= 0:
                        ours.setdefault(name, []).append(sent)
                        print(describe(name, sent, size), flush=True)
                    frames = [~frame for frame in frames]  # the backend has the others
                if number >= 0:
                    plain.append(tcp)
                    print(describe("plain TCP", tcp, size), flush=True)
        finally:
            started.process.terminate()
            started.process.wait()
    for name, sent_all in ours.items():
        ratios = [a.seconds / b.seconds for a, b in zip(plain, sent_all, strict=True)]
        medians = Sent(
            *(
                statistics.median(values)
                for values in zip(*map(msgspec.structs.astuple, sent_all), strict=True)
            )
        )
        line = describe(f"median {name}", medians, size)
        print(f"{line}   {statistics.median(ratios):.2f} x TCP")
    return 0


if __name__ == "__main__":
    sys.exit(main())
