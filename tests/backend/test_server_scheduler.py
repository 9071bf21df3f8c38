"""The scheduler alone, on an executor that only records its orders."""

from __future__ import annotations

import zlib

import msgspec
import numpy as np
import pytest
from scheduler_rig import PROBLEM, A, B, C, Rig

from backend import scheduler as module
from backend.executors.base import (
    Failed,
    Finished,
    Gone,
    Note,
    Ready,
    Started,
    Step,
    Stopped,
    Unusable,
)
from backend.housekeeping import Policy
from protocol.jobs import JobError, Result, reference


@pytest.fixture
def rig(tmp_path):
    one = Rig(tmp_path, "one")
    yield one
    one.journal.close()


def test_jobs_wait_for_their_objects_and_their_turn(rig):
    rig.scheduler.submit(A, "owner", rig.spec)
    rig.tick()
    assert rig.state(A) == "uploading"
    digest = rig.spec.clip.frames[0].digest
    assert rig.scheduler.wanted(digest) == (rig.spec.clip.frames[0],)
    rig.store.save(rig.frame)
    rig.scheduler.arrived(rig.spec.clip.frames[0])
    assert rig.scheduler.wanted(digest) == ()
    rig.queue(B)
    assert rig.executor.started == [("one", A)]
    assert (rig.state(A), rig.state(B)) == ("starting", "queued")
    rig.scheduler.report("one", Started(job=A))
    rig.scheduler.report("one", Finished(job=A, result=Result()))
    rig.tick()
    assert rig.executor.started == [("one", A), ("one", B)]


def test_each_slot_takes_one_job(tmp_path):
    rig = Rig(tmp_path, "one", "two")
    rig.queue(A, B, C)
    assert rig.executor.started == [("one", A), ("two", B)]
    rig.scheduler.report("two", Failed(job=B, problem=PROBLEM))
    rig.tick()
    assert rig.executor.started[2:] == [("two", C)]
    rig.journal.close()


def test_a_slot_without_its_worker_takes_nothing(rig):
    rig.scheduler.report("one", Gone())
    rig.queue(A)
    assert rig.executor.started == []
    rig.scheduler.report("one", Ready(device="cpu", text="cpu"))
    rig.tick()
    assert rig.executor.started == [("one", A)]


def test_a_finished_result_wins_over_the_cancel(rig):
    rig.queue(A)
    rig.scheduler.report("one", Started(job=A))
    rig.scheduler.cancel(A)
    assert (rig.state(A), rig.executor.cancelled) == ("cancelling", [A])
    rig.scheduler.report("one", Finished(job=A, result=Result(numbers={"psnr": 1.0})))
    assert rig.states(A)[-3:] == ["cancelling", "saving", "done"]
    rig.scheduler.cancel(A)
    assert rig.state(A) == "done"


@pytest.mark.parametrize("report", [Stopped(job=A), Failed(job=A, problem=PROBLEM)])
def test_a_cancelled_job_ends_as_cancelled(rig, report):
    rig.queue(A)
    rig.scheduler.cancel(A)
    rig.scheduler.cancel(A)
    rig.scheduler.report("one", Started(job=A))
    assert rig.state(A) == "cancelling"
    rig.scheduler.report("one", report)
    assert rig.states(A)[-2:] == ["cancelling", "cancelled"]


def test_a_result_whose_pictures_are_lost_is_no_result(rig):
    rig.queue(A)
    lost = reference(np.zeros((4, 6, 4), np.uint8))
    rig.scheduler.report("one", Finished(job=A, result=Result(layer=(lost,))))
    assert rig.events(A)[-1].problem.code == "result_lost"


def test_parts_that_are_lost_are_no_result_either(rig):
    rig.queue(A)
    lost = reference(np.zeros((4, 6, 4), np.uint8))
    rig.scheduler.report("one", Finished(job=A, result=Result(parts={"background": (lost,)})))
    assert rig.events(A)[-1].problem.code == "result_lost"


