"""The round trip with a backend in another process: the mock in every mode, and the real one.

TEXT2LIVE_BACKEND_PYTHON is the backend's Python; if it is unset, the mock runs in this one.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from desk import REAL_PYTHON, Desk, mock  # noqa: E402
from recorder import drawn  # noqa: E402

from blender_addon.blender import compat, extract, handlers, runtime, scripting  # noqa: E402
from blender_addon.blender.timeline import layers, saved_jobs  # noqa: E402
from blender_addon.core import jobs as phases  # noqa: E402
from blender_addon.core import png  # noqa: E402
from protocol.link import Link  # noqa: E402
from scripts.blender import studio  # noqa: E402


def test_a_layer_is_made_and_composited_exactly(desk: Desk, clip: Any, tmp_path: Path) -> None:
    job = desk.press()
    assert job.phase == phases.READING
    desk.until(lambda: job.ended)
    assert (job.phase, job.problem, job.placed) == (phases.DONE, None, True)
    layer_strip = layers.find_layer(job.id)
    assert compat.span(layer_strip) == (20, 28)
    assert layer_strip.directory.startswith("//text2live/")
    for index in (0, 4, 7):
        layer = png.read(job.files[index])
        shown = studio.render_frame(desk.scene, 20 + index, tmp_path / "shown.png")
        clear = layer[..., 3] == 0
        assert clear.any()
        assert not clear.all()
        assert np.array_equal(shown[clear], clip[index][clear])
        assert np.abs(shown.astype(int) - studio.over(layer, clip[index])).max() <= 1
    assert [scene.name for scene in bpy.data.scenes] == [desk.scene.name]
    assert saved_jobs.PENDING not in desk.scene


def test_a_script_can_wait_for_the_layer(desk: Desk) -> None:
    with studio.sequencer(desk.scene):
        assert bpy.ops.text2live.edit() == {"FINISHED"}
    (job,) = runtime.current().jobs
    assert layers.find_layer(job.id) is not None


def test_the_add_ons_threads_pause_while_a_script_renders(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blender 4.2 to 5.0 crash when a thread allocates during an operator in an override."""
    moves = []
    tick, render = Link.tick, extract.FrameReader._render

    def counted_tick(link: Link, now: float) -> None:
        moves.append(now)
        tick(link, now)

    def slow_render(*about: Any) -> Any:
        before = len(moves)
        assert not about[0]._pending  # nor does the reader's own thread do anything
        time.sleep(0.3)  # an idle client goes round in 0.1 s
        image = render(*about)
        assert len(moves) == before
        return image

    monkeypatch.setattr(Link, "tick", counted_tick)
    monkeypatch.setattr(extract.FrameReader, "_render", slow_render)
    with studio.sequencer(desk.scene):
        assert bpy.ops.text2live.edit() == {"FINISHED"}
    assert len(moves) > 8  # in between it lives on


def test_a_script_gives_up_after_its_timeout(desk: Desk) -> None:
    with studio.sequencer(desk.scene), pytest.raises(RuntimeError, match="not finished after"):
        bpy.ops.text2live.edit(timeout=0.3)
    desk.until(lambda: not runtime.current().running)


def test_a_key_mask_and_masks_in_a_folder_are_sent(desk: Desk, tmp_path: Path) -> None:
    masks = np.zeros((8, 64, 96, 3), np.uint8)
    masks[:, 20:40, 30:60] = 255
    paths = studio.write_frames(masks, tmp_path / "masks")
    settings = desk.scene.text2live
    desk.scene.frame_set(22)
    with studio.sequencer(desk.scene):
        bpy.ops.text2live.add_mask_file(filepath=str(paths[2]))
    first = desk.press()
    desk.until(lambda: first.ended)
    settings.mask_mode, settings.mask_folder = "all", str(tmp_path / "masks")
    second = desk.press()
    desk.until(lambda: second.ended)
    assert (first.problem, second.problem) == (None, None)
    assert compat.span(layers.find_layer(second.id)) == (20, 28)
    channels = [layers.find_layer(job.id).channel for job in (first, second)]
    assert channels == [2, 3]


@mock("fail")
def test_a_failed_job_says_why(desk: Desk) -> None:
    job = desk.press()
    desk.until(lambda: job.ended)
    assert job.phase == phases.FAILED
    assert job.problem is not None
    assert "stand-in failed" in job.problem.message
    assert job.problem.hint
    assert not job.folder.exists()
    assert len(compat.strips(desk.scene.sequence_editor)) == 1
    assert saved_jobs.PENDING not in desk.scene


