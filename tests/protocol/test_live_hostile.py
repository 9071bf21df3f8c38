"""A live backend answers nonsense with an error, or not at all, and keeps running."""

from __future__ import annotations

import random
import zlib

import msgpack
import msgspec
import pytest
import zmq
from serving import Raw
from test_messages import BAD_FRAMES, HOSTILE

from protocol import messages as m
from protocol.client import Client, new_job_id
from protocol.codec import encode, pack, unpack_as
from protocol.jobs import Clip, EditJob, Event


def alive(raw: Raw) -> bool:
    return isinstance(raw.ask(m.Ping()), m.Pong)


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_header(raw, data):
    raw.send([b"LV01", data])
    assert raw.receive().message.code == "bad_message"
    assert alive(raw)


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_job(raw, data):
    assert raw.ask(m.Submit(job=new_job_id()), data).code == "bad_message"
    assert alive(raw)


@pytest.mark.parametrize("name", [name for name in BAD_FRAMES if name != "no frames"])
def test_hostile_frames(raw, name):
    raw.send(BAD_FRAMES[name])
    assert raw.receive().message.code == "bad_message"
    assert alive(raw)


def test_a_frame_over_the_wire_limit_ends_that_connection_only(shared, raw):
    rude = Raw(shared.connection)
    rude.hello()
    rude.send([b"LV01", msgpack.packb({"t": "ping"}), bytes(6 * 2**20)])
    assert not rude.socket.poll(500)
    rude.close()
    assert alive(raw)


def test_random_bytes_and_random_changes(raw):
    chance = random.Random(5)
    good = encode(m.Attach(job=new_job_id()), id="1")[1]
    for _ in range(300):
        if chance.random() < 0.5:
            data = chance.randbytes(chance.randrange(200))
        else:
            changed = bytearray(good)
            changed[chance.randrange(len(changed))] = chance.randrange(256)
            data = bytes(changed)
        raw.send([b"LV01", data])
    while raw.socket.poll(300):
        raw.socket.recv_multipart()
    assert alive(raw)


def test_a_message_type_of_the_future(raw):
    raw.send([b"LV01", msgpack.packb({"t": "dance", "id": "9"})])
    packet = raw.receive()
    assert (packet.message.code, packet.re) == ("unsupported", "9")


def test_a_message_for_the_other_side(raw):
    answer = raw.ask(m.Accepted(job="x", new=True, state="done", seq=1))
    assert answer.code == "unsupported"


def test_without_hello_there_is_no_service(shared):
    rude = Raw(shared.connection)
    assert rude.ask(m.ListJobs()).code == "hello_first"
    rude.close()


def test_chunks_with_false_claims(raw, shot):
    made, job = shot(), new_job_id()
    ref, piece = made.clip.frames[0], made.frames[0].tobytes()
    good = zlib.crc32(piece)

    def chunk(offset: int, crc: int, *buffers: bytes) -> m.AnyMessage:
        return raw.ask(m.Chunk(digest=ref.digest, offset=offset, crc=crc), *buffers)

    assert chunk(0, good, piece).code == "not_wanted"
    raw.ask(m.Submit(job=job), pack(made.edit()))
    assert chunk(0, good + 1, piece).code == "bad_crc"
    assert chunk(10, good, piece).code == "wrong_offset"
    assert chunk(-10, good, piece).code == "bad_message"
    assert chunk(0, good).code == "bad_message"
    assert chunk(0, good, piece, piece).code == "bad_message"
    assert chunk(0, 0, b"").code == "bad_message"
    assert chunk(0, 0, bytes(2**20 + 1)).code == "bad_message"
    long = piece + b"x"
    assert chunk(0, zlib.crc32(long), long).code == "too_long"
    other = bytes(len(piece))
    assert chunk(0, zlib.crc32(other), other).code == "wrong_digest"
    need = raw.ask(m.Have(digests=(ref.digest,)))
    assert need.missing == (m.Missing(digest=ref.digest, offset=0),)
    half = piece[:100]
    assert chunk(0, zlib.crc32(half), half).held == 100
    assert chunk(0, zlib.crc32(half), half).held == 100  # again: no harm
    no_crc = m.Chunk(digest=ref.digest, offset=100)
    assert raw.ask(no_crc, piece[100:110]).held == 110  # the encryption is enough
    rest = piece[100:]
    assert chunk(100, zlib.crc32(rest), rest).code == "wrong_offset"
    rest = piece[110:]
    assert chunk(110, zlib.crc32(rest), rest).complete
    assert raw.ask(m.Cancel(job=job)) == m.Ok()


