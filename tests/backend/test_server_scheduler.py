"""The scheduler alone, on an executor that does what the test says."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from backend import scheduler as module
from backend.executors.base import (
    Failed,
    Finished,
    Gone,
    Note,
    Ready,
    Sink,
    Started,
    Step,
    Stopped,
    Unusable,
)
from backend.journal import Journal
from backend.scheduler import Scheduler
from backend.store import Store
from protocol.jobs import Clip, EditJob, Event, JobError, JobSpec, Problem, Result, reference

IDS = [f"{n:032x}" for n in range(1, 9)]
PROBLEM = Problem(code="c", message="m")


class Script:
    """An Executor that only takes notes."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.started: list[tuple[str, str]] = []
        self.cancelled: list[str] = []

    def open(self, sink: Sink) -> None:
        raise AssertionError("the scheduler does not open its executor")

    def slots(self) -> list[str]:
        return list(self.names)

    def start(self, slot: str, job: str, spec: JobSpec) -> None:
        self.started.append((slot, job))

    def cancel(self, job: str, grace_s: float = 5.0) -> None:
        self.cancelled.append(job)

    def tick(self, now: float) -> None:
        pass

    def close(self) -> None:
        pass


class House:
    """A data folder with journal and store, and a scheduler that can be made anew."""

    def __init__(self, data: Path, *slots: str) -> None:
        self.store = Store(data / "objects")
        self.journal = Journal(data / "journal.sqlite")
        self.frame = np.full((4, 6, 3), 7, np.uint8)
        self.spec = EditJob(clip=Clip(frames=(reference(self.frame),)), prompt=("x",))
        self.slots = slots
        self.restart()

    def restart(self, *, ready: bool = True) -> None:
        self.executor = Script(*self.slots)
        self.scheduler = Scheduler(self.journal, self.store, self.executor, lambda job: None)
        if ready:
            for slot in self.slots:
                self.scheduler.report(slot, Ready(device="cpu", text="cpu"))

    def tick(self) -> None:
        self.scheduler.tick(time.monotonic())

    def queue(self, *jobs: str) -> None:
        self.store.save(self.frame)
        for job in jobs:
            self.scheduler.submit(job, "owner", self.spec)
        self.tick()

    def state(self, job: str) -> str:
        return self.journal.job(job).state

    def events(self, job: str) -> list[Event]:
        rows = self.journal.events(job, 0, 1000)
        return [msgspec.msgpack.decode(body, type=Event) for _, body in rows]

    def states(self, job: str) -> list[str]:
        return [event.state for event in self.events(job) if event.kind == "state"]


@pytest.fixture
def house(tmp_path):
    one = House(tmp_path, "one")
    yield one
    one.journal.close()


A, B, C = IDS[:3]


def test_jobs_wait_for_their_objects_and_their_turn(house):
    house.scheduler.submit(A, "owner", house.spec)
    house.tick()
    assert house.state(A) == "uploading"
    digest = house.spec.clip.frames[0].digest
    assert house.scheduler.wanted(digest) == house.spec.clip.frames[0]
    house.store.save(house.frame)
    house.scheduler.arrived(digest)
    assert house.scheduler.wanted(digest) is None
    house.queue(B)
    assert house.executor.started == [("one", A)]
    assert (house.state(A), house.state(B)) == ("starting", "queued")
    house.scheduler.report("one", Started(job=A))
    house.scheduler.report("one", Finished(job=A, result=Result()))
    house.tick()
    assert house.executor.started == [("one", A), ("one", B)]


def test_each_slot_takes_one_job(tmp_path):
    house = House(tmp_path, "one", "two")
    house.queue(A, B, C)
    assert house.executor.started == [("one", A), ("two", B)]
    house.scheduler.report("two", Failed(job=B, problem=PROBLEM))
    house.tick()
    assert house.executor.started[2:] == [("two", C)]
    house.journal.close()


