"""The panel and the operators in every state an artist meets."""

from __future__ import annotations

import os
import types
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from recorder import Recorder, drawn  # noqa: E402

from blender_addon.blender import analyses, compat, handlers, runtime  # noqa: E402
from blender_addon.blender.timeline import layers  # noqa: E402
from blender_addon.core import jobs as phases  # noqa: E402
from blender_addon.core.connection import ConnectionStatus  # noqa: E402
from blender_addon.core.history import History, JobTime  # noqa: E402
from blender_addon.core.jobs import Job  # noqa: E402
from blender_addon.ui import (  # noqa: E402
    operators,
    status_bar,
    text_layout,
)
from blender_addon.wire import jobs  # noqa: E402
from scripts.blender import studio  # noqa: E402

REASON = jobs.Problem(code="x", message="The backend is not running.", hint="Start it.")


def a_job(scene: Any, strip: Any, folder: Path, **fields: Any) -> Job:
    anchor = layers.make_anchor(scene, strip, (96, 64))
    job = Job(id="j1", label="a red car", anchor=anchor, folder=folder, **fields)
    runtime.current().session.add(job)
    return job


def test_disconnected_and_without_a_strip(scene: Any) -> None:
    seen = drawn(scene)
    assert seen.lines[:2] == ["[Prompt]", "<Make Layer>"]
    assert seen.lines[3] == "Select a movie or image strip first."
    seen = drawn(scene, "T2L_PT_connection")
    assert seen.lines[1:3] == ["Not connected", "<Connect>"]
    assert "Click a movie or image strip" in drawn(scene, "T2L_PT_shot")


def test_ready_with_a_strip(scene: Any, state: Any, strip: Any) -> None:
    state.session.status = ConnectionStatus(
        state="ready", address="tcp://127.0.0.1:5599", device="cpu"
    )
    seen = drawn(scene, "T2L_PT_connection")
    assert "Connected to 127.0.0.1:5599" in seen
    assert "cpu" in seen.lines
    seen = drawn(scene)
    assert "Analyses the shot, then paints 8 frames." in seen
    assert "shot, 8 frames" in seen
    assert "Frames 1 to 8, 96 × 64" in seen
    for name in (
        "Prompt",
        "Currently Shows",
        "Kind",
        "Change",
        "Quality",
        "Strength",
        "Object",
        "Seed",
    ):
        assert f"[{name}]" in seen


def test_the_backend_says_how_busy_it_is(scene: Any, state: Any) -> None:
    state.session.status = ConnectionStatus(
        state="ready", free_bytes=3 * 2**29, total_bytes=2**32, jobs=2
    )
    seen = drawn(scene, "T2L_PT_connection")
    assert "1.5 of 4.0 GiB free" in seen
    assert "Queue: 2 jobs" in seen
    assert "Other user" not in seen
    assert "Disk" not in seen
    state.session.status = ConnectionStatus(state="ready", disk_free=2**31, disk_total=2**40)
    seen = drawn(scene, "T2L_PT_connection")
    assert "Disk: 2.0 GiB free" in seen
    assert "nearly full" in seen
    others = tuple(f"a boat {number} (waiting)" for number in range(5))
    state.session.status = ConnectionStatus(state="ready", jobs=5, others=others)
    seen = drawn(scene, "T2L_PT_connection")
    assert "Other user: a boat 2 (waiting)" in seen
    assert "boat 3" not in seen
    assert "and 2 more" in seen


@pytest.mark.parametrize(
    ("mode", "shown", "hidden"),
    [
        ("keys", "No key frame yet", "[Folder]"),
        ("text", "[Called]", "[On Frame]"),
        ("auto", "[Called]", "[On Frame]"),
        ("mask", "[On Every Frame]", "[On Frame]"),
        ("strip", "[Mask Strip]", "[On Frame]"),
        ("all", "[Folder]", "[On Frame]"),
        ("none", "[Object]", "[Change]"),
    ],
)
def test_each_way_to_find_the_object(
    scene: Any, strip: Any, mode: str, shown: str, hidden: str
) -> None:
    scene.text2live.mask_mode = mode
    seen = drawn(scene)
    assert shown in seen
    assert hidden not in seen


