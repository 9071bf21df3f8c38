"""Jobs survive what happens to files, the connection, the add-on and Blender itself."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from desk import Desk, mock  # noqa: E402

from blender_addon.blender import handlers, runtime, undo  # noqa: E402
from blender_addon.blender.timeline import layers, saved_jobs  # noqa: E402
from blender_addon.core import jobs as phases  # noqa: E402
from protocol.client import Client  # noqa: E402
from scripts.blender import studio  # noqa: E402


def reopen(desk: Desk) -> None:
    """Simulate a restart of Blender: only the file is left."""
    runtime.start()
    bpy.ops.wm.open_mainfile(filepath=str(desk.blend))


def settle() -> None:
    """Tick for a while, so that anything pending can happen."""
    studio.tick_until(handlers.on_timer, lambda: False, 0.5)


# -- the file


def test_a_job_of_a_reopened_file_is_placed_once(desk: Desk) -> None:
    job = desk.press()
    desk.until(lambda: job.phase == phases.WORKING)
    bpy.ops.wm.save_mainfile()
    for _ in range(2):
        reopen(desk)
        desk.until(lambda: all(job.ended for job in runtime.current().jobs))
        settle()
        assert [strip[layers.JOB] for strip in layers.all_layers()] == [job.id]
        bpy.ops.wm.save_mainfile()
    (listed,) = runtime.current().jobs
    assert (listed.id, listed.seq) == (job.id, 0)  # the second time there was nothing left to do


def test_a_job_that_runs_through_a_revert_is_followed_once(desk: Desk) -> None:
    job = desk.press()
    desk.until(lambda: job.phase == phases.WORKING)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.revert_mainfile()
    assert runtime.current().jobs[0] is job
    assert job.phase == phases.WORKING
    desk.until(lambda: job.ended)
    settle()
    assert [strip[layers.JOB] for strip in layers.all_layers()] == [job.id]


def test_a_layer_removed_by_a_revert_comes_back(desk: Desk) -> None:
    job = desk.press()
    desk.until(lambda: job.phase == phases.WORKING)
    bpy.ops.wm.save_mainfile()
    desk.until(lambda: job.ended)
    assert len(layers.all_layers()) == 1
    bpy.ops.wm.revert_mainfile()
    settle()
    assert [strip[layers.JOB] for strip in layers.all_layers()] == [job.id]


def test_a_file_saved_before_the_job_gets_its_layer_too(desk: Desk) -> None:
    """The file was saved before the job started and closed without saving."""
    bpy.ops.wm.save_mainfile()
    job = desk.press()
    desk.until(lambda: job.phase == phases.WORKING)
    bpy.ops.wm.read_homefile(use_empty=True)
    desk.until(lambda: job.ended)
    assert job.problem.code == "strip_gone"
    for _ in range(2):
        bpy.ops.wm.open_mainfile(filepath=str(desk.blend))
        assert saved_jobs.saved_ids() == set()
        assert [strip[layers.JOB] for strip in layers.all_layers()] == [job.id]
        assert (job.problem, job.placed) == (None, True)
        bpy.ops.wm.save_mainfile()


def test_a_job_whose_layer_is_in_the_file_is_not_followed(desk: Desk) -> None:
    """As in a backup file from between the two saves."""
    job = desk.press()
    desk.until(lambda: job.phase == phases.WORKING)
    named = desk.scene[saved_jobs.PENDING]
    desk.until(lambda: job.ended)
    desk.scene[saved_jobs.PENDING] = named
    bpy.ops.wm.save_mainfile()
    reopen(desk)
    assert [job.phase for job in runtime.current().jobs] == [phases.DONE]
    settle()
    assert [strip[layers.JOB] for strip in layers.all_layers()] == [job.id]


def test_the_file_contains_no_secret(desk: Desk) -> None:
    keys = json.loads(desk.backend.file.read_text())
    secrets = [value for name, value in keys.items() if name != "address" and value]
    assert len(secrets) >= 3
    job = desk.press()
    desk.until(lambda: job.accepted)
    bpy.ops.wm.save_as_mainfile(filepath=str(desk.blend), compress=False)
    while_running = desk.blend.read_bytes()
    desk.until(lambda: job.ended)
    bpy.ops.wm.save_mainfile(compress=False)
    for saved in (while_running, desk.blend.read_bytes()):
        assert job.id.encode() in saved
        for secret in secrets:
            assert str(secret).encode() not in saved


# -- undo


def test_redo_brings_the_layer_back_once(desk: Desk) -> None:
    bpy.ops.ed.undo_push(message="before")
    job = desk.press()
    desk.until(lambda: job.ended)
    bpy.ops.ed.undo()
    settle()
    assert layers.all_layers() == []
    bpy.ops.ed.redo()
    settle()
    assert [strip[layers.JOB] for strip in layers.all_layers()] == [job.id]
    assert saved_jobs.load_unfinished("") == []


def test_undo_keeps_a_running_job_in_the_file(desk: Desk) -> None:
    bpy.ops.ed.undo_push(message="before")
    job = desk.press()
    bpy.ops.ed.undo_push(message="something")
    desk.until(lambda: job.phase == phases.WORKING)
    for step in (bpy.ops.ed.undo, bpy.ops.ed.redo):  # both to before it was sent
        step()
        assert saved_jobs.saved_ids() == {job.id}
        assert desk.strip[layers.UID] == job.anchor.strip_uid
    bpy.ops.wm.save_mainfile()
    reopen(desk)
    desk.until(lambda: bool(layers.all_layers()))


def test_undo_does_not_request_a_layer_again(desk: Desk) -> None:
    job = desk.press()
    desk.until(lambda: job.phase == phases.WORKING)
    bpy.ops.ed.undo_push(message="while it runs")
    bpy.ops.ed.undo_push(message="later")
    desk.until(lambda: job.ended)
    for _ in range(3):
        bpy.ops.ed.undo()
    assert layers.all_layers() == []
    assert saved_jobs.saved_ids() == set()


# -- the connection


class Relay:
    """A proxy that can be frozen: its connections stay open but carry nothing."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._frozen = threading.Event()
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        self._frozen.set()
        self._frozen = threading.Event()

    def close(self) -> None:
        for one in self._open:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                here, _where = self._listener.accept()
            except OSError:
                return
            there = socket.create_connection(("127.0.0.1", self._target))
            self._open += [here, there]
            for pair in ((here, there), (there, here)):
                threading.Thread(
                    target=self._carry, args=(*pair, self._frozen), daemon=True
                ).start()

    @staticmethod
    def _carry(source: socket.socket, target: socket.socket, frozen: threading.Event) -> None:
        try:
            while (data := source.recv(65536)) and not frozen.is_set():
                target.sendall(data)
            if not frozen.is_set():
                target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@pytest.mark.parametrize("fetching", [False, True])