@mock("fail")
def test_a_script_gets_the_reason_as_an_exception(desk: Desk) -> None:
    with studio.sequencer(desk.scene), pytest.raises(RuntimeError, match="stand-in failed"):
        bpy.ops.text2live.edit()


@mock("stall")
def test_cancel_stops_the_job_at_the_backend(desk: Desk) -> None:
    job = desk.press()
    desk.until(lambda: job.phase == phases.WORKING and job.done > 0)
    bpy.ops.text2live.cancel()
    desk.until(lambda: job.ended)
    assert job.phase == phases.CANCELLED
    assert saved_jobs.PENDING not in desk.scene
    assert job.problem is None


@pytest.mark.usefixtures("one_frame_a_tick")
def test_cancel_while_frames_are_read_leaves_nothing(desk: Desk) -> None:
    job = desk.press()
    handlers.on_timer()
    assert len(bpy.data.scenes) == 2
    bpy.ops.text2live.cancel(job_id=job.id)
    assert job.phase == phases.CANCELLED
    assert len(bpy.data.scenes) == 1


@mock("die")
def test_a_backend_that_dies_and_comes_back_finishes_the_job(desk: Desk) -> None:
    job = desk.press()
    state = runtime.current()
    desk.until(lambda: state.session.status.state == "lost")
    assert state.session.status.problem is not None
    assert not job.ended
    desk.backend.start()
    desk.until(lambda: job.ended)
    assert (job.problem, job.placed) == (None, True)


@mock("ok")
def test_a_backend_that_starts_late_gets_the_job(desk: Desk) -> None:
    desk.backend.kill()
    job = desk.press()
    desk.until(lambda: runtime.current().session.status.problem is not None)
    assert not job.ended
    desk.backend.start()
    desk.until(lambda: job.ended)
    assert job.placed


def test_a_strip_deleted_during_the_job_loses_nothing(desk: Desk) -> None:
    job = desk.press()
    desk.until(lambda: job.phase == phases.WORKING)
    compat.strips(desk.scene.sequence_editor).remove(desk.strip)
    desk.until(lambda: job.ended)
    assert job.problem is not None
    assert job.problem.code == "strip_gone"
    assert str(job.folder) in job.problem.hint
    assert all(path.exists() for path in job.files)


def test_insertion_is_one_undo_step_and_can_be_repeated(desk: Desk) -> None:
    bpy.ops.ed.undo_push(message="before")
    job = desk.press()
    desk.scene.text2live.prompt = "typed while waiting"  # by a script: in no undo step
    desk.until(lambda: job.ended)
    assert layers.find_layer(job.id) is not None
    bpy.ops.ed.undo()
    assert layers.find_layer(job.id) is None
    assert saved_jobs.load_unfinished("") == []
    assert desk.scene.text2live.prompt == "typed while waiting"
    assert [scene.name for scene in bpy.data.scenes] == [desk.scene.name]
    assert bpy.ops.text2live.insert() == {"FINISHED"}
    assert compat.span(layers.find_layer(job.id)) == (20, 28)


def test_a_layer_made_again_is_shown_by_its_own_strip(desk: Desk) -> None:
    first = desk.press()
    desk.until(lambda: first.ended)
    layer = layers.find_layer(first.id)
    layer.channel, layer.blend_alpha = 6, 0.5
    with studio.sequencer(desk.scene):
        desk.scene.sequence_editor.active_strip = layer
        assert "<Make Again Here>" in drawn(desk.scene, "T2L_PT_layer")
        desk.scene.text2live.prompt = "a blue car"
        assert bpy.ops.text2live.make_again() == {"FINISHED"}
    second = runtime.current().jobs[-1]
    desk.until(lambda: second.ended)
    (shown,) = layers.all_layers()
    assert (shown[layers.JOB], shown.channel, shown.blend_alpha) == (second.id, 6, 0.5)
    with studio.sequencer(desk.scene):
        assert "<Earlier Version>" in drawn(desk.scene, "T2L_PT_layer")
        assert bpy.ops.text2live.show_earlier() == {"FINISHED"}
    assert [strip[layers.JOB] for strip in layers.all_layers()] == [first.id]


def test_a_retried_job_updates_its_layer(desk: Desk) -> None:
    first = desk.press()
    desk.until(lambda: first.ended)
    again = runtime.current().retry(first)
    desk.until(lambda: again.ended)
    assert [strip[layers.JOB] for strip in layers.all_layers()] == [again.id]