def test_more_is_shown_where_it_is_needed(scene: Any, strip: Any) -> None:
    settings = scene.text2live
    assert "[Background Now]" not in drawn(scene)
    settings.layer = "both"
    assert "[Background Now]" in drawn(scene)
    settings.mask_mode, settings.mask_every = "mask", False
    assert "[On Frame]" in drawn(scene)
    settings.after, settings.after_title = "a" * 32, "v1 a red car"
    assert "Starting from v1 a red car" in drawn(scene)
    bpy.ops.text2live.start_afresh()
    assert "Starting from" not in drawn(scene)


def test_the_expected_time_is_that_of_earlier_jobs_on_this_backend(
    scene: Any, state: Any, strip: Any, tmp_path: Path
) -> None:
    state.session.server = "here"
    state.history = History(tmp_path / "times.json")
    assert "earlier jobs" not in drawn(scene)
    one = JobTime(
        server="here", kind="edit", preset="preview", analysed=False, frames=8, seconds=240
    )
    state.history.add(one)
    assert "Estimated 4 min (from earlier jobs on this backend)" in drawn(scene)
    scene.text2live.preset = "final"
    assert "earlier jobs" not in drawn(scene)


def test_a_strip_of_another_type(scene: Any) -> None:
    editor = studio.editor(scene)
    length = {"length": 9} if bpy.app.version >= (5, 0, 0) else {"frame_end": 10}
    where = {"name": "plain", "type": "COLOR", "channel": 1, "frame_start": 1}
    editor.active_strip = compat.strips(editor).new_effect(**where, **length)
    assert "plain is not a movie or image strip" in drawn(scene)


def test_a_lost_connection_shows_the_reason_and_a_fix(scene: Any, state: Any) -> None:
    state.session.status = ConnectionStatus(state="lost", address="tcp://box:1", problem=REASON)
    seen = drawn(scene)
    assert "No answer, still trying" in seen.lines
    assert "The backend is not running." in seen
    assert "Start it." in seen


def test_a_running_job(scene: Any, strip: Any, tmp_path: Path) -> None:
    job = a_job(scene, strip, tmp_path, phase=phases.WORKING)
    job.work, job.done, job.total, job.eta_s = "fitting the atlas", 40, 100, 130.0
    job.note = "No mask was given, so the object is found from its motion."
    seen = drawn(scene)
    assert "a red car" in seen
    assert "Fitting the atlas 40/100" in seen
    assert "40%" in seen or "40 %" in seen
    assert "2 min left" in seen
    assert "<text2live.cancel>" in seen
    assert job.note in seen


def test_the_progress_of_a_job_fits_in_a_narrow_sidebar(
    scene: Any, strip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_layout, "line_length", lambda _context: 25)  # 250 pixels
    job = a_job(scene, strip, tmp_path, phase=phases.WORKING)
    job.work, job.done, job.total, job.eta_s = phases.EDIT_PHASE, 120, 250, 130.0
    for name in ("T2L_PT_sequencer", "T2L_PT_jobs"):
        seen = drawn(scene, name)
        steps = [line for line in seen.lines if "layer, step" in line or "left" in line]
        assert steps == ["Painting the layer, step", "120 of 250, 2 min left"]
        assert "48%" in seen
        assert max(len(line) for line in seen.lines if not line.startswith("<")) <= 25


def test_an_ended_job_shows_its_newest_notes(scene: Any, strip: Any, tmp_path: Path) -> None:
    job = a_job(scene, strip, tmp_path, phase=phases.DONE)
    for text in ("One.", "Two.", "Three.", "Four."):
        job.note = text
    seen = drawn(scene, "T2L_PT_jobs").lines
    assert [line for line in seen if line.endswith(".")] == ["Two.", "Three.", "Four."]


def test_a_failed_job_shows_the_reason_in_lines_that_fit(
    scene: Any, strip: Any, tmp_path: Path
) -> None:
    job = a_job(scene, strip, tmp_path)
    job.fail(jobs.Problem(code="x", message="The graphics card is full. " * 4, hint="Use Draft."))
    seen = drawn(scene)
    assert "The graphics card is full." in seen
    assert "Use Draft." in seen
    assert max(len(line) for line in seen.lines) < 60
    assert "<Insert Layer>" not in seen