def test_a_slot_without_its_worker_takes_nothing(house):
    house.scheduler.report("one", Gone())
    house.queue(A)
    assert house.executor.started == []
    house.scheduler.report("one", Ready(device="cpu", text="cpu"))
    house.tick()
    assert house.executor.started == [("one", A)]


def test_a_finished_result_wins_over_the_cancel(house):
    house.queue(A)
    house.scheduler.report("one", Started(job=A))
    house.scheduler.cancel(A)
    assert (house.state(A), house.executor.cancelled) == ("cancelling", [A])
    house.scheduler.report("one", Finished(job=A, result=Result(numbers={"psnr": 1.0})))
    assert house.states(A)[-3:] == ["cancelling", "saving", "done"]
    house.scheduler.cancel(A)
    assert house.state(A) == "done"


@pytest.mark.parametrize("report", [Stopped(job=A), Failed(job=A, problem=PROBLEM)])
def test_a_cancelled_job_ends_as_cancelled(house, report):
    house.queue(A)
    house.scheduler.cancel(A)
    house.scheduler.cancel(A)
    house.scheduler.report("one", Started(job=A))
    assert house.state(A) == "cancelling"
    house.scheduler.report("one", report)
    assert house.states(A)[-2:] == ["cancelling", "cancelled"]


def test_a_result_whose_pictures_are_lost_is_no_result(house):
    house.queue(A)
    lost = reference(np.zeros((4, 6, 4), np.uint8))
    house.scheduler.report("one", Finished(job=A, result=Result(layer=(lost,))))
    assert house.events(A)[-1].problem.code == "result_lost"


def test_parts_that_are_lost_are_no_result_either(house):
    house.queue(A)
    lost = reference(np.zeros((4, 6, 4), np.uint8))
    house.scheduler.report("one", Finished(job=A, result=Result(parts={"background": (lost,)})))
    assert house.events(A)[-1].problem.code == "result_lost"


