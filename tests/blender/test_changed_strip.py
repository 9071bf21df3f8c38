"""Jobs survive changes to their strip: duplicating, renaming, deleting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from desk import Desk  # noqa: E402
from test_survival import reopen, settle  # noqa: E402

from blender_addon.blender import compat, handlers, runtime  # noqa: E402
from blender_addon.blender.timeline import layers  # noqa: E402
from blender_addon.core import jobs as phases  # noqa: E402
from scripts.blender import studio  # noqa: E402


def duplicate(desk: Desk) -> Any:
    """Duplicate with Shift-D; returns the copy, 40 frames later on its own channel."""
    with studio.sequencer(desk.scene):
        for strip in compat.strips(desk.scene.sequence_editor):
            strip.select = strip.name == "shot"
        before = {strip.name for strip in compat.strips(desk.scene.sequence_editor)}
        bpy.ops.sequencer.duplicate()
    (copy,) = [s for s in compat.strips(desk.scene.sequence_editor) if s.name not in before]
    compat.slide(copy, 40)
    return copy


def test_a_duplicated_strip_does_not_get_the_layer_too(desk: Desk) -> None:
    job = desk.press()
    desk.until(lambda: job.phase == phases.WORKING)
    assert duplicate(desk)[layers.UID] == desk.strip[layers.UID]
    bpy.ops.wm.save_mainfile()
    reopen(desk)
    assert len(runtime.current().jobs) == 1
    desk.until(lambda: bool(layers.all_layers()))
    settle()
    assert [compat.span(layer) for layer in layers.all_layers()] == [(20, 28)]


def test_a_renamed_strip_with_a_duplicate_still_gets_its_layer(desk: Desk) -> None:
    job = desk.press()
    desk.until(lambda: job.phase == phases.WORKING)
    copy = duplicate(desk)
    copy.name, desk.strip.name = "a copy", "the one"
    desk.until(lambda: job.ended)
    assert [compat.span(layer) for layer in layers.all_layers()] == [(20, 28)]


def test_a_job_on_the_duplicate_lands_on_the_duplicate(desk: Desk) -> None:
    layers.strip_uid(desk.strip)
    copy = duplicate(desk)
    studio.editor(desk.scene).active_strip = copy
    job = desk.press()
    desk.until(lambda: job.ended)
    assert compat.span(layers.find_layer(job.id)) == compat.span(copy)


def test_a_layer_whose_strip_was_deleted_is_kept_and_offered(desk: Desk) -> None:
    job = desk.press()
    desk.until(lambda: job.phase == phases.WORKING)
    compat.strips(desk.scene.sequence_editor).remove(desk.strip)
    bpy.ops.wm.save_mainfile()
    reopen(desk)
    (again,) = runtime.current().jobs
    desk.until(lambda: again.ended)
    assert again.problem is not None
    assert again.problem.code == "strip_gone"
    assert "Insert Layer" in again.problem.hint
    assert layers.all_layers() == []
    assert bpy.ops.text2live.insert() == {"FINISHED"}
    layer = layers.find_layer(job.id)
    assert compat.span(layer) == (20, 28)
    assert all(Path(bpy.path.abspath(layer.directory), e.filename).exists() for e in layer.elements)


@pytest.mark.usefixtures("one_frame_a_tick")
def test_a_strip_deleted_while_it_is_read_leaves_the_job_to_the_file(desk: Desk) -> None:
    job = desk.press()
    handlers.on_timer()
    compat.strips(desk.scene.sequence_editor).remove(desk.strip)
    desk.until(lambda: job.accepted)
    bpy.ops.wm.save_mainfile()
    reopen(desk)
    (again,) = runtime.current().jobs
    desk.until(lambda: again.ended)
    assert (again.id, again.problem.code) == (job.id, "strip_gone")
    assert all(path.exists() for path in again.files)


def test_a_layer_without_its_strip_is_offered_again_after_reopening(desk: Desk) -> None:
    job = desk.press()
    desk.until(lambda: job.phase == phases.WORKING)
    compat.strips(desk.scene.sequence_editor).remove(desk.strip)
    desk.until(lambda: job.ended)
    settle()
    bpy.ops.wm.save_mainfile()
    reopen(desk)
    (again,) = runtime.current().jobs
    desk.until(lambda: again.ended)
    assert bpy.ops.text2live.insert() == {"FINISHED"}
    assert [strip[layers.JOB] for strip in layers.all_layers()] == [job.id]