def test_a_finished_job_whose_layer_is_gone_can_be_inserted_again(
    scene: Any, strip: Any, tmp_path: Path
) -> None:
    job = a_job(scene, strip, tmp_path, phase=phases.DONE, placed=True)
    job.files = (tmp_path / "0001.png",)
    assert "a red car: done" in drawn(scene)
    assert "<Place Again>" in drawn(scene)
    strip[layers.JOB] = job.id
    assert "<Place Again>" not in drawn(scene)


def test_edit_needs_a_movie_or_image_strip(scene: Any, movie: Path) -> None:
    with studio.sequencer(scene):
        assert not bpy.ops.text2live.edit.poll()
        with pytest.raises(RuntimeError, match="movie or image strip"):
            bpy.ops.text2live.edit()
    studio.editor(scene).active_strip = studio.movie_strip(scene, movie)
    with studio.sequencer(scene):
        assert bpy.ops.text2live.edit.poll()


def test_other_operators_need_something_to_act_on(scene: Any, strip: Any, tmp_path: Path) -> None:
    assert bpy.ops.text2live.connect.poll()
    assert not bpy.ops.text2live.disconnect.poll()
    assert not bpy.ops.text2live.cancel.poll()
    assert not bpy.ops.text2live.insert.poll()
    job = a_job(scene, strip, tmp_path)
    assert bpy.ops.text2live.cancel.poll()
    job.enter(phases.DONE)
    job.files = (tmp_path / "0001.png",)
    assert bpy.ops.text2live.insert.poll()


def test_an_empty_prompt_is_reported_and_stays_in_the_panel(scene: Any, strip: Any) -> None:
    with studio.sequencer(scene), pytest.raises(RuntimeError, match="The prompt is empty"):
        bpy.ops.text2live.edit()
    assert "The prompt is empty." in drawn(scene)


def press(scene: Any) -> tuple[set[str], list[str]]:
    """Press the button; without a window Blender would run execute instead of invoke."""
    said: list[str] = []
    button = types.SimpleNamespace(
        report=lambda _level, text: said.append(text), begin=operators.begin
    )
    with studio.sequencer(scene):
        return operators.T2L_OT_edit.invoke(button, bpy.context, None), said


def test_the_button_reports_the_problem_too(scene: Any, strip: Any) -> None:
    outcome, said = press(scene)
    assert outcome == {"CANCELLED"}
    assert said[0].startswith("The prompt is empty.")
    assert "The prompt is empty." in drawn(scene)


def test_a_missing_movie_is_reported(scene: Any, pictures: Any) -> None:
    strip = studio.image_strip(scene, pictures)
    studio.editor(scene).active_strip = strip
    pictures[0].unlink()
    scene.text2live.prompt = "a red car"
    with studio.sequencer(scene), pytest.raises(RuntimeError, match="is missing"):
        bpy.ops.text2live.edit()


def test_a_missing_backend_is_reported_before_any_frame_is_read(
    scene: Any, state: Any, strip: Any, tmp_path: Path
) -> None:
    preferences = bpy.context.preferences.addons["blender_addon"].preferences
    preferences.connection_file = str(tmp_path / "connection.json")
    scene.text2live.prompt, scene.text2live.mask_mode = "a red car", "auto"
    outcome, said = press(scene)
    assert outcome == {"CANCELLED"}
    assert "does not exist" in said[0]
    assert not state.jobs
    assert "Start the backend" in drawn(scene)


