"""A backend that refuses, is too old or breaks: the reason is shown and nothing is lost."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from desk import Desk, mock  # noqa: E402
from recorder import drawn  # noqa: E402

from blender_addon.blender import compat, runtime  # noqa: E402
from blender_addon.blender.timeline import layers, saved_jobs  # noqa: E402
from blender_addon.core import jobs as phases  # noqa: E402
from protocol.keys import new_keypair  # noqa: E402


def with_keys(file: Path, target: Path, **keys: str) -> Path:
    """A copy of a connection file with other keys."""
    target.write_text(json.dumps({**json.loads(file.read_text()), **keys}))
    os.chmod(target, 0o600)
    return target


def refused(desk: Desk, said: str) -> Any:
    """Start a job anyway; the panel shows why it waits. Returns the job."""
    job = desk.press()
    session = runtime.current().session
    desk.until(lambda: session.status.state == "refused" and job.phase == phases.SENDING)
    assert said in drawn(desk.scene, "T2L_PT_connection")
    assert session.status.problem.hint
    assert not job.ended
    return job


def goes_on(desk: Desk, job: Any) -> None:
    """With the problem fixed, the waiting job gets done."""
    runtime.current().connect()
    desk.until(lambda: job.ended)
    assert (job.problem, job.placed) == (None, True)


@pytest.mark.parametrize("whose", ["client", "server"])
def test_a_backend_that_is_not_paired_is_reported_and_the_job_waits(
    desk: Desk, tmp_path: Path, whose: str
) -> None:
    mine = new_keypair()
    keys = {"client_public": mine.public, "client_secret": mine.secret}
    keys = keys if whose == "client" else {"server_key": mine.public}
    wrong = with_keys(desk.backend.file, tmp_path / "wrong.json", **keys)
    desk.preferences.connection_file = str(wrong)
    said = {"client": "Not paired with this backend", "server": "Wrong connection file"}[whose]
    job = refused(desk, said)
    assert "<Open Preferences>" in drawn(desk.scene)
    desk.preferences.connection_file = str(desk.backend.file)
    goes_on(desk, job)


def test_a_backend_that_is_too_old_is_reported_and_the_job_waits(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as newer:
        newer.setattr("protocol.link.PROTOCOL", 7)
        job = refused(desk, "Backend too old")
    goes_on(desk, job)


@pytest.mark.parametrize("desk", ["half", "bug"], indirect=True)
def test_a_job_that_breaks_leaves_nothing_half_done(desk: Desk) -> None:
    job = desk.press()
    desk.until(lambda: job.ended)
    assert job.phase == phases.FAILED
    assert job.problem.message
    assert job.problem.hint
    assert "failed" in drawn(desk.scene)
    assert not list(job.folder.parent.glob(f"{job.id}*"))
    assert layers.all_layers() == []
    assert len(compat.strips(desk.scene.sequence_editor)) == 1
    assert saved_jobs.saved_ids() == set()


@mock("crash")
def test_a_dead_worker_is_reported_and_retry_helps(desk: Desk) -> None:
    job = desk.press()
    desk.until(lambda: job.ended)
    assert job.problem.code == "worker_died"
    assert "<Retry>" in drawn(desk.scene)
    assert bpy.ops.text2live.retry(job_id=job.id) == {"FINISHED"}
    (again,) = runtime.current().jobs
    desk.until(lambda: again.ended)
    assert (again.problem, again.placed) == (None, True)


@mock("crash")
def test_a_dead_worker_is_reported_and_the_job_resumed(desk: Desk) -> None:
    job = desk.press()
    desk.until(lambda: job.ended)
    assert "<Resume>" in drawn(desk.scene)
    assert bpy.ops.text2live.resume(job_id=job.id) == {"FINISHED"}
    desk.until(lambda: job.ended)
    assert (job.problem, job.placed) == (None, True)
