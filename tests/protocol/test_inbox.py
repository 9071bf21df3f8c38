"""Objects through the inbox: for the same user on the same machine, verified as everything else."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from serving import Raw

from backend.executors.mock import tinted
from backend.inbox import LEFT, Inbox
from backend.store import Store
from protocol import messages as m
from protocol import transfer
from protocol.client import Client, new_job_id
from protocol.codec import Packet, pack
from protocol.inbox import inbox_of, is_placed_name, marker, put
from protocol.jobs import ObjectRef, Problem, reference
from protocol.limits import Limits
from protocol.transfer import Uploads

IMAGES = [np.random.default_rng(seed).integers(0, 256, (9, 10, 3), np.uint8) for seed in range(3)]
REFS = {reference(image).digest: reference(image) for image in IMAGES}
SOURCE = dict(zip(REFS, IMAGES, strict=True)).__getitem__


# the client


class Wire:
    """An upload whose requests are answered by hand."""

    def __init__(self, inbox: Path | None) -> None:
        self.asked: list[tuple[m.AnyMessage, object]] = []
        self.uploads = Uploads(
            lambda _channel, message, answer, _buffers: self.asked.append((message, answer)),
            lambda _event: None,
        )
        self.uploads.share(inbox)
        self.uploads.add("job", REFS, SOURCE)

    def sent(self, limits: Limits = Limits()) -> list[m.AnyMessage]:  # noqa: B008  (frozen)
        """What is sent next, after the answer that everything is missing."""
        self.uploads.pump(0.0, limits)
        message, answer = self.asked.pop(0)
        assert isinstance(message, m.Have)
        missing = tuple(m.Missing(digest=digest, offset=0) for digest in REFS)
        answer(Packet(message=m.Need(missing=missing)))
        self.uploads.pump(0.0, limits)
        return [message for message, _ in self.asked]


def test_whole_objects_are_put_into_the_inbox(tmp_path):
    sent = Wire(tmp_path).sent()
    assert [type(message) for message in sent] == [m.Place] * 3
    for message in sent:
        assert is_placed_name(message.name)
        assert (tmp_path / message.name).read_bytes() == SOURCE(message.digest).tobytes()
        assert (tmp_path / message.name).stat().st_mode & 0o077 == 0


def test_an_object_counts_in_the_window_like_its_chunks(tmp_path):
    size = IMAGES[0].nbytes
    assert len(Wire(tmp_path).sent(Limits(chunk=size // 3, window=4))) == 2
    assert len(Wire(tmp_path).sent(Limits(chunk=size, window=2))) == 2


def test_what_cannot_be_put_is_sent(tmp_path):
    sent = Wire(tmp_path / "missing").sent()
    assert {type(message) for message in sent} == {m.Chunk}


def test_what_is_not_found_is_sent(tmp_path):
    wire = Wire(tmp_path)
    wire.sent()
    _, answer = wire.asked.pop(0)
    problem = Problem(code="not_placed", message="gone", retryable=True)
    answer(Packet(message=m.error(problem)))
    wire.asked.clear()
    assert {type(message) for message in wire.sent()} == {m.Chunk}


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="space"):
        put(tmp_path, "a" * 64, b"x")
    assert list(tmp_path.iterdir()) == []


def test_only_the_inbox_of_this_backend_is_used(tmp_path):
    epoch, other = "e1" * 8, "e2" * 8
    welcome = m.Welcome(protocol=1, server="s", epoch=epoch, inbox=str(tmp_path))
    assert inbox_of(welcome, "proof") is None
    marker(tmp_path, other).touch()
    assert inbox_of(welcome, "proof") is None
    marker(tmp_path, epoch).touch()
    assert inbox_of(welcome, "proof") == tmp_path
    assert inbox_of(msgspec.structs.replace(welcome, inbox=""), "proof") is None


def test_a_backend_on_another_machine_names_no_folder_on_this_one(tmp_path, monkeypatch):
    epoch = "e1" * 8
    marker(tmp_path, epoch).touch()
    (tmp_path / "x.epoch").touch()
    monkeypatch.setattr(Path, "is_file", lambda _: pytest.fail("the client looks"))
    welcome = m.Welcome(protocol=1, server="s", epoch=epoch, inbox=str(tmp_path))
    assert inbox_of(welcome, "") is None
    strange = msgspec.structs.replace(welcome, epoch="../x", inbox=str(tmp_path / "any"))
    assert inbox_of(strange, "proof") is None


# the backend


def test_a_client_of_the_same_user_sends_no_chunk(shared, shot, monkeypatch):
    clip = shot(count=5)
    monkeypatch.setattr(transfer, "Chunk", lambda **_: pytest.fail("it sends a chunk"))
    with Client(shared.connection) as client:
        result = client.run(new_job_id(), clip.edit(), clip.source, timeout=60)
    assert result.layer == tuple(reference(tinted(one, clip.edit())) for one in clip.frames)


@pytest.fixture
def local(shared) -> Iterator[tuple[Raw, Path]]:
    """A socket of a client of the same user, and the inbox that it was told."""
    one = Raw(shared.connection)
    welcome = one.ask(m.Hello(protocols=(1,), proof=shared.connection.proof))
    folder = inbox_of(welcome, shared.connection.proof)
    assert folder == shared.data / "inbox"
    yield one, folder
    one.close()


@pytest.fixture
def job(shot, local) -> Iterator[tuple[str, dict[str, bytes]]]:
    """A job that waits for its frames, and their pixels."""
    clip = shot()
    job = new_job_id()
    accepted = local[0].ask(m.Submit(job=job), pack(clip.edit()))
    assert accepted.state == "uploading"
    yield job, {ref.digest: clip.source(ref.digest).tobytes() for ref in clip.clip.frames}
    local[0].ask(m.Cancel(job=job))


def named(digest: str) -> str:
    return f"{digest}-{secrets.token_hex(8)}"


def test_placed_objects_complete_a_job(local, job):
    raw, inbox = local
    for digest, data in job[1].items():
        ack = raw.ask(m.Place(digest=digest, name=put(inbox, digest, data)))
        assert (ack.complete, ack.held) == (True, len(data))
    assert raw.ask(m.Have(digests=tuple(job[1]))).missing == ()
    assert [path.suffix for path in inbox.iterdir()] == [".epoch"]


@pytest.mark.parametrize("spoil", [lambda d: d[:-1] + b"?", lambda d: d + b"?"])
def test_a_placed_object_is_verified(local, job, spoil):
    raw, inbox = local
    digest, data = next(iter(job[1].items()))
    answer = raw.ask(m.Place(digest=digest, name=put(inbox, digest, spoil(data))))
    assert answer.code == "wrong_digest"
    assert raw.ask(m.Place(digest=digest, name=put(inbox, digest, data))).complete


def test_the_rest_of_a_short_object_is_sent(local, job):
    raw, inbox = local
    digest, data = next(iter(job[1].items()))
    ack = raw.ask(m.Place(digest=digest, name=put(inbox, digest, data[:100])))
    assert (ack.complete, ack.held) == (False, 100)
    assert raw.ask(m.Chunk(digest=digest, offset=100), data[100:]).complete


def test_only_files_of_the_inbox_are_taken(local, job, tmp_path):
    raw, inbox = local
    digest, data = next(iter(job[1].items()))
    outside = tmp_path / "outside"
    outside.write_bytes(data)
    for name in ("../connection.json", str(outside), "", "x", f"{digest}-{'0' * 15}/"):
        assert raw.ask(m.Place(digest=digest, name=name)).code == "bad_message"
    assert raw.ask(m.Place(digest=digest, name=named(digest))).code == "not_placed"
    link = named(digest)
    (inbox / link).symlink_to(outside)
    assert raw.ask(m.Place(digest=digest, name=link)).code == "not_placed"
    folder = named(digest)
    (inbox / folder).mkdir()
    assert raw.ask(m.Place(digest=digest, name=folder)).code == "not_placed"
    (inbox / folder).rmdir()
    assert outside.read_bytes() == data
    unknown = "0" * 64
    assert raw.ask(m.Place(digest=unknown, name=put(inbox, unknown, b"x"))).code == "not_wanted"
    assert [path.suffix for path in inbox.iterdir()] == [".epoch"]


def test_other_clients_have_no_inbox(shared, job):
    digest, data = next(iter(job[1].items()))
    raw = Raw(shared.connection)
    try:
        for proof in ("", "0" * 64):
            assert raw.ask(m.Hello(protocols=(1,), proof=proof)).inbox == ""
            name = put(shared.data / "inbox", digest, data)
            assert raw.ask(m.Place(digest=digest, name=name)).code == "bad_message"
            (shared.data / "inbox" / name).unlink()
    finally:
        raw.close()


def test_the_inbox_is_emptied(tmp_path):
    folder = tmp_path / "inbox"
    folder.mkdir()
    put(folder, "a" * 64, b"x")
    inbox = Inbox(folder, "e")
    assert [path.name for path in folder.iterdir()] == ["e.epoch"]
    new, old = (folder / put(folder, "a" * 64, b"x") for _ in range(2))
    os.utime(old, (time.time() - LEFT - 9,) * 2)
    os.utime(marker(folder, "e"), (1000, 1000))
    inbox.sweep()
    assert set(folder.iterdir()) == {new, marker(folder, "e")}


def test_a_file_that_is_no_object_is_dropped_without_being_read(tmp_path, monkeypatch):
    store, ref = Store(tmp_path / "objects"), next(iter(REFS.values()))
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(2**40)
    store.adopt(ref.digest, huge)
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("it is read"))
    other = ObjectRef(digest=ref.digest, dtype="uint8", shape=(1, 1, 3))
    outcome = store.finish([(ref, other)])[ref.digest]
    assert outcome.problem.code == "wrong_digest"
    assert list(tmp_path.glob("objects/*/*")) == []