def test_jobs_continue_after_a_laptop_slept_for_an_hour(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, fetching: bool
) -> None:
    """The clock jumps, and the old connection is silently dead.

    fetching: just after the first frames of the layer were requested.
    """
    relay = Relay(int(desk.backend.address.rpartition(":")[2]))
    slept = [0.0]
    clock = types.SimpleNamespace(monotonic=lambda: time.monotonic() + slept[0], time=time.time)
    for module in ("client", "open_requests"):
        monkeypatch.setattr(f"protocol.{module}.time", clock)
    fetch = Client.fetch

    def fetch_frozen(client: Client, ref: Any, tag: Any = None) -> None:
        if isinstance(tag, tuple) and not slept[0]:  # no preview
            relay.freeze()
        fetch(client, ref, tag)

    desk.preferences.address = f"127.0.0.1:{relay.port}"
    try:
        job = desk.press()
        desk.until(lambda: job.phase == phases.WORKING)
        if fetching:
            monkeypatch.setattr(Client, "fetch", fetch_frozen)
            desk.until(lambda: job.phase == phases.FETCHING)
            settle()  # the question is sent
        else:
            relay.freeze()
        slept[0] = 3600.0
        desk.until(lambda: job.ended)
        assert (job.problem, job.placed) == (None, True)
    finally:
        runtime.current().session.disconnect()
        relay.close()


