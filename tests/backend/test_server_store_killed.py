"""Whatever instruction of an upload a kill or a failure hits, the upload ends or starts again."""

from __future__ import annotations

import errno
import os
import signal
import traceback
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from backend import disk
from backend.store import Store
from protocol.jobs import JobError, ObjectRef, reference

IMAGES = [
    np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8) for seed in range(2)
]
REFS = [reference(image) for image in IMAGES]
STEP = 1000  # bytes of a chunk
Send = Callable[[Store], None]


class Steps:
    """Counts the steps that change the disk, and calls `at` before and after each."""

    def __init__(self, patch: pytest.MonkeyPatch, at: Callable[[int, str], None]) -> None:
        self.count = 0
        self._at = at
        for owner, name in ((os, "fsync"), (Path, "replace"), (Path, "unlink"), (Path, "mkdir")):
            patch.setattr(owner, name, self._wrapped(getattr(owner, name), name))
        patch.setattr(os, "write", self._in_halves(os.write))

    def _in_halves(self, ordinary: Callable[..., int]) -> Callable[..., int]:
        """A chunk is written in two halves."""

        def write(handle: int, data: memoryview) -> int:
            middle = len(data) // 2
            for half in (data[:middle], data[middle:]):
                self.around("write", lambda half=half: ordinary(handle, half))
            return len(data)

        return write

    def around(self, name: str, action: Callable[[], object]) -> object:
        self.count += 1
        self._at(self.count, name)
        done = action()
        self.count += 1
        self._at(self.count, f"after {name}")
        return done

    def _wrapped(self, ordinary: Callable[..., object], name: str) -> Callable[..., object]:
        def step(*arguments: object, **named: object) -> object:
            return self.around(name, lambda: ordinary(*arguments, **named))

        return step


def upload(store: Store) -> None:
    """What a client and the server do: send what is missing, finish everything together."""
    for ref, image in zip(REFS, IMAGES, strict=True):
        data = image.tobytes()
        held = store.held(ref)
        while held < ref.nbytes:
            piece = data[held : held + STEP]
            held = store.write(ref, held, zlib.crc32(piece), piece, finish=False)
    finish(store)


def place(store: Store) -> None:
    """The same for a client of the same user, whose objects are in the inbox."""
    for ref, image in zip(REFS, IMAGES, strict=True):
        if store.held(ref) < ref.nbytes:
            file = store.folder.with_name(f"{store.folder.name}-placed")
            file.write_bytes(image.tobytes())
            store.adopt(ref.digest, file)
    finish(store)


def finish(store: Store) -> None:
    full = [(ref,) for ref in REFS if not store.has(ref)]
    for outcome in store.finish(full).values():
        if isinstance(outcome, JobError):
            raise outcome


def steps_of_an_upload(folder: Path, send: Send = upload) -> list[str]:
    names: list[str] = []
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        Steps(patch, lambda _, name: names.append(name))
        send(Store(folder))
    return names


def killed_at(folder: Path, number: int, send: Send) -> None:
    """Upload in a child process that kills itself at a step."""
    disk.pool.cache_clear()
    child = os.fork()
    if child == 0:  # pragma: no cover
        try:
            with pytest.MonkeyPatch.context() as patch:
                Steps(patch, lambda at, _: at == number and os.kill(os.getpid(), signal.SIGKILL))
                send(Store(folder))
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"step {number} was not reached"


def check_complete(store: Store) -> None:
    for ref, image in zip(REFS, IMAGES, strict=True):
        assert np.array_equal(store.load(ref), image)
    assert not list(store.folder.glob("*/*.part"))


@pytest.fixture(autouse=True)
def one_sync_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Steps come in the same order every time."""
    disk.pool.cache_clear()  # threads do not survive a fork
    monkeypatch.setattr(disk, "_THREADS", 1)
    yield
    disk.pool.cache_clear()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("send", [upload, place])
def test_a_kill_at_every_step_leaves_an_upload_that_ends(tmp_path, send):
    names = steps_of_an_upload(tmp_path / "whole", send)
    assert {"fsync", "replace"} <= set(names)
    assert ("write" in names) == (send is upload)
    for number in range(1, len(names) + 1):
        folder = tmp_path / str(number)
        killed_at(folder, number, send)
        store = Store(folder)
        send(store)
        check_complete(store)


@pytest.mark.parametrize("send", [upload, place])
def test_a_failure_at_every_step_leaves_an_upload_that_ends(tmp_path, send):
    for number, name in enumerate(steps_of_an_upload(tmp_path / "whole", send), 1):
        if name in ("mkdir", "unlink") or name.startswith("after"):
            continue
        folder = tmp_path / str(number)

        def fail(at: int, _name: str, number: int = number) -> None:
            if at == number:
                raise OSError(errno.ENOSPC, "No space left on device")

        with pytest.MonkeyPatch.context() as patch:
            Steps(patch, fail)
            with pytest.raises(JobError) as why:
                send(Store(folder))
        assert why.value.problem.code == "disk_full"
        assert why.value.problem.retryable
        store = Store(folder)
        send(store)
        check_complete(store)


def full_part(store: Store, ref: ObjectRef, data: bytes) -> None:
    part = store.path(ref.digest).with_suffix(".part")
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(data)


def test_a_full_part_is_finished_by_whoever_asks(tmp_path):
    store = Store(tmp_path)
    full_part(store, REFS[0], IMAGES[0].tobytes())
    assert store.held(REFS[0]) == REFS[0].nbytes
    assert store.has(REFS[0])
    full_part(store, REFS[1], IMAGES[1].tobytes())
    piece = IMAGES[1].tobytes()[:STEP]
    assert store.write(REFS[1], 0, zlib.crc32(piece), piece) == REFS[1].nbytes
    assert store.has(REFS[1])


@pytest.mark.parametrize("extra", [b"", b"x"])
def test_a_full_part_with_wrong_content_is_dropped(tmp_path, extra):
    store = Store(tmp_path)
    full_part(store, REFS[0], bytes(REFS[0].nbytes) + extra)
    assert store.held(REFS[0]) == 0
    upload(store)
    check_complete(store)


def test_parts_are_synced_and_named_in_one_go(tmp_path, monkeypatch):
    order: list[str] = []
    Steps(monkeypatch, lambda _, name: order.append(name))
    upload(Store(tmp_path))
    last = [name for name in order if name in ("fsync", "replace")]
    assert last == ["fsync"] * 2 + ["replace"] * 2 + ["fsync"] * 2


def test_the_object_decides_which_of_two_shapes_is_right(tmp_path):
    right = REFS[0]
    for wrong in ((5, 6, 3), (30, 20, 3), (60, 30, 3)):  # shorter, as long, longer
        store = Store(tmp_path / str(wrong))
        other = ObjectRef(digest=right.digest, dtype="uint8", shape=wrong)
        refs = sorted((right, other), key=lambda ref: -ref.nbytes)
        data, held = IMAGES[0].tobytes(), 0
        while held < right.nbytes:
            piece = data[held : held + 90]
            held = store.write(refs[0], held, zlib.crc32(piece), piece, finish=False)
            if store.is_full(refs):
                outcome = store.finish([refs])[right.digest]
                assert outcome == (right if held == right.nbytes else None)
        assert np.array_equal(store.load(right), IMAGES[0])
