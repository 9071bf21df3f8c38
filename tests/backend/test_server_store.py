"""A blob that exists is complete; a part is kept; a full disk is reported and loses nothing."""

from __future__ import annotations

import errno
import os
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from backend.store import Store
from protocol.jobs import JobError, ObjectRef, reference


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "objects")


def picture(seed: int = 0, shape: tuple[int, int, int] = (20, 30, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def send(store: Store, ref: ObjectRef, data: bytes, start: int = 0, step: int = 500) -> None:
    for offset in range(start, len(data), step):
        piece = data[offset : offset + step]
        store.write(ref, offset, zlib.crc32(piece), piece)


def code(why: pytest.ExceptionInfo[JobError]) -> str:
    return why.value.problem.code


def test_save_and_load(store):
    image = picture()
    ref = store.save(image)
    assert ref == reference(image)
    assert np.array_equal(store.load(ref), image)
    assert store.save(image) == ref
    assert [path.suffix for path in store.folder.glob("*/*")] == [".blob"]


def test_an_upload_in_pieces(store):
    image = picture()
    ref = reference(image)
    assert store.held(ref) == 0
    send(store, ref, image.tobytes())
    assert store.has(ref)
    assert np.array_equal(store.load(ref), image)


def test_an_upload_resumes_in_another_process(store):
    image = picture()
    ref, data = reference(image), image.tobytes()
    send(store, ref, data[:700])
    later = Store(store.folder)
    assert later.held(ref) == 700
    send(later, ref, data, start=700)
    assert np.array_equal(later.load(ref), image)


def test_content_that_does_not_match_its_digest_is_dropped(store):
    ref = reference(picture(0))
    with pytest.raises(JobError) as why:
        send(store, ref, picture(1).tobytes())
    assert code(why) == "wrong_digest"
    assert store.held(ref) == 0
    assert not store.has(ref)


def test_damage_on_the_disk_is_found(store):
    ref = store.save(picture())
    blob = store.path(ref.digest)
    blob.write_bytes(bytes(ref.nbytes))
    with pytest.raises(JobError) as why:
        store.load(ref)
    assert code(why) == "object_damaged"
    blob.write_bytes(b"short")
    assert not store.has(ref)


def test_a_missing_object_is_named(store):
    with pytest.raises(JobError) as why:
        store.load(reference(picture()))
    assert code(why) == "unknown_object"


class FullDisk:
    """A file that takes some bytes, then the disk is full."""

    def __init__(self, file, room):
        self._file, self._room = file, room

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def write(self, data):
        taken = bytes(data)[: self._room]
        self._file.write(taken)
        self._file.flush()
        if len(taken) < len(data):
            raise OSError(errno.ENOSPC, "No space left on device")

    def __getattr__(self, name):
        return getattr(self._file, name)


def fill_disk(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    ordinary = Path.open

    def limited(self, mode="r", *rest, **named):
        file = ordinary(self, mode, *rest, **named)
        return FullDisk(file, room) if mode == "xb" else file

    ordinary_write = os.write

    def write(handle: int, data: memoryview) -> int:
        written = ordinary_write(handle, data[:room])
        if written < len(data):
            raise OSError(errno.ENOSPC, "No space left on device")
        return written

    monkeypatch.setattr(Path, "open", limited)
    monkeypatch.setattr(os, "write", write)


def test_a_full_disk_during_an_upload_leaves_no_half_chunk(store, monkeypatch):
    image = picture()
    ref, data = reference(image), image.tobytes()
    send(store, ref, data[:500])
    with monkeypatch.context() as full:
        fill_disk(full, 100)
        with pytest.raises(JobError) as why:
            send(store, ref, data, start=500)
    problem = why.value.problem
    assert (problem.code, problem.retryable) == ("disk_full", True)
    assert str(store.folder) in problem.message
    assert store.held(ref) == 500
    send(store, ref, data, start=500)
    assert np.array_equal(store.load(ref), image)


def test_a_full_disk_during_a_save_leaves_nothing_behind(store, monkeypatch):
    with monkeypatch.context() as full:
        fill_disk(full, 100)
        with pytest.raises(JobError) as why:
            store.save(picture())
    assert code(why) == "disk_full"
    assert list(store.folder.glob("*/*")) == []


def test_another_disk_error_is_not_called_full(store, monkeypatch):
    def broken(handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(JobError, match="Input/output error") as why:
        store.save(picture())
    assert code(why) == "disk_error"


def test_the_least_recently_used_go_first_and_the_pinned_stay(store):
    refs = [store.save(picture(seed)) for seed in range(4)]
    for age, ref in enumerate(refs):
        os.utime(store.path(ref.digest), (1000 + age, 1000 + age))
    store.load(refs[1])  # used now
    leftover = store.path(refs[0].digest).with_name("77-1.tmp")
    leftover.write_bytes(b"x")
    size = refs[0].nbytes
    assert store.sweep({refs[0].digest}, 2 * size, newest=time.time() - 1) == 2 * size
    assert [store.has(ref) for ref in refs] == [True, True, False, False]
    assert leftover.exists()  # perhaps a worker is writing it
    assert store.sweep((), 10 * size, leftovers=True) == 1
    assert not leftover.exists()


def test_what_is_old_or_in_the_way_goes_and_what_was_used_since_stays(store):
    refs = [store.save(picture(seed)) for seed in range(4)]
    for age, ref in enumerate(refs):
        os.utime(store.path(ref.digest), (1000 + age, 1000 + age))
    size = refs[0].nbytes
    assert store.sweep((), 10 * size, older=1001) == size
    assert store.sweep((), 10 * size, lacking=1) == size
    assert [store.has(ref) for ref in refs] == [False, False, True, True]
    assert store.use(refs[2])
    assert not store.use(refs[0])
    assert store.sweep((), 0, newest=time.time() - 60) == size
    assert [store.has(ref) for ref in refs] == [False, False, True, False]


def test_what_is_used_while_it_is_deleted_stays(store, monkeypatch):
    ref = store.save(picture())
    path = store.path(ref.digest)
    os.utime(path, (1000, 1000))
    rename = Path.rename

    def used_first(self, target):
        if self == path:
            os.utime(path)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", used_first)
    assert store.sweep((), 0, newest=2000) == 0
    assert store.has(ref)


@pytest.mark.skipif(os.name != "posix", reason="symbolic links")
def test_links_in_the_store_are_never_followed(store, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    image = picture()
    ref, data = reference(image), image.tobytes()
    victim = outside / f"{ref.digest[2:]}.blob"
    victim.write_bytes(b"precious")
    folder = store.path(ref.digest).parent
    folder.symlink_to(outside)
    assert store.sweep((), 0, leftovers=True) == 0
    with pytest.raises(JobError):
        store.save(image)
    with pytest.raises(JobError):
        send(store, ref, data)
    folder.unlink()
    folder.mkdir()
    store.path(ref.digest).with_suffix(".part").symlink_to(victim)
    with pytest.raises(JobError):
        send(store, ref, data)
    store.sweep((), 0, leftovers=True)
    assert victim.read_bytes() == b"precious"
    assert list(outside.iterdir()) == [victim]
