"""Jobs that failed by no fault of their own run again under their ids."""

from __future__ import annotations

import pytest
from scheduler_rig import PROBLEM, A, B, Rig

from backend import scheduler as module
from backend.executors.base import (
    Failed,
    Finished,
    Started,
    Stopped,
)
from protocol.jobs import JobError, Problem, Result


@pytest.fixture
def rig(tmp_path):
    one = Rig(tmp_path, "one")
    yield one
    one.journal.close()


DIED = Problem(code="worker_died", message="m", retryable=True)


def test_a_job_that_failed_by_no_fault_of_its_own_runs_again_under_its_id(rig):
    rig.queue(A)
    rig.scheduler.report("one", Failed(job=A, problem=DIED))
    assert rig.scheduler.requeue(A).state == "queued"
    assert rig.scheduler.requeue(A).state == "queued"  # again: no harm
    rig.tick()
    assert rig.executor.started == [("one", A)] * 2
    rig.scheduler.report("one", Started(job=A))
    rig.scheduler.report("one", Finished(job=A, result=Result()))
    assert rig.states(A) == [
        *("uploading", "queued", "starting", "failed"),
        *("queued", "starting", "running", "saving", "done"),
    ]
    assert [event.seq for event in rig.events(A)] == list(range(1, len(rig.events(A)) + 1))


def test_its_interruptions_are_counted_from_0_again(rig):
    rig.queue(A)
    for _ in range(module.MAX_ATTEMPTS + 1):
        rig.restart()
        rig.tick()
    assert rig.state(A) == "failed"
    assert rig.scheduler.requeue(A).attempts == 0


def test_a_requeued_job_waits_for_objects_that_were_deleted(rig):
    rig.queue(A)
    rig.scheduler.report("one", Failed(job=A, problem=DIED))
    rig.store.path(rig.spec.clip.frames[0].digest).unlink()
    assert rig.scheduler.requeue(A).state == "uploading"
    assert rig.scheduler.wanted(rig.spec.clip.frames[0].digest) == rig.spec.clip.frames


@pytest.mark.parametrize("how", ["fault", "cancelled", "done"])
def test_any_other_job_stays_as_it_ended(rig, how):
    rig.queue(A)
    reports = {
        "fault": Failed(job=A, problem=PROBLEM),
        "cancelled": Stopped(job=A),
        "done": Finished(job=A, result=Result()),
    }
    rig.scheduler.report("one", reports[how])
    before = rig.states(A)
    with pytest.raises(JobError) as why:
        rig.scheduler.requeue(A)
    assert why.value.problem.code == "not_requeueable"
    assert rig.states(A) == before
    with pytest.raises(JobError, match="does not know"):
        rig.scheduler.requeue(B)
