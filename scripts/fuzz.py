"""Hostile input for the decoder and for a live backend: ``python -m scripts.fuzz --seed 1``.

First the decoder alone, in this process; then two authenticated clients, one of them of the same
user on the same machine, that send hostile messages to a backend, with every text field at its
limits. Fails if anything but an error with a hint comes
out, if the backend dies or answers ``server_error``, or if its memory grows. The same seed sends
the same bytes.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import zmq

from protocol import messages as m
from protocol.codec import BadMessage, decode, encode, unpack
from protocol.jobs import Clip, EditJob, Masks, ObjectRef
from protocol.keys import Connection, read_connection_file
from protocol.local import BackendProcess
from protocol.upgrade import job_from
from protocol.validate import check

MEMORY_MIB = 64  # that a backend may grow by
LENGTHS = (0, 1, 63, 64, 65, 1000, 1001, 2000, 2001, 16383, 16384, 16385)
LETTERS = ("a", "\x00", "é", "\N{MUSICAL SYMBOL G CLEF}", "'", "{", "%s", "../")
NUMBERS = (0, -1, 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), 0.5, float("nan"))
KINDS = [kind for kind in m.Message.__subclasses__() if kind is not m.Hello]


def job_id(chance: random.Random) -> str:
    """A job id."""
    return f"{chance.getrandbits(128):032x}"


def text(chance: random.Random) -> str:
    """A text whose length is at, just below or just beyond a limit."""
    letter = chance.choice(LETTERS)
    return (letter * chance.choice(LENGTHS))[: chance.choice(LENGTHS)]


def value(chance: random.Random, depth: int = 0) -> Any:
    """Any value that msgpack can hold, hostile ones among them."""
    kind = chance.randrange(8 if depth < 4 else 5)
    if kind == 5:
        return [value(chance, depth + 1) for _ in range(chance.randrange(4))]
    if kind == 6:
        return {text(chance)[:70]: value(chance, depth + 1) for _ in range(chance.randrange(4))}
    plain = (
        None,
        chance.random() < 0.5,
        chance.choice(NUMBERS),
        text(chance),
        job_id(chance),
        b"x",
    )
    return plain[min(kind, 5)]


def job(chance: random.Random) -> bytes:
    """A packed job in which a few fields are hostile."""
    ref = ObjectRef(digest=f"{chance.getrandbits(256):064x}", dtype="uint8", shape=(4, 6, 3))
    spec = EditJob(clip=Clip(frames=(ref,)), masks=Masks(texts=("a",)), prompt=("a",))
    fields = msgspec.to_builtins(spec)
    for _ in range(chance.randrange(1, 4)):
        place: Any = fields
        while True:
            key = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
            inner = place[key]
            if chance.random() < 0.4 or not isinstance(inner, dict | list) or not inner:
                place[key] = text(chance) if chance.random() < 0.6 else value(chance)
                break
            place = inner
    return bytes(msgpack.packb(fields))


def header(chance: random.Random) -> bytes:
    """A header with the fields of some message, each right, hostile or missing."""
    kind = chance.choice(KINDS)
    fields: dict[str, Any] = {"t": kind.__struct_config__.tag, "id": "1"}
    for field in msgspec.structs.fields(kind):
        if chance.random() < 0.9:
            digest = f"{chance.getrandbits(256):064x}"
            good = {"job": job_id(chance), "name": f"{digest}-{'0' * 16}"}.get(field.name, digest)
            fields[field.name] = chance.choice((good, text(chance), value(chance)))
    if chance.random() < 0.2:
        fields[chance.choice(("id", "re", "ep", "v", "t"))] = text(chance)
    return bytes(msgpack.packb(fields))


def damaged(chance: random.Random, data: bytes) -> bytes:
    """The bytes with a few of them changed, cut or doubled."""
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(changed) + 1)
        how = chance.randrange(3)
        if how == 0:
            changed[at : at + 1] = bytes([chance.randrange(256)])
        elif how == 1:
            del changed[at:]
        else:
            changed[at:at] = changed[: chance.randrange(40)]
    return bytes(changed)


def fuzz_decoder(count: int, seed: int) -> Counter[str]:
    """Decode `count` hostile inputs and count the outcomes. Lets unexpected exceptions through."""
    chance, outcomes = random.Random(seed), Counter[str]()
    pool: list[bytes] = []
    for number in range(count):
        if number % 50 == 0:  # new material; in between it is damaged, which costs little
            pool = [header(chance), job(chance), chance.randbytes(chance.randrange(60))]
        data = damaged(chance, chance.choice(pool)) if number % 50 else chance.choice(pool)
        try:
            if number % 2:
                decode([b"LV01", data])
            else:
                check(job_from(unpack(data)))
            outcomes["accepted"] += 1
        except BadMessage as why:
            outcomes[why.problem.code] += 1
        except msgspec.ValidationError:
            outcomes["wrong form"] += 1
        except Exception as why:
            code = getattr(getattr(why, "problem", None), "code", None)
            if code is None:
                raise
            outcomes[code] += 1
    return outcomes


def messages(count: int, seed: int) -> Iterator[list[bytes]]:
    """Frames of `count` hostile messages."""
    chance = random.Random(seed)
    for _ in range(count):
        which = chance.randrange(10)
        if which < 4:
            yield [*map(bytes, encode(m.Submit(job=job_id(chance)), id="1")), job(chance)]
        elif which < 8:
            yield [b"LV01", header(chance)]
        else:
            buffers = [chance.randbytes(chance.randrange(200)) for _ in range(chance.randrange(4))]
            yield [b"LV01", damaged(chance, header(chance)), *buffers]


def memory_of(process: int) -> float:
    """MiB of memory that a process holds (Linux)."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def socket_to(
    connection: Connection, context: zmq.Context[zmq.Socket[bytes]], proof: str = ""
) -> Any:
    """A socket that is admitted. proof: of a client of the same user on the same machine."""
    one = context.socket(zmq.DEALER)
    one.linger = 0
    one.curve_serverkey = connection.server_key.encode()
    one.curve_publickey = connection.client_public.encode()
    one.curve_secretkey = connection.client_secret.encode()
    one.connect(connection.address)
    one.send_multipart(encode(m.Hello(protocols=(1,), proof=proof)))
    assert one.poll(30_000), "no welcome"
    one.recv_multipart()
    return one