@mock("ok")
@pytest.mark.parametrize("phase", [phases.WORKING, phases.FETCHING])
def test_a_backend_that_restarts_finishes_the_job(desk: Desk, phase: str) -> None:
    job = desk.press()
    desk.until(lambda: job.phase == phase)
    desk.backend.kill()
    if phase == phases.FETCHING:
        assert job.done < job.total  # the rest was not even asked for
    desk.backend.start()
    desk.until(lambda: job.ended)
    assert (job.problem, job.placed) == (None, True)


# -- the add-on, and another Blender


def test_a_job_continues_after_the_add_on_was_disabled_and_enabled(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEXT2LIVE_DATA", str(desk.backend.data))  # preferences go with the add-on
    job = desk.press()
    desk.until(lambda: job.phase == phases.WORKING)
    studio.disable_addon()
    studio.enable_addon()
    assert runtime.current().jobs == []
    desk.until(lambda: bool(layers.all_layers()))
    settle()
    assert [strip[layers.JOB] for strip in layers.all_layers()] == [job.id]


ANOTHER = """
import os, sys
import bpy
from scripts.blender import studio
studio.enable_addon()
from blender_addon.blender import handlers, runtime
from blender_addon.blender.timeline import layers  # noqa: E402
bpy.ops.wm.open_mainfile(filepath=os.environ["BLEND"])
done = studio.tick_until(
    handlers.on_timer, lambda: all(job.ended for job in runtime.current().jobs), 60.0)
(job,) = runtime.current().jobs
assert done and job.problem is None, job.problem
(layer,) = layers.all_layers()
assert layers.hide_incomplete() == []
print("PLACED", layer[layers.JOB])
sys.stdout.flush()
os._exit(0)
"""


def another_blender(script: str, file: Path) -> list[str]:
    """The command that runs a script in a second Blender of the same kind."""
    paths = sys.path if bpy.app.binary_path else [str(studio.REPOSITORY)]
    file.write_text(f"import sys; sys.path[:0] = {paths!r}\n{script}", encoding="utf-8")
    if bpy.app.binary_path:
        return [bpy.app.binary_path, "--background", "--factory-startup", "--python", str(file)]
    return [sys.executable, str(file)]


def test_two_blenders_follow_one_job(desk: Desk, tmp_path: Path) -> None:
    job = desk.press()
    desk.until(lambda: job.phase == phases.WORKING)
    bpy.ops.wm.save_mainfile()
    other = subprocess.Popen(
        another_blender(ANOTHER, tmp_path / "another.py"),
        env={
            **os.environ,
            "TEXT2LIVE_DATA": str(desk.backend.data),
            "BLEND": str(desk.blend),
        },
        cwd=studio.REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    desk.until(lambda: job.ended)
    said = other.communicate(timeout=90)[0]
    assert (job.problem, job.placed) == (None, True)
    assert f"PLACED {job.id}" in said, said
    assert layers.hide_incomplete() == []


@pytest.mark.usefixtures("windowed")
def test_two_undos_after_a_layer_also_undo_what_the_artist_did_before(desk: Desk) -> None:
    """No press of Ctrl-Z changes nothing. In a window every change of the artist is a step."""
    bpy.ops.ed.undo_push(message="before")
    desk.strip.blend_alpha = 0.5
    bpy.ops.ed.undo_push(message="Opacity")
    job = desk.press()
    desk.until(lambda: job.ended)
    bpy.ops.ed.undo()
    assert (layers.all_layers(), desk.strip.blend_alpha) == ([], 0.5)
    assert desk.strip[layers.UID] == job.anchor.strip_uid
    bpy.ops.ed.undo()
    assert desk.strip.blend_alpha == 1.0
    assert saved_jobs.saved_ids() == set()


@pytest.fixture
def windowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the add-on believe that an artist works in a window."""
    app = types.SimpleNamespace(background=False)
    monkeypatch.setattr(undo, "bpy", types.SimpleNamespace(app=app, ops=bpy.ops))
