"""Every message survives the wire; nothing else gets through."""

from __future__ import annotations

import hashlib

import msgpack
import numpy as np
import pytest

from protocol import messages as m
from protocol.codec import BadMessage, decode, encode, pack, unpack, unpack_as
from protocol.jobs import (
    AtlasJob,
    Clip,
    EditJob,
    Event,
    JobSpec,
    KeyMask,
    Masks,
    ObjectRef,
    Problem,
    Result,
    reference,
)
from protocol.limits import MAX_BUFFER, MAX_BUFFERS, MAX_DIGESTS, MAX_HEADER

DIGEST = "ab" * 32
EVERY_MESSAGE = [
    m.Hello(protocols=(1, 2), client="blender", channel="bulk", features=("x",)),
    m.Welcome(protocol=1, server="s", epoch="e", device="cpu", model="demo"),
    m.Ping(),
    m.Pong(device="cpu", jobs=2, free_bytes=3, total_bytes=4),
    m.Submit(job="j"),
    m.Accepted(job="j", new=True, state="uploading", seq=1),
    m.Have(digests=(DIGEST,)),
    m.Need(missing=(m.Missing(digest=DIGEST, offset=3),)),
    m.Chunk(digest=DIGEST, offset=0, crc=2**32 - 1),
    m.Place(digest=DIGEST, name=f"{DIGEST}-{'0' * 16}"),
    m.Ack(digest=DIGEST, held=5, complete=True),
    m.Attach(job="j", after_seq=7),
    m.News(job="j"),
    m.Cancel(job="j"),
    m.Requeue(job="j"),
    m.Forget(job="j"),
    m.ListJobs(),
    m.Jobs(),
    m.Fetch(digest=DIGEST, offset=1, length=2),
    m.Data(digest=DIGEST, offset=1, total=9, crc=0),
    m.Ok(),
    m.Error(code="c", message="m", hint="h", retryable=True),
]


def ref(shape: tuple[int, ...] = (4, 6, 3), seed: int = 0) -> ObjectRef:
    return ObjectRef(digest=f"{seed:064x}", dtype="uint8", shape=shape)


def test_the_list_of_messages_is_complete():
    assert {type(one) for one in EVERY_MESSAGE} == set(m.Message.__subclasses__())


@pytest.mark.parametrize("message", EVERY_MESSAGE, ids=lambda one: type(one).__name__)
def test_a_message_survives_with_its_envelope_and_buffers(message):
    packet = decode(encode(message, id="1", re="2", ep="3", buffers=(b"a", b"")))
    assert packet.message == message
    assert (packet.id, packet.re, packet.ep) == ("1", "2", "3")
    assert packet.buffers == (b"a", b"")


def test_unknown_fields_are_ignored():
    header = {"t": "ping", "id": "1", "new_in_minor_9": {"a": [1]}}
    assert decode([b"LV01", msgpack.packb(header)]).message == m.Ping()


def test_an_unknown_type_is_unsupported_and_names_the_request():
    with pytest.raises(BadMessage) as why:
        decode([b"LV01", msgpack.packb({"t": "dance", "id": "7"})])
    assert why.value.problem.code == "unsupported"
    assert why.value.re == "7"


def test_a_wrong_field_is_named_by_its_path():
    with pytest.raises(BadMessage, match=r"\$\.after_seq"):
        decode([b"LV01", msgpack.packb({"t": "attach", "job": "j", "after_seq": "x"})])


@pytest.mark.parametrize(
    "spec",
    [
        EditJob(clip=Clip(frames=(ref(), ref(seed=1)), fps=23.976), prompt=("a", "é")),
        AtlasJob(
            clip=Clip(frames=(ref(),)),
            masks=Masks(mode="key", keys=(KeyMask(frame=0, mask=ref((4, 6, 1))),)),
        ),
    ],
)
def test_a_job_survives(spec):
    again = unpack_as(pack(spec), JobSpec)
    assert again == spec


def test_a_job_at_the_limit_of_frames_fits_in_a_buffer():
    frames = tuple(ref(seed=i) for i in range(600))
    keys = tuple(KeyMask(frame=i, mask=ref((4, 6, 1), 1000 + i)) for i in range(600))
    spec = EditJob(clip=Clip(frames=frames), masks=Masks(mode="all", keys=keys), prompt=("x",))
    packed = pack(spec)
    assert MAX_HEADER < len(packed) < MAX_BUFFER
    assert unpack_as(packed, JobSpec) == spec


def test_the_largest_have_and_its_answer_fit_in_a_header():
    digests = tuple(f"{i:064x}" for i in range(MAX_DIGESTS))
    encode(m.Have(digests=digests))
    encode(m.Need(missing=tuple(m.Missing(digest=d, offset=2**33) for d in digests)))


def test_an_event_survives():
    event = Event(
        seq=3,
        at=1.5,
        kind="state",
        state="failed",
        result=Result(layer=(ref(),), pictures={"atlas": ref()}, numbers={"psnr": 3.0}),
        problem=Problem(code="c", message="m"),
    )
    assert unpack_as(pack(event), Event) == event