def test_progress_is_written_at_most_twice_a_second_and_the_last_is_kept(rig, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    rig.queue(A)
    rig.scheduler.report("one", Started(job=A))
    for done in range(100):
        clock[0] += 0.05
        rig.scheduler.report("one", Step(job=A, phase="Editing", done=done, total=100))
        rig.scheduler.tick(clock[0])
    rig.scheduler.report("one", Step(job=A, phase="Rendering", done=0, total=5))
    progress = [event for event in rig.events(A) if event.kind == "progress"]
    editing = [event.done for event in progress if event.phase == "Editing"]
    assert 8 <= len(editing) <= 11
    assert editing == sorted(editing)
    assert progress[-1].phase == "Rendering"
    rig.scheduler.report("one", Step(job=A, phase="Rendering", done=3, total=5))
    rig.scheduler.report("one", Note(job=A, text="hello"))
    assert [(e.kind, e.done) for e in rig.events(A)[-2:]] == [("progress", 3), ("note", 0)]


def test_progress_that_was_held_back_is_written_by_a_later_tick(rig, monkeypatch):
    """The newest step of a worker that then falls silent is in the history."""
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    rig.queue(A)
    rig.scheduler.report("one", Started(job=A))
    for done in (1, 2, 3):
        rig.scheduler.report("one", Step(job=A, phase="Editing", done=done, total=10))
    rig.scheduler.tick(clock[0])
    assert [e.done for e in rig.events(A) if e.kind == "progress"] == [1]
    clock[0] += module.PROGRESS_INTERVAL
    rig.scheduler.tick(clock[0])
    rig.scheduler.tick(clock[0] + 10)
    assert [e.done for e in rig.events(A) if e.kind == "progress"] == [1, 3]


def test_reports_about_a_finished_job_are_ignored(rig):
    rig.queue(A)
    rig.scheduler.report("one", Failed(job=A, problem=PROBLEM))
    before = rig.events(A)
    for late in (Note(job=A, text="x"), Step(job=A, phase="p", done=1, total=2), Stopped(job=A)):
        rig.scheduler.report("one", late)
    rig.scheduler.report("one", Note(job=C, text="of nobody"))
    assert rig.events(A) == before


def test_an_interrupted_job_is_run_again_twice_then_given_up(rig):
    rig.queue(A)
    for _ in range(2):
        rig.scheduler.report("one", Started(job=A))
        rig.restart()
        assert rig.states(A)[-2:] == ["interrupted", "queued"]
        rig.tick()
        assert rig.executor.started == [("one", A)]
    rig.restart()
    assert rig.states(A)[-2:] == ["interrupted", "failed"]
    assert rig.events(A)[-1].problem.code == "interrupted_too_often"


def test_a_deliberate_stop_is_not_counted(rig):
    rig.queue(A)
    for _ in range(5):
        rig.scheduler.stop()
        assert rig.state(A) == "interrupted"
        rig.restart()
        rig.tick()
        assert rig.state(A) == "starting"
    assert rig.journal.job(A).attempts == 0


def test_a_cancel_is_kept_through_a_restart(rig):
    rig.queue(A)
    rig.scheduler.cancel(A)
    rig.restart()
    assert rig.states(A)[-2:] == ["cancelling", "cancelled"]


def test_an_upload_resumes_after_a_restart(rig):
    rig.scheduler.submit(A, "owner", rig.spec)
    rig.restart()
    assert rig.scheduler.wanted(rig.spec.clip.frames[0].digest) != ()
    rig.queue()
    rig.restart()
    rig.tick()
    assert rig.state(A) == "starting"


def test_lost_objects_are_requested_again(rig):
    rig.scheduler.report("one", Gone())
    rig.queue(A)
    assert rig.state(A) == "queued"
    rig.store.path(rig.spec.clip.frames[0].digest).unlink()
    job, new = rig.scheduler.submit(A, "owner", rig.spec)
    assert (job.state, new) == ("uploading", False)


def test_objects_lost_while_the_backend_was_down_are_requested_again(rig):
    rig.scheduler.report("one", Gone())
    rig.queue(A)
    rig.store.path(rig.spec.clip.frames[0].digest).unlink()
    rig.restart()
    rig.tick()
    assert rig.states(A)[-2:] == ["queued", "uploading"]
    assert rig.scheduler.wanted(rig.spec.clip.frames[0].digest) != ()


def test_only_finished_jobs_can_be_forgotten(rig):
    rig.queue(A)
    with pytest.raises(JobError) as why:
        rig.scheduler.forget(A)
    assert why.value.problem.code == "job_active"
    rig.scheduler.report("one", Failed(job=A, problem=PROBLEM))
    rig.scheduler.forget(A)
    rig.scheduler.forget(A)
    with pytest.raises(JobError):
        rig.scheduler.cancel(A)


def test_a_full_disk_loses_no_report(rig, monkeypatch):
    rig.queue(A)
    rig.scheduler.report("one", Started(job=A))
    result = rig.store.save(np.zeros((4, 6, 4), np.uint8))
    report = Finished(job=A, result=Result(layer=(result,)))

    def full(*_: object, **__: object) -> None:
        raise JobError("disk_full", "full")

    with monkeypatch.context() as patch:
        patch.setattr(rig.journal, "append", full)
        with pytest.raises(JobError):
            rig.scheduler.report("one", report)
    assert rig.state(A) == "running"
    rig.scheduler.report("one", report)
    assert rig.events(A)[-1].result.layer == (result,)


def test_inputs_of_unfinished_jobs_are_pinned(rig):
    rig.queue(A, B)
    rig.scheduler.report("one", Finished(job=A, result=Result()))
    assert rig.scheduler.pinned() == {rig.spec.clip.frames[0].digest}
    rig.scheduler.cancel(B)
    assert rig.scheduler.pinned() == set()


def test_a_cancel_deletes_what_was_uploaded_unless_another_job_waits_for_it(rig):
    ref = rig.spec.clip.frames[0]
    for job in (A, B):
        rig.scheduler.submit(job, "owner", rig.spec)
    piece = rig.frame.tobytes()[:9]
    rig.store.write(ref, 0, zlib.crc32(piece), piece)
    rig.scheduler.cancel(A)
    assert rig.store.held(ref) == 9
    rig.scheduler.cancel(B)
    assert rig.store.held(ref) == 0
    assert list(rig.store.folder.glob("*/*.part")) == []


def test_a_job_that_does_not_fit_on_the_disk_is_refused_before_it_begins(rig, monkeypatch):
    """Both jobs share a frame of 72 bytes; each has a layer of 96."""
    reserve = Policy().reserve_bytes
    monkeypatch.setattr(rig.housekeeping, "disk", lambda: (reserve + 250, 10 * reserve))
    rig.scheduler.submit(A, "owner", rig.spec)
    rig.scheduler.submit(A, "owner", rig.spec)
    other = msgspec.structs.replace(rig.spec, prompt=("y",))
    for _ in range(2):
        with pytest.raises(JobError) as why:
            rig.scheduler.submit(B, "owner", other)
        assert (why.value.problem.code, why.value.problem.retryable) == ("disk_full", True)
    assert rig.journal.find(B) is None
    rig.scheduler.cancel(A)
    rig.scheduler.submit(B, "owner", other)


def test_a_worker_that_cannot_be_started_is_remembered(rig):
    rig.scheduler.report("one", Unusable(problem=PROBLEM))
    assert rig.scheduler.unusable == PROBLEM
