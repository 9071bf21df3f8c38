"""What is kept has an age and a cap that act while the server runs, and a forgotten job frees."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from backend import housekeeping
from backend.housekeeping import Housekeeping, Policy, sweep_folders
from backend.journal import Journal
from backend.store import Store
from protocol.jobs import Clip, EditJob, Event, JobError, ObjectRef, Result

DAY = 24 * 3600.0


class House:
    """A data folder with a journal and a store."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.store = Store(data / "objects")
        self.journal = Journal(data / "journal.sqlite")
        self.made = 0

    def keeper(self, **policy: float) -> Housekeeping:
        policy = {"reserve_bytes": 0, **policy}
        return Housekeeping(self.data, self.store, self.journal, Policy(**policy))

    def image(self, days: float = 0.0) -> ObjectRef:
        """A new object, last used so many days ago."""
        self.made += 1
        ref = self.store.save(np.full((10, 10, 4), self.made, np.uint8))
        used = time.time() - days * DAY
        os.utime(self.store.path(ref.digest), (used, used))
        return ref

    def done(self, job: str, frame: ObjectRef, layer: ObjectRef) -> None:
        spec = EditJob(clip=Clip(frames=(frame,)), prompt=("x",))
        self.journal.add(job, "", spec, "queued")
        end = Event(seq=0, at=0.0, kind="state", state="done", result=Result(layer=(layer,)))
        self.journal.append(job, end)

    def forget(self, keeper: Housekeeping, job: str) -> None:
        digests = self.journal.digests(job)
        self.journal.forget(job)
        keeper.release(digests)

    def atlas(self, name: str, days: float) -> Path:
        folder = self.data / "atlases" / name
        folder.mkdir(parents=True)
        (folder / "image").write_bytes(b"x" * 100)
        used = time.time() - days * DAY
        os.utime(folder, (used, used))
        return folder


@pytest.fixture
def house(tmp_path):
    one = House(tmp_path)
    yield one
    one.journal.close()


def turn(keeper: Housekeeping, count: int = 4, since: float | None = None) -> None:
    for _ in range(count):
        keeper.tick(time.monotonic(), set, since)
        if keeper._thread is not None:
            keeper._thread.join()


def test_a_forgotten_job_frees_what_no_other_job_names(house, monkeypatch):
    monkeypatch.setattr(housekeeping, "_SCANNED", 1)
    frame, first, second, common = (house.image(1) for _ in range(4))
    house.done("a", frame, first)
    house.done("b", frame, second)
    house.done("c", common, common)
    house.done("d", common, common)
    keeper = house.keeper()
    for job in ("a", "c"):
        house.forget(keeper, job)
    turn(keeper, 8)
    held = [house.store.has(ref) for ref in (frame, first, second, common)]
    assert held == [True, False, True, True]
    house.forget(keeper, "b")
    turn(keeper, 8)
    assert [house.store.has(ref) for ref in (frame, second, common)] == [False, False, True]


def test_a_forgotten_job_takes_nothing_from_unfinished_and_running_ones(house):
    frame, layer = house.image(1), house.image(0)
    house.done("a", frame, layer)
    keeper = house.keeper()
    house.forget(keeper, "a")
    for _ in range(4):
        keeper.tick(time.monotonic(), lambda: {frame.digest}, time.time() - 100)
    assert [house.store.has(frame), house.store.has(layer)] == [True, True]


def test_age_and_cap_act_while_the_server_runs(house):
    old, used, new = house.image(31), house.image(20), house.image(0)
    atlases = [house.atlas("old", 31), house.atlas("used", 2), house.atlas("new", 1)]
    keeper = house.keeper(atlas_bytes=150)
    turn(keeper)
    assert [house.store.has(ref) for ref in (old, used, new)] == [False, True, True]
    assert [folder.exists() for folder in atlases] == [False, False, True]
    turn(house.keeper(cache_bytes=old.nbytes))
    assert [house.store.has(ref) for ref in (used, new)] == [False, True]


def test_a_job_that_runs_keeps_what_was_used_since_it_began(house):
    objects = [house.image(2), house.image(0.5)]
    folders = [house.atlas("before", 2), house.atlas("since", 0.5)]
    turn(house.keeper(cache_bytes=0, atlas_bytes=0), since=time.time() - DAY)
    assert [house.store.has(ref) for ref in objects] == [False, True]
    assert [folder.exists() for folder in folders] == [False, True]


def test_a_clock_that_was_set_ages_nothing(house, monkeypatch):
    ref = house.image(1)
    keeper = house.keeper()
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + 3650 * DAY)
    turn(keeper)
    assert house.store.has(ref)


def test_a_nearly_full_disk_frees_the_oldest(house, monkeypatch):
    old, new = house.image(2), house.image(1)
    keeper = house.keeper(reserve_bytes=1000)
    monkeypatch.setattr(keeper, "disk", lambda: (2000 - old.nbytes, 10**6))
    turn(keeper, 1)
    assert [house.store.has(ref) for ref in (old, new)] == [False, True]


def test_work_that_does_not_fit_is_refused_with_the_numbers(house, monkeypatch):
    keeper = house.keeper(reserve_bytes=2 * 2**30)
    monkeypatch.setattr(keeper, "disk", lambda: (5 * 2**30, 10 * 2**30))
    keeper.check_space(3 * 2**30)
    with pytest.raises(JobError) as why:
        keeper.check_space(3 * 2**30 + 1)
    problem = why.value.problem
    assert (problem.code, problem.retryable) == ("disk_full", True)
    assert "5.0 GiB are free" in problem.message
    monkeypatch.setattr(keeper, "disk", lambda: (0, 0))  # unknown
    keeper.check_space(2**40)


@pytest.mark.skipif(os.name != "posix", reason="symbolic links")
def test_links_among_the_atlases_are_not_followed(house, tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_bytes(b"x")
    folder = house.atlas("real", 1).parent
    (folder / "link").symlink_to(victim)
    assert sweep_folders(folder, 0, older=0.0, newest=time.time()) == 100
    assert (victim / "file").exists()
    assert (folder / "link").is_symlink()