def test_an_address_covers_type_shape_and_content():
    block = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    expected = hashlib.sha256(b"uint8|2x4x3|" + bytes(range(24))).hexdigest()
    assert reference(block).digest == expected
    assert reference(block.reshape(4, 2, 3)).digest != expected
    assert reference(block[:, ::-1]) == reference(block[:, ::-1].copy())


HOSTILE = {
    "an array that claims 4 G items": b"\xdd\xff\xff\xff\xff",
    "a map that claims 4 G keys": b"\xdf\xff\xff\xff\xff",
    "bytes that claim 4 GiB": b"\xc6\xff\xff\xff\xff",
    "text that claims 4 GiB": b"\xdb\xff\xff\xff\xff",
    "an array just over the limit": b"\xdc\x04\x01" + b"\xc0" * 1025,
    "text just over the limit": b"\xda\x40\x01" + b"a" * 16385,
    "100 000 nested arrays": b"\x91" * 100_000 + b"\xc0",
    "17 nested arrays": b"\x91" * 17 + b"\xc0",
    "nested maps": b"\x81\xa1a" * 40 + b"\xc0",
    "an extension": msgpack.packb(msgpack.ExtType(5, b"abc")),
    "an empty extension": b"\xc7\x00\x05",
    "a timestamp": msgpack.packb(msgpack.Timestamp(1, 2)),
    "an integer key": msgpack.packb({1: 2}),
    "a bytes key": b"\x81\xc4\x01a\x01",
    "empty bytes": b"\xc4\x00",
    "a key twice": b"\x82\xa1a\x01\xa1a\x02",
    "invalid UTF-8": b"\xa2\xff\xfe",
    "trailing bytes": b"\x80\x80",
    "too many empty maps": b"\xdc\x00\x40" + (b"\xdc\x04\x00" + b"\x80" * 1024) * 64,
    "nothing": b"",
    "a cut map": b"\x82\xa1a\x01",
    "a reserved byte": b"\xc1",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_the_decoder_refuses(data):
    with pytest.raises(BadMessage) as why:
        unpack(data)
    assert why.value.problem.code == "bad_message"


def test_the_largest_job_is_within_the_count_of_values():
    frames = tuple(ref(seed=i) for i in range(600))
    keys = tuple(KeyMask(frame=i, mask=ref((4, 6, 1), 1000 + i)) for i in range(600))
    masks = Masks(mode="all", keys=keys)
    texts = ("\N{MUSICAL SYMBOL G CLEF}" * 2000,) * 32
    spec = EditJob(
        clip=Clip(frames=frames), masks=masks, behind=(masks, masks), layer="both", prompt=texts,
        source=texts, region=texts, avoid=texts, background=texts, background_source=texts,
    )  # fmt: skip
    assert len(pack(spec)) < MAX_BUFFER
    assert unpack_as(pack(spec), JobSpec) == spec


def test_the_decoder_takes_what_is_just_within_its_limits():
    value = {"a": [None, True, -1, 1.5, "é"], "long": "x" * 16384, "many": [0] * 1024}
    assert unpack(msgpack.packb(value)) == value


PING = msgpack.packb({"t": "ping"})
BAD_FRAMES = {
    "no frames": [],
    "no header": [b"LV01"],
    "another magic": [b"LV02", PING],
    "a magic of a megabyte": [b"LV01" * 2**18, PING],
    "a header that is too large": [b"LV01", b"\x81\xa1t\xdb\x00\x01\x00\x00" + b"p" * MAX_HEADER],
    "too many buffers": [b"LV01", PING, *[b""] * (MAX_BUFFERS + 1)],
    "a buffer that is too large": [b"LV01", PING, bytes(MAX_BUFFER + 1)],
    "a header that is no map": [b"LV01", msgpack.packb(["t", "ping"])],
    "no type": [b"LV01", msgpack.packb({"id": "1"})],
    "a type that is a number": [b"LV01", msgpack.packb({"t": 5})],
    "an id that is a number": [b"LV01", msgpack.packb({"t": "ping", "id": 5})],
}


@pytest.mark.parametrize("frames", BAD_FRAMES.values(), ids=BAD_FRAMES.keys())
def test_frames_are_refused(frames):
    with pytest.raises(BadMessage) as why:
        decode(frames)
    assert why.value.problem.code == "bad_message"


def test_what_the_other_side_would_refuse_cannot_be_sent():
    with pytest.raises(ValueError, match="header"):
        encode(m.Have(digests=(DIGEST,) * 1200))
    with pytest.raises(ValueError, match="buffers"):
        encode(m.Ping(), buffers=(b"",) * 9)
    with pytest.raises(ValueError, match="buffers"):
        encode(m.Ping(), buffers=(bytes(MAX_BUFFER + 1),))


@pytest.mark.parametrize(
    ("client", "backend", "code"),
    [((1,), 1, None), ((1, 2), 1, None), ((2,), 1, "backend_too_old"), ((1,), 2, "client_too_old")],
)
def test_versions_that_cannot_talk_say_who_is_behind(client, backend, code):
    problem = m.version_problem(client, backend)
    assert (problem and problem.code) == code
    if problem:
        assert "too old" in problem.message
        assert problem.hint.startswith("Update")