@pytest.mark.usefixtures("one_frame_a_tick")
def test_undo_and_save_while_frames_are_read(desk: Desk, tmp_path: Path) -> None:
    bpy.ops.ed.undo_push(message="one")
    job = desk.press()
    handlers.on_timer()
    bpy.ops.ed.undo_push(message="with the copy in it")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "other.blend"), copy=True)
    assert len(bpy.data.scenes) == 1
    handlers.on_timer()
    bpy.ops.ed.undo_push(message="again")
    bpy.ops.ed.undo()
    assert len(bpy.data.scenes) == 1
    desk.until(lambda: job.ended)
    assert job.placed, job.problem
    assert len(bpy.data.scenes) == 1


def test_a_job_continues_while_its_file_is_closed(desk: Desk, movie: Path) -> None:
    job = desk.press()
    desk.until(lambda: job.phase == phases.WORKING)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.read_homefile(use_empty=True)
    desk.until(lambda: job.ended)
    assert job.problem is not None
    assert job.problem.code == "strip_gone"
    bpy.ops.wm.open_mainfile(filepath=str(desk.blend))
    assert job.placed
    assert compat.span(layers.find_layer(job.id)) == (20, 28)


def test_a_job_is_found_again_by_another_session_of_blender(desk: Desk) -> None:
    job = desk.press()
    desk.until(lambda: job.phase == phases.WORKING)
    bpy.ops.wm.save_mainfile()
    runtime.start()  # Blender was closed and opened: nothing is remembered
    bpy.ops.wm.open_mainfile(filepath=str(desk.blend))
    (again,) = runtime.current().jobs
    assert again.id == job.id
    desk.until(lambda: again.ended)
    assert (again.problem, again.placed) == (None, True)
    assert compat.span(layers.find_layer(job.id)) == (20, 28)


@mock("stall")
def test_all_jobs_of_a_strip_are_found_again(desk: Desk) -> None:
    first, second = desk.press(), desk.press()
    desk.until(lambda: first.accepted and second.accepted)
    bpy.ops.wm.save_mainfile()
    runtime.start()
    bpy.ops.wm.open_mainfile(filepath=str(desk.blend))
    again = runtime.current().jobs
    assert [job.id for job in again] == [first.id, second.id]
    for job in again:
        bpy.ops.text2live.cancel(job_id=job.id)
    desk.until(lambda: all(job.ended for job in again))
    assert saved_jobs.load_unfinished("") == []


def test_foreign_custom_properties_do_no_harm(desk: Desk) -> None:
    desk.scene[saved_jobs.PENDING] = "{"
    handlers.after_load()
    assert runtime.current().jobs == []


@pytest.mark.usefixtures("one_frame_a_tick")
def test_closing_the_file_while_frames_are_read_is_reported(desk: Desk) -> None:
    job = desk.press()
    handlers.on_timer()
    bpy.ops.wm.read_homefile(use_empty=True)
    assert job.problem is not None
    assert job.problem.code == "file_closed"
    assert len(bpy.data.scenes) == 1


def test_frames_are_scaled_down_and_the_layer_up_again(desk: Desk) -> None:
    desk.preferences.longest = 48
    job = desk.press()
    desk.until(lambda: job.ended)
    assert job.layer_size == (48, 32)
    assert layers.find_layer(job.id).transform.scale_x == pytest.approx(2.0)


@mock("ok")
def test_a_script_learns_that_there_is_no_backend(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.backend.kill()
    monkeypatch.setattr(scripting, "CONNECT_WITHIN_S", 0.5)
    with studio.sequencer(desk.scene), pytest.raises(RuntimeError, match=r"127\.0\.0\.1"):
        bpy.ops.text2live.edit()
    assert not runtime.current().running


@pytest.mark.slow
@pytest.mark.timeout(900)  # half a minute on two idle cores
@pytest.mark.skipif(not REAL_PYTHON, reason="set TEXT2LIVE_BACKEND_PYTHON to a Python with torch")
def test_the_round_trip_script_works_with_the_real_methods(tmp_path: Path) -> None:
    """A tiny clip, the draft preset, the built-in model: nothing is mocked."""
    command = [sys.executable, "-m", "scripts.blender.roundtrip", "--out", str(tmp_path)]
    command += ["--backend-python", REAL_PYTHON, "--device", "cpu"]
    command += ["--frames", "3", "--height", "72"]
    done = subprocess.run(command, cwd=studio.REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the round trip holds" in done.stdout
