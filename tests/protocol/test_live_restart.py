"""Anything can die during a job: its history has no gaps, and its result arrives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from serve_and_die import SPOTS
from serving import ROOT, Backend, Diary

from backend.journal import Journal
from protocol.client import (
    Client,
    ConnectionChanged,
    JobEvent,
    RequestFailed,
    Uploading,
    new_job_id,
)
from protocol.jobs import Event, JobError, Result

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")


def gap_free(diary: Diary, job: str) -> None:
    seqs = [event.seq for event in diary.history(job)]
    assert seqs == list(range(1, len(seqs) + 1))


def gone(pid: int, within: float = 5.0) -> bool:
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_the_server_is_killed_in_the_middle_of_a_job(backend, shot, connect):
    one = backend("die")
    made, job = shot(), new_job_id()
    diary = connect(one.connection)
    diary.client.submit(job, made.edit(), made.source)
    diary.until_state(job, "running")
    one.wait_for_end()
    assert one.process.returncode == -signal.SIGKILL
    one.start()
    result = diary.until_state(job, "done").result
    assert len(result.layer) == 3
    gap_free(diary, job)
    states = [event.state for event in diary.history(job) if event.kind == "state"]
    assert states == [
        *("uploading", "queued", "starting", "running", "interrupted"),
        *("queued", "starting", "running", "saving", "done"),
    ]
    layer = diary.client.fetch_all(result.layer, timeout=30)
    assert layer[0].shape == (24, 32, 4)
    fresh = connect(one.connection)
    fresh.client.attach(job)
    fresh.until_state(job, "done")
    assert [e.seq for e in fresh.history(job)] == [e.seq for e in diary.history(job)]


@pytest.mark.slow
def test_a_blocking_call_reports_the_loss_and_the_return(backend, shot):
    one = backend("stall")
    made, seen = shot(), []

    def listen(event):
        seen.append(event)
        if getattr(event, "event", None) and event.event.kind == "preview" and one.kind != "ok":
            one.kind = "ok"
            one.kill()
            one.start("ok")

    with Client(one.connection) as client:
        client.run(new_job_id(), made.edit(), made.source, on_event=listen, timeout=60)
        news = client.events.get(timeout=10)
    states = [event.state for event in seen if isinstance(event, ConnectionChanged)]
    assert states[-2:] == ["lost", "ready"]
    assert isinstance(news, ConnectionChanged)  # the queue's readers hear of the link as well


@pytest.mark.slow
def test_the_server_is_killed_in_the_middle_of_an_upload(backend, shot, connect):
    one = backend("ok")
    made, job = shot(4, 1000, 1400), new_job_id()
    diary = connect(one.connection)
    diary.client.submit(job, made.edit(), made.source)
    diary.until(lambda event: isinstance(event, Uploading) and event.sent > 0)
    one.kill()
    one.start()
    result = diary.until_state(job, "done").result
    assert len(result.layer) == 4
    gap_free(diary, job)
    counts = [event.sent for event in diary.events if isinstance(event, Uploading)]
    assert min(counts[1:]) > 0  # what had arrived was not sent again


@pytest.mark.slow
def test_a_kill_at_each_write_of_an_upload_leaves_one_that_ends(backend, shot, connect):
    one = backend("ok")
    diary = connect(one.connection)
    one.stop()
    jobs = {spot: new_job_id() for spot in SPOTS}
    for spot, job in jobs.items():
        made = shot(2, 400, 300)
        diary.client.submit(job, made.edit(), made.source)
        options = ("--mock", "ok", "--data", str(one.data), "--listen", f"127.0.0.1:{one.port}")
        command = (sys.executable, str(ROOT / "tests/protocol/serve_and_die.py"), spot, *options)
        died = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60, check=False
        )
        assert died.returncode == -signal.SIGKILL
    one.start()
    for job in jobs.values():
        ended = [event for event in diary.history(job) if event.state == "done"]
        result = (ended or [diary.until_state(job, "done")])[0].result
        assert len(result.layer) == 2
        gap_free(diary, job)
    assert not list(one.data.glob("objects/*/*.part"))


@pytest.mark.slow
def test_after_a_clean_stop_the_job_runs_at_the_next_start(backend, shot, connect):
    one = backend("stall")
    made, job = shot(), new_job_id()
    diary = connect(one.connection)
    diary.client.submit(job, made.edit(), made.source)
    for _ in range(4):  # a stop on purpose is never held against the job
        diary.until_state(job, "running")
        assert one.stop() == 0
        assert not (one.data / "connection.json").exists()
        one.start()
    one.stop()
    one.start("ok")
    diary.until_state(job, "done")
    gap_free(diary, job)


@pytest.mark.slow
def test_a_job_that_kills_the_server_again_and_again_is_given_up(backend, shot, connect):
    one = backend("stall")
    made, job = shot(), new_job_id()
    diary = connect(one.connection)
    diary.client.submit(job, made.edit(), made.source)
    for _ in range(3):
        diary.until_state(job, "running")
        one.kill()
        one.start()
    failed = diary.until_state(job, "failed")
    assert failed.problem.code == "interrupted_too_often"
    gap_free(diary, job)


@pytest.mark.slow
def test_a_worker_that_dies_fails_its_job_alone(backend, shot, connect):
    one = backend("crash")
    made, first, second = shot(), new_job_id(), new_job_id()
    diary = connect(one.connection)
    diary.client.submit(first, made.edit("one"), made.source)
    diary.client.submit(second, made.edit("two"), made.source)
    problem = diary.until_state(first, "failed").problem
    assert problem.code == "worker_died"
    assert "exit code 13" in problem.message
    assert "the stand-in ends its own process" in problem.message
    diary.until_state(second, "done")
    assert diary.client.connection.state == "ready"
    diary.client.requeue(first, diary.history(first)[-1].seq)
    diary.until_state(first, "done")
    gap_free(diary, first)
    diary.client.requeue(first)
    assert diary.until_kind(RequestFailed).problem.code == "not_requeueable"


@pytest.mark.slow
def test_a_worker_that_is_killed_fails_its_job_alone(backend, shot, connect):
    one = backend("stall")
    made, job = shot(), new_job_id()
    diary = connect(one.connection)
    diary.client.submit(job, made.edit(), made.source)
    diary.until_state(job, "running")
    (worker,) = one.workers()
    os.kill(worker, signal.SIGKILL)
    assert "SIGKILL" in diary.until_state(job, "failed").problem.message
    diary.client.submit(other := new_job_id(), made.edit("two"), made.source)
    diary.until_state(other, "running")


@pytest.mark.slow
def test_the_same_worker_takes_one_job_after_another(backend, shot, connect):
    one = backend("ok")
    made = shot()
    before = one.workers()
    with Client(one.connection) as client:
        for prompt in ("one", "two"):
            client.run(new_job_id(), made.edit(prompt), made.source, timeout=60)
    assert one.workers() == before


@pytest.mark.slow
def test_a_worker_that_ignores_the_cancel_is_killed(backend, shot, connect):
    one = backend("deaf")
    made, job = shot(), new_job_id()
    diary = connect(one.connection)
    diary.client.submit(job, made.edit(), made.source)
    diary.until(lambda event: getattr(event, "event", None) and event.event.kind == "preview")
    diary.client.cancel(job)
    diary.until_state(job, "cancelling")
    diary.until_state(job, "cancelled")
    diary.client.submit(other := new_job_id(), made.edit("two"), made.source)
    diary.until_state(other, "running")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fail", "bug", "half"])
def test_a_job_that_fails(backend, shot, kind):
    one = backend(kind)
    made = shot()
    with Client(one.connection) as client:
        with pytest.raises(JobError) as why:
            client.run(new_job_id(), made.edit(), made.source, timeout=60)
        problem = why.value.problem
        if kind == "bug":
            assert problem.code == "worker_error"
            assert "ZeroDivisionError: a stand-in divided by zero" in problem.message
            log = one.data / "logs" / "worker-0.log"
            assert f"logs/{log.name}" in problem.hint
            assert str(one.data) not in problem.hint
            assert "Traceback" in log.read_text()
        else:
            assert problem.code == "mock_failure"


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_outlives_its_server(backend, shot, connect, how):
    one: Backend = backend("deaf")
    made, job = shot(), new_job_id()
    diary = connect(one.connection)
    diary.client.submit(job, made.edit(), made.source)
    diary.until_state(job, "running")
    (worker,) = one.workers()
    one.process.send_signal(how)
    one.wait_for_end()
    assert gone(worker)


@pytest.mark.slow
def test_after_the_journal_is_lost_the_job_starts_again(backend, shot, connect):
    one = backend("stall")
    made, job = shot(), new_job_id()
    diary = connect(one.connection)
    diary.client.submit(job, made.edit(), made.source)
    diary.until_state(job, "running")
    one.kill()
    for path in one.data.glob("journal.sqlite*"):
        path.unlink()
    one.start("ok")
    diary.until(lambda event: isinstance(event, ConnectionChanged) and event.state == "ready")
    assert diary.until_state(job, "done").result is not None


@pytest.mark.slow
def test_a_long_history_is_replayed_quickly(tmp_path, backend, shot, connect):
    job, steps = new_job_id(), 6000
    (tmp_path / "data").mkdir(mode=0o700)
    journal = Journal(tmp_path / "data" / "journal.sqlite")
    journal.add(job, "", shot().edit(), "running")
    step = Event(seq=0, at=0.0, kind="progress", state="running", phase="Editing", total=steps)
    journal.append(job, *(msgspec.structs.replace(step, done=n) for n in range(steps)))
    journal.append(job, Event(seq=0, at=0.0, kind="state", state="done", result=Result()))
    journal.close()
    diary = connect(backend("ok").connection)
    diary.client.attach(job)
    diary.until_kind(ConnectionChanged)
    diary.until(lambda event: isinstance(event, JobEvent))
    began = time.monotonic()
    diary.until_state(job, "done", timeout=60)
    taken = time.monotonic() - began
    gap_free(diary, job)
    assert len(diary.history(job)) == steps + 2
    assert taken < 9, f"{taken:.1f} s"
