"""The session with a fake client: every event, in any order."""

from __future__ import annotations

import numpy as np
import pytest
from studio import CONNECTION, REASON, Studio, layers_of

from backend.progress import EDIT_PHASE
from blender_addon.core import jobs as phases
from blender_addon.core import png
from blender_addon.core.delivery import read_record
from protocol.client import (
    BackendStatus,
    ConnectionChanged,
    JobAccepted,
    JobEvent,
    JobList,
    RequestFailed,
    Uploading,
)
from protocol.jobs import Event, Problem, Result, reference
from protocol.messages import JobInfo


def test_the_panel_shows_the_state_of_the_connection(studio: Studio) -> None:
    assert studio.session.status.state == "off"
    studio.session.connect(CONNECTION)
    assert studio.session.status.line == "Connecting to 127.0.0.1:5599"
    studio.say(ConnectionChanged("ready", device="cuda:0", model="demo"))
    assert studio.session.status.line == "Connected to 127.0.0.1:5599"
    assert studio.session.status.backend == "cuda:0, demo"
    studio.say(ConnectionChanged("lost", REASON))
    assert studio.session.status.line == "No answer, still trying"
    assert studio.session.status.problem == REASON
    studio.session.disconnect()
    assert not studio.client.running
    assert studio.session.status.line == "Not connected"


def test_a_job_walks_through_its_phases(studio: Studio) -> None:
    studio.begin()
    assert ("submit", "j1") in studio.client.asked
    studio.say(Uploading("j1", 1_000_000, 4_200_000))
    assert studio.job.status_text() == "Sending frames, 1.0 of 4.2 MB"
    studio.say(JobAccepted("j1", True, "uploading"))
    studio.tell(state="queued")
    assert studio.job.status_text() == "Waiting for its turn"
    studio.tell(state="starting")
    assert studio.job.status_text() == "Starting"
    studio.tell(kind="progress", phase="fitting the atlas", done=40, total=100, eta_s=130.0)
    assert studio.job.status_text() == "Fitting the atlas 40/100"
    assert studio.job.eta_text() == "2 min left"
    studio.tell(kind="progress", phase=EDIT_PHASE, done=49, total=100)
    assert studio.job.status_text() == "Painting the layer, step 49 of 100"
    studio.tell(kind="note", text="No mask was given.")
    assert studio.job.note == "No mask was given."
    layers = layers_of(3)
    studio.deliver(layers)
    assert studio.job.phase == phases.PLACING
    assert studio.job.layer_size == (6, 4)
    for path, layer in zip(studio.job.files, layers, strict=True):
        assert np.array_equal(png.read(path), layer)
    assert read_record(studio.job.folder)["anchor"]["strip_uid"] == "u"
    assert not studio.frames.folder.exists()


def test_a_failed_job_says_why(studio: Studio) -> None:
    studio.begin()
    studio.tell(state="failed", problem=REASON)
    assert (studio.job.phase, studio.job.problem) == (phases.FAILED, REASON)
    assert not studio.frames.folder.exists()


def test_a_failure_without_a_reason_is_reported_too(studio: Studio) -> None:
    studio.begin()
    studio.tell(state="failed")
    assert studio.job.problem is not None
    assert "no reason" in studio.job.problem.message


@pytest.mark.parametrize("what", ["submit", "attach", "fetch"])
def test_a_refused_request_fails_its_job(studio: Studio, what: str) -> None:
    studio.begin()
    if what == "fetch":
        studio.say(RequestFailed(what, None, REASON, tag=("j1", "digest")))
    else:
        studio.say(RequestFailed(what, "j1", REASON))
    assert (studio.job.phase, studio.job.problem) == (phases.FAILED, REASON)


def test_an_upload_that_is_tried_again_does_not_fail_the_job(studio: Studio) -> None:
    studio.begin()
    studio.say(
        RequestFailed("upload", "j1", Problem(code="full", message="Disk full.", retryable=True))
    )
    assert studio.job.phase == phases.SENDING
    assert studio.job.note == "Disk full."
    studio.say(RequestFailed("upload", "j1", REASON))
    assert studio.job.phase == phases.FAILED


def test_cancel_waits_for_the_backend(studio: Studio) -> None:
    studio.begin()
    studio.say(JobAccepted("j1", True, "queued"))
    studio.session.cancel(studio.job)
    assert studio.client.asked[-1] == ("cancel", "j1")
    assert studio.job.status_text() == "Cancelling"
    studio.tell(state="cancelled")
    assert studio.job.phase == phases.CANCELLED


def test_cancel_of_a_job_the_backend_never_saw_ends_at_once(studio: Studio) -> None:
    studio.session.connect(CONNECTION)
    studio.session.submit(studio.job, studio.spec, studio.frames)
    studio.session.cancel(studio.job)
    assert studio.job.phase == phases.CANCELLED
    assert not studio.frames.folder.exists()


def test_cancel_while_disconnected_is_sent_at_the_next_connect(studio: Studio) -> None:
    studio.begin()
    studio.say(JobAccepted("j1", True, "queued"))
    studio.session.disconnect()
    studio.session.cancel(studio.job)
    assert not studio.job.ended
    studio.session.connect(CONNECTION)
    assert studio.client.asked == [("submit", "j1"), ("cancel", "j1")]


def test_a_cancel_the_backend_refuses_is_taken_back(studio: Studio) -> None:
    studio.begin()
    studio.say(JobAccepted("j1", True, "queued"))
    studio.session.cancel(studio.job)
    studio.say(RequestFailed("cancel", "j1", REASON))
    assert not studio.job.cancelling
    assert studio.job.note == "It broke."


