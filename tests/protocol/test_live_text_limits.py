"""Whatever text a client sends, of whatever length: it gets an answer, and the backend goes on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgpack
import msgspec
import pytest
from serving import RandomClip, Raw

from backend.redact import Redactor
from backend.server import Server
from protocol import messages as m
from protocol.client import new_job_id
from protocol.codec import decode, encode
from protocol.jobs import ENGINES, EditJob, Event, JobError, Problem
from protocol.limits import MAX_HEADER, MAX_ID, MAX_SENTENCES

LONGEST = ("\x00" * 16384, "é" * 8192, "𝄞" * 4096, "'\\" * 8192, "$.{%s}" * 2730)
"""Texts of 16 KiB, the most that the decoder takes; a repr makes the first four times as long."""
CALLED = [kind for kind in m.Message.__subclasses__() if kind is not m.Hello]


def alive(raw: Raw) -> bool:
    return isinstance(raw.ask(m.Ping()), m.Pong)


def refused(raw: Raw, frames: list[bytes]) -> str:
    """Send frames; the code of the error, which must be complete and within its limits."""
    raw.send(frames)
    answer = raw.receive().message
    assert isinstance(answer, m.Error), answer
    assert 0 < len(answer.message) <= MAX_SENTENCES
    assert 0 < len(answer.hint) <= MAX_SENTENCES
    return answer.code


def with_text(value: Any, text: str) -> list[Any]:
    """Copies of a packed job, in each of which one text, or one key, is replaced by another."""
    if isinstance(value, str):
        return [text]
    found: list[Any] = []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += [{**value, key: other} for other in with_text(inner, text)]
        found.append({**value, text: 1})
    elif isinstance(value, list):
        for index, inner in enumerate(value[:1]):
            found += [
                [*value[:index], other, *value[index + 1 :]] for other in with_text(inner, text)
            ]
    return found


def full_job(made: RandomClip) -> dict[str, Any]:
    """A job with a text in every field that can hold one."""
    spec = made.edit(
        source=("car",), region=("car",), avoid=("road",), background=("snow",),
        background_source=("road",), after=new_job_id(), settings={"recipe": "texture"},
    )  # fmt: skip
    fields = msgspec.to_builtins(spec)
    fields["masks"]["texts"] = ["car"]
    assert msgspec.convert(fields, EditJob).engine == ENGINES[0]
    return fields


@pytest.mark.parametrize("text", LONGEST, ids=lambda text: ascii(text[:1]))
def test_every_text_of_a_job_at_its_longest(raw, shot, text):
    fields = full_job(shot())
    copies = with_text(fields, text)
    assert len(copies) > 20
    codes = []
    for copy in copies:
        job = new_job_id()
        raw.send([*encode(m.Submit(job=job), id="1"), msgpack.packb(copy)])
        answer = raw.receive().message
        if isinstance(answer, m.Error):
            codes.append(answer.code)
            assert len(answer.message) <= MAX_SENTENCES
            assert len(answer.hint) <= MAX_SENTENCES
        else:
            assert isinstance(raw.ask(m.Cancel(job=job)), m.Ok)
    assert "server_error" not in codes
    assert len(codes) >= len(copies) // 2
    assert alive(raw)


@pytest.mark.parametrize("text", LONGEST, ids=lambda text: ascii(text[:1]))
def test_every_text_of_a_header_at_its_longest(raw, text):
    for kind in CALLED:
        header = {"t": kind.__struct_config__.tag, "id": "1"}
        for field in (f.name for f in msgspec.structs.fields(kind)):
            raw.send([b"LV01", msgpack.packb({**header, field: text})])
            raw.send([b"LV01", msgpack.packb({**header, field: [text]})])
    for _ in range(3):
        raw.send([b"LV01", msgpack.packb({"t": text, "id": "1"})])
        raw.send([b"LV01", msgpack.packb({text: 1, "t": "ping", "id": "1"})])
    while raw.socket.poll(500):
        answer = decode(raw.socket.recv_multipart()).message
        assert not isinstance(answer, m.Error) or answer.code != "server_error"
    assert alive(raw)


@pytest.mark.parametrize("key", ["id", "re", "ep"])
def test_an_id_that_an_answer_could_not_repeat(raw, key):
    long = {"t": "attach", "job": "\x00" * 16384, key: "i" * 16384}
    assert refused(raw, [b"LV01", msgpack.packb(long)]) == "bad_message" or key == "ep"
    assert refused(raw, [b"LV01", msgpack.packb({**long, key: "i" * MAX_ID})]) == "unknown_job"
    assert alive(raw)


def test_the_longest_error_fits_in_an_answer():
    text = "𝄞" * 100_000
    longest = m.error(JobError(text, text, text).problem)
    frames = encode(longest, re="i" * MAX_ID, ep="e" * MAX_ID)
    assert len(frames[1]) < MAX_HEADER
    assert longest.message.endswith("…")


def test_the_text_of_an_event_is_cut_when_it_is_read_too():
    text = "n" * 100_000
    fields = {"code": text, "message": text, "hint": text}
    assert len(msgspec.convert(fields, Problem).message) == MAX_SENTENCES
    event = Event(seq=1, at=0.0, kind="note", state="running", text=text, phase=text)
    assert len(event.text) == len(event.phase) == MAX_SENTENCES


def test_an_answer_that_is_too_large_becomes_an_error():
    sent: list[list[bytes]] = []
    server = Server.__new__(Server)
    server.epoch = "e"
    server._redactor = Redactor(Path("data"), Path("models"))
    server._endpoint = SimpleNamespace(send=lambda route, frames: sent.append(frames))
    missing = tuple(m.Missing(digest="0" * 64, offset=0) for _ in range(2000))
    server._send(b"route", m.Need(missing=missing), re="1")
    packet = decode(sent[0])
    assert (packet.re, packet.message.code) == ("1", "server_error")