def fuzz_backend(data: Path, count: int, seed: int) -> Counter[str]:
    """Send hostile messages to a backend; what it answered. Raises AssertionError for a fault."""
    outcomes = Counter[str]()
    started = BackendProcess(data, ["--mock", "ok"], stdout=subprocess.DEVNULL)
    try:
        while not started.ready:
            assert started.process.poll() is None, "the backend did not start"
            time.sleep(0.05)
        with zmq.Context() as context:
            connection = read_connection_file(started.connection_file)
            sockets = [socket_to(connection, context, proof) for proof in ("", connection.proof)]
            grown = -memory_of(started.process.pid) if sys.platform == "linux" else 0.0
            for number, frames in enumerate(messages(count, seed)):
                one = sockets[number // 32 % 2]
                one.send_multipart(frames)
                if number % 32 == 31 or number == count - 1:
                    _read_answers(one, outcomes)
                    assert started.process.poll() is None, f"it died at message {number}"
            if sys.platform == "linux":
                grown += memory_of(started.process.pid)
            assert grown < MEMORY_MIB, f"its memory grew by {grown:.0f} MiB"
            for one in sockets:
                one.close()
    finally:
        started.process.terminate()
        started.process.wait(30)
    assert started.process.returncode == 0, "it did not stop cleanly"
    return outcomes


def _read_answers(one: Any, outcomes: Counter[str]) -> None:
    """Read all answers up to that to a ping, which comes last."""
    one.send_multipart(encode(m.Ping(), id="last"))
    while True:
        assert one.poll(60_000), "it does not answer"
        packet = decode(one.recv_multipart())
        if packet.re == "last":
            return
        answer = packet.message
        if isinstance(answer, m.Error):
            assert answer.code != "server_error", answer.message
            assert answer.hint, f"no hint: {answer.message}"
            outcomes[answer.code] += 1
        else:
            outcomes[str(answer.__struct_config__.tag)] += 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz, and print the outcomes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1, help="(%(default)s)")
    parser.add_argument(
        "--inputs", type=int, default=1_000_000, help="of the decoder (%(default)s)"
    )
    parser.add_argument("--messages", type=int, default=20_000, help="to a backend (%(default)s)")
    options = parser.parse_args(arguments)
    decoded = fuzz_decoder(options.inputs, options.seed)
    print(f"{decoded.total()} inputs decoded, no crash: {dict(decoded.most_common(8))}")
    with tempfile.TemporaryDirectory() as folder:
        answered = fuzz_backend(Path(folder) / "data", options.messages, options.seed)
    print(f"{options.messages} messages, no death: {dict(answered.most_common(12))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