def test_another_machine_needs_online_access(
    scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from blender_addon.wire import keys

    pair = keys.new_keypair()
    file = tmp_path / "connection.json"
    far = keys.Connection(
        address="tcp://192.0.2.1:5599",
        server_key=pair.public,
        client_public=pair.public,
        client_secret=pair.secret,
    )
    keys.write_connection_file(file, far)
    bpy.context.preferences.addons["blender_addon"].preferences.connection_file = str(file)
    monkeypatch.setattr(compat, "online", lambda: False)
    with pytest.raises(RuntimeError, match="online access is off"):
        bpy.ops.text2live.connect()
    seen = drawn(scene, "T2L_PT_connection")
    assert "Online access is off" in seen
    assert "<Allow Online Access>" in seen


def test_the_sequencers_scene_may_be_another_than_the_active_one(scene: Any, movie: Path) -> None:
    if not hasattr(bpy.context, "sequencer_scene"):
        pytest.skip("this Blender's sequencer always shows the active scene")
    other = bpy.data.scenes.new("edit")
    studio.editor(other).active_strip = studio.movie_strip(other, movie)
    with studio.sequencer(scene):
        bpy.context.window.workspace.sequencer_scene = other
        assert compat.sequencer_scene(bpy.context) == other
        assert bpy.ops.text2live.edit.poll()
        assert compat.active_strip(bpy.context).name == "shot"


def test_the_main_button_and_running_jobs_come_first(
    scene: Any, strip: Any, tmp_path: Path
) -> None:
    for number in range(5):
        job = a_job(scene, strip, tmp_path, phase=phases.WORKING)
        runtime.current().session.jobs[str(number)] = job
    top = drawn(scene, "T2L_PT_sequencer")
    assert top.lines[:2] == ["[Prompt]", "<Make Layer>"]
    assert top.lines.count("<text2live.cancel>") == 3
    assert "and 3 more jobs" in top


def test_the_status_bar_shows_the_running_job_and_then_that_it_is_done(
    scene: Any, state: Any, strip: Any, tmp_path: Path
) -> None:
    def shown() -> Recorder:
        recorder = Recorder()
        status_bar.draw(types.SimpleNamespace(layout=recorder), bpy.context)
        return recorder

    assert shown().lines == []
    job = a_job(scene, strip, tmp_path, phase=phases.WORKING)
    handlers.on_timer()
    assert "a red car: Working" in shown()
    assert "<text2live.cancel>" in shown()
    job.enter(phases.DONE)
    handlers.on_timer()
    assert shown().lines == ["Text2LIVE: a red car is done."]


def test_a_notice_is_reported_at_the_next_event(scene: Any) -> None:
    said: list[Any] = []
    operator = types.SimpleNamespace(
        text="Text2LIVE: v1 failed. No memory.",
        report=lambda level, text: said.append((level, text)),
    )
    context = types.SimpleNamespace(
        window=None,
        window_manager=types.SimpleNamespace(
            event_timer_add=lambda _s, window: "timer",
            event_timer_remove=said.append,
            modal_handler_add=lambda _operator: None,
        ),
    )
    notify = status_bar.T2L_OT_notify
    assert notify.invoke(operator, context, None) == {"RUNNING_MODAL"}
    assert notify.modal(operator, context, types.SimpleNamespace(type="A")) == {"PASS_THROUGH"}
    assert notify.modal(operator, context, types.SimpleNamespace(type="TIMER")) == {"FINISHED"}
    assert said == ["timer", ({"WARNING"}, "Text2LIVE: v1 failed. No memory.")]


def test_drawing_does_not_touch_the_disk(
    scene: Any, state: Any, strip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = a_job(scene, strip, tmp_path, phase=phases.DONE, preview=tmp_path / "preview.png")
    job.settings = scene.text2live.collect(kind="atlas", strip=strip)
    job.fingerprint = analyses.fingerprint(strip, job.settings)
    job.pictures = {"foreground_atlas": tmp_path / "atlas.png", "report": tmp_path / "report.png"}
    analyses.save(job)
    touched: list[str] = []
    stat = os.stat
    monkeypatch.setattr(
        os, "stat", lambda path, *a, **k: touched.append(path) or stat(path, *a, **k)
    )
    drawn(scene)
    assert [path for path in touched if str(path).startswith(str(tmp_path))] == []
    assert "<Open Report>" in drawn(scene, "T2L_PT_shot")
    for _place in range(2):  # where it was, and beside the file
        state.files.poll()
        seen = drawn(scene, "T2L_PT_shot")
    assert "<Open Report>" not in seen