def test_progress_is_written_at_most_twice_a_second_and_the_last_is_kept(house, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    house.queue(A)
    house.scheduler.report("one", Started(job=A))
    for done in range(100):
        clock[0] += 0.05
        house.scheduler.report("one", Step(job=A, phase="Editing", done=done, total=100))
        house.scheduler.tick(clock[0])
    house.scheduler.report("one", Step(job=A, phase="Rendering", done=0, total=5))
    progress = [event for event in house.events(A) if event.kind == "progress"]
    editing = [event.done for event in progress if event.phase == "Editing"]
    assert 8 <= len(editing) <= 11
    assert editing == sorted(editing)
    assert progress[-1].phase == "Rendering"
    house.scheduler.report("one", Step(job=A, phase="Rendering", done=3, total=5))
    house.scheduler.report("one", Note(job=A, text="hello"))
    assert [(e.kind, e.done) for e in house.events(A)[-2:]] == [("progress", 3), ("note", 0)]


def test_progress_that_was_held_back_is_written_when_its_time_comes(house, monkeypatch):
    """A worker that says nothing more for a while leaves its newest step in the history."""
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    house.queue(A)
    house.scheduler.report("one", Started(job=A))
    for done in (1, 2, 3):
        house.scheduler.report("one", Step(job=A, phase="Editing", done=done, total=10))
    house.scheduler.tick(clock[0])
    assert [e.done for e in house.events(A) if e.kind == "progress"] == [1]
    clock[0] += module.PROGRESS_INTERVAL
    house.scheduler.tick(clock[0])
    house.scheduler.tick(clock[0] + 10)
    assert [e.done for e in house.events(A) if e.kind == "progress"] == [1, 3]


def test_words_about_a_finished_job_are_ignored(house):
    house.queue(A)
    house.scheduler.report("one", Failed(job=A, problem=PROBLEM))
    before = house.events(A)
    for late in (Note(job=A, text="x"), Step(job=A, phase="p", done=1, total=2), Stopped(job=A)):
        house.scheduler.report("one", late)
    house.scheduler.report("one", Note(job=C, text="of nobody"))
    assert house.events(A) == before


def test_an_interrupted_job_is_run_again_twice_then_given_up(house):
    house.queue(A)
    for _ in range(2):
        house.scheduler.report("one", Started(job=A))
        house.restart()
        assert house.states(A)[-2:] == ["interrupted", "queued"]
        house.tick()
        assert house.executor.started == [("one", A)]
    house.restart()
    assert house.states(A)[-2:] == ["interrupted", "failed"]
    assert house.events(A)[-1].problem.code == "interrupted_too_often"


def test_a_stop_on_purpose_is_not_held_against_a_job(house):
    house.queue(A)
    for _ in range(5):
        house.scheduler.stop()
        assert house.state(A) == "interrupted"
        house.restart()
        house.tick()
        assert house.state(A) == "starting"
    assert house.journal.job(A).attempts == 0


def test_a_cancel_is_kept_through_a_restart(house):
    house.queue(A)
    house.scheduler.cancel(A)
    house.restart()
    assert house.states(A)[-2:] == ["cancelling", "cancelled"]


def test_an_upload_goes_on_after_a_restart(house):
    house.scheduler.submit(A, "owner", house.spec)
    house.restart()
    assert house.scheduler.wanted(house.spec.clip.frames[0].digest) is not None
    house.queue()
    house.restart()
    house.tick()
    assert house.state(A) == "starting"


def test_objects_that_were_lost_are_asked_for_again(house):
    house.scheduler.report("one", Gone())
    house.queue(A)
    assert house.state(A) == "queued"
    house.store.path(house.spec.clip.frames[0].digest).unlink()
    job, new = house.scheduler.submit(A, "owner", house.spec)
    assert (job.state, new) == ("uploading", False)


def test_objects_that_were_lost_while_it_was_down_are_asked_for_again(house):
    house.scheduler.report("one", Gone())
    house.queue(A)
    house.store.path(house.spec.clip.frames[0].digest).unlink()
    house.restart()
    house.tick()
    assert house.states(A)[-2:] == ["queued", "uploading"]
    assert house.scheduler.wanted(house.spec.clip.frames[0].digest) is not None


def test_forgetting_is_for_finished_jobs(house):
    house.queue(A)
    with pytest.raises(JobError) as why:
        house.scheduler.forget(A)
    assert why.value.problem.code == "job_active"
    house.scheduler.report("one", Failed(job=A, problem=PROBLEM))
    house.scheduler.forget(A)
    house.scheduler.forget(A)
    with pytest.raises(JobError):
        house.scheduler.cancel(A)


def test_a_full_disk_loses_no_report(house, monkeypatch):
    house.queue(A)
    house.scheduler.report("one", Started(job=A))
    result = house.store.save(np.zeros((4, 6, 4), np.uint8))
    report = Finished(job=A, result=Result(layer=(result,)))

    def full(*_: object, **__: object) -> None:
        raise JobError("disk_full", "full")

    with monkeypatch.context() as patch:
        patch.setattr(house.journal, "append", full)
        with pytest.raises(JobError):
            house.scheduler.report("one", report)
    assert house.state(A) == "running"
    house.scheduler.report("one", report)
    assert house.events(A)[-1].result.layer == (result,)


def test_inputs_of_unfinished_jobs_and_results_are_pinned(house):
    house.queue(A, B)
    layer = house.store.save(np.zeros((4, 6, 4), np.uint8))
    frame = house.spec.clip.frames[0].digest
    part = house.store.save(np.ones((4, 6, 4), np.uint8))
    result = Result(layer=(layer,), parts={"background": (part,)})
    house.scheduler.report("one", Finished(job=A, result=result))
    assert house.scheduler.pinned() == {frame, layer.digest, part.digest}
    house.scheduler.cancel(B)
    assert house.scheduler.pinned() == {layer.digest, part.digest}


def test_a_worker_that_cannot_be_started_is_remembered(house):
    house.scheduler.report("one", Unusable(problem=PROBLEM))
    assert house.scheduler.unusable == PROBLEM