@pytest.mark.parametrize("shape", [(2, 3, 3), (32, 24, 3), (400, 400, 3)])
def test_a_job_that_lies_about_a_shape_harms_only_itself(raw, shot, shape):
    made, honest, liar = shot(1), new_job_id(), new_job_id()
    ref, piece = made.clip.frames[0], made.frames[0].tobytes()
    false = msgspec.structs.replace(ref, shape=shape)
    raw.ask(m.Submit(job=liar), pack(EditJob(clip=Clip(frames=(false,)), prompt=("lie",))))
    assert raw.ask(m.Submit(job=honest), pack(made.edit())).state == "uploading"
    for offset in range(0, len(piece), 54):  # the shortest of the shapes has 54 bytes
        some = piece[offset : offset + 54]
        ack = raw.ask(m.Chunk(digest=ref.digest, offset=offset, crc=zlib.crc32(some)), some)
        assert ack.complete == (offset + len(some) == len(piece))
    raw.ask(m.ListJobs())
    raw.ask(m.Attach(job=liar))
    events = [unpack_as(raw.receive().buffers[0], Event) for _ in range(2)]
    assert events[-1].state == "failed"
    assert events[-1].problem.code == "bad_object"
    assert raw.ask(m.Submit(job=honest), pack(made.edit())).state != "uploading"


def test_requests_beyond_the_limits(raw):
    assert raw.ask(m.Have(digests=("0" * 64,) * 401)).code == "bad_message"
    assert raw.ask(m.Fetch(digest="0" * 64, offset=0, length=2**30)).code == "bad_message"
    assert raw.ask(m.Fetch(digest="0" * 64, offset=-1, length=5)).code == "bad_message"
    assert raw.ask(m.Fetch(digest="../../etc/passwd", offset=0, length=5)).code == "bad_message"
    assert raw.ask(m.Fetch(digest="0" * 64, offset=2**63, length=5)).code == "unknown_object"
    assert raw.ask(m.Attach(job=new_job_id(), after_seq=2**63)).code == "unknown_job"


def test_a_fetch_beyond_the_end(shared, raw, shot):
    made = shot()
    with Client(shared.connection) as client:
        result = client.run(new_job_id(), made.edit(), made.source, timeout=60)
    ref = result.layer[0]
    answer = raw.ask(m.Fetch(digest=ref.digest, offset=2**63, length=5))
    assert answer.code == "bad_message"
    assert raw.ask(m.Fetch(digest=ref.digest, offset=ref.nbytes - 1, length=5)).total == ref.nbytes


def test_a_peer_that_never_reads_does_not_block_the_others(shared, raw, shot):
    deaf = Raw(shared.connection)
    deaf.hello()
    deaf.socket.rcvhwm = 1
    made = shot(1, 400, 400)
    with Client(shared.connection) as client:
        result = client.run(new_job_id(), made.edit(), made.source, timeout=60)
        fetch = encode(m.Fetch(digest=result.layer[0].digest, offset=0, length=2**20))
        for _ in range(400):
            try:
                deaf.socket.send_multipart(fetch, zmq.DONTWAIT)
            except zmq.Again:
                break
        assert client.fetch_all(result.layer, timeout=30)
    assert alive(raw)
    deaf.close()