def test_cancelling_wins_over_an_incomplete_result(studio: Studio) -> None:
    studio.begin()
    refs = tuple(reference(layer) for layer in layers_of(2))
    studio.tell(state="done", result=Result(layer=refs))
    studio.session.cancel(studio.job)
    assert studio.job.phase == phases.CANCELLED


def test_old_and_foreign_events_change_nothing(studio: Studio) -> None:
    studio.begin()
    studio.say(JobEvent("unknown", Event(seq=1, at=0.0, kind="state", state="failed")))
    studio.tell(kind="progress", phase="fitting", done=5, total=10)
    old = Event(seq=1, at=0.0, kind="progress", state="running", phase="fitting", done=1, total=10)
    studio.say(JobEvent("j1", old))
    assert studio.job.done == 5


def test_a_backend_that_forgot_the_job_starts_its_events_again(studio: Studio) -> None:
    studio.begin()
    studio.tell(kind="progress", phase="fitting", done=5, total=10)
    studio.say(JobAccepted("j1", True, "queued"))
    first = Event(
        seq=1, at=0.0, kind="progress", state="running", phase="fitting", done=1, total=10
    )
    studio.say(JobEvent("j1", first))
    assert studio.job.done == 1


def test_a_job_of_an_earlier_session_is_followed(studio: Studio) -> None:
    studio.session.attach(studio.job)
    studio.session.connect(CONNECTION)
    assert studio.client.asked == [("attach", "j1", 0)]
    studio.tell(kind="progress", phase="fitting", done=5, total=10)
    assert studio.job.status_text() == "Fitting 5/10"


def test_drain_keeps_to_its_budget(studio: Studio) -> None:
    studio.begin()
    for seq in range(1, 20001):
        event = Event(
            seq=seq, at=0.0, kind="progress", state="running", phase="p", done=seq, total=1
        )
        studio.client.events.put(JobEvent("j1", event))
    studio.session.drain(0.001)
    assert studio.job.done < 20000
    while studio.session.drain(0.05):
        pass
    assert studio.job.done == 20000


def test_the_queue_length_survives_other_events(studio: Studio) -> None:
    studio.begin()
    studio.say(BackendStatus(3, 5, 9, 7, 8))
    studio.say(ConnectionChanged("ready", device="cpu"))
    view = studio.session.status
    assert (view.jobs, view.free_bytes, view.total_bytes, view.device) == (3, 5, 9, "cpu")
    assert (view.disk_free, view.disk_total) == (7, 8)
    studio.session.disconnect()
    assert studio.session.status.total_bytes == 0


def test_jobs_from_elsewhere_are_listed(studio: Studio) -> None:
    studio.begin()
    studio.say(BackendStatus(1))
    assert ("list",) not in studio.client.asked  # that one is ours
    studio.say(BackendStatus(4))
    assert studio.client.asked[-1] == ("list",)
    infos = [("j9", "queued", ""), ("j8", "running", "a boat"), ("j7", "done", "x"), ("j1",) * 3]
    listed = tuple(
        JobInfo(job=job, kind="atlas", state=state, created=0.0, seq=1, title=title)
        for job, state, title in infos
    )
    studio.say(JobList(listed))
    assert studio.session.status.others == ("a boat (running)", "atlas (waiting)")
    studio.say(BackendStatus(1))
    assert studio.session.status.others == ()


def test_a_connection_that_was_not_attempted_shows_why(studio: Studio) -> None:
    studio.begin()
    studio.session.refuse(REASON)
    assert not studio.session.connected
    assert (studio.session.status.state, studio.session.status.problem) == ("off", REASON)


def test_a_removed_job_is_forgotten_everywhere(studio: Studio) -> None:
    studio.begin()
    studio.tell(state="failed", problem=REASON)
    studio.session.remove(studio.job)
    assert studio.session.jobs == {}
    assert studio.client.asked[-1] == ("forget", "j1")
    studio.say(RequestFailed("forget", "j1", REASON))


def test_a_job_that_failed_by_no_fault_of_its_own_is_resumed_by_the_backend(studio: Studio) -> None:
    died = Problem(code="worker_died", message="m", retryable=True)
    studio.begin()
    studio.say(JobAccepted("j1", True, "uploading"))
    assert not studio.session.can_resume(studio.job)  # it runs
    studio.tell(state="failed", problem=died)
    assert studio.session.can_resume(studio.job)
    studio.session.resume(studio.job)
    assert ("requeue", "j1", 1) in studio.client.asked
    studio.say(JobAccepted("j1", False, "queued"))
    studio.tell(state="queued")
    assert (studio.job.phase, studio.job.problem) == (phases.WAITING, None)
    studio.deliver(layers_of(3))
    assert studio.job.phase == phases.PLACING


def test_a_job_whose_frames_are_gone_is_not_resumed(studio: Studio) -> None:
    studio.begin()
    studio.say(JobAccepted("j1", True, "uploading"))
    studio.tell(state="failed", problem=Problem(code="c", message="m", retryable=True))
    studio.session.resume(studio.job)
    studio.say(RequestFailed("requeue", "j1", REASON))
    assert (studio.job.phase, studio.job.problem) == (phases.FAILED, REASON)
    studio.tell(state="failed", problem=REASON)
    assert not studio.session.can_resume(studio.job)
    studio.session.disconnect()


def test_a_fault_of_the_job_itself_cannot_be_resumed(studio: Studio) -> None:
    studio.begin()
    studio.say(JobAccepted("j1", True, "uploading"))
    studio.tell(state="failed", problem=Problem(code="no_foreground", message="m"))
    assert not studio.session.can_resume(studio.job)
