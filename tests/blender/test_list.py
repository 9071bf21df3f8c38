"""The list of jobs and the analysis, used as an artist would, with a mock backend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from desk import PYTHON, Desk  # noqa: E402
from recorder import drawn  # noqa: E402
from test_shot import paint  # noqa: E402

from blender_addon.blender import analyses, compat, handlers, masks, runtime  # noqa: E402
from blender_addon.blender.mask_keys import write_keys  # noqa: E402
from blender_addon.blender.timeline import layers  # noqa: E402
from blender_addon.core import jobs as phases  # noqa: E402
from blender_addon.core import png  # noqa: E402
from blender_addon.core.history import History  # noqa: E402
from blender_addon.core.jobs import Job  # noqa: E402
from blender_addon.core.mask_keys import MaskKey  # noqa: E402
from blender_addon.ui import operators, operators_paint  # noqa: E402
from scripts.blender import studio  # noqa: E402


class Table(Desk):
    """A desk with more buttons and its own job times."""

    def __init__(self, movie: Path, folder: Path, backend: studio.Backend) -> None:
        super().__init__(movie, folder, backend)
        self.state = runtime.current()
        self.state.history = History(folder / "times.json")
        self.settings = self.scene.text2live

    def finish(self, button: Any = operators.T2L_OT_edit) -> Job:
        """Press a button that starts a job, and wait for it to end."""
        instance = _Pressed(button)
        with studio.sequencer(self.scene):
            assert button.invoke(instance, bpy.context, None) == {"FINISHED"}, instance.said
        job = self.state.jobs[-1]
        self.until(lambda: job.ended)
        assert job.problem is None
        return job


class _Pressed:
    """A pressed button: in background mode Blender would run execute, which waits."""

    def __init__(self, button: Any) -> None:
        self.kind, self.said = button.kind, ""
        self._begin = button.begin

    def begin(self, context: Any) -> Job:
        job: Job = self._begin(self, context)
        return job

    def report(self, _level: set[str], text: str) -> None:
        self.said = text


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[studio.Backend]:
    data = tmp_path_factory.mktemp("ok") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEXT2LIVE_MOCK_PAUSE", "0.01")
        with studio.Backend(PYTHON, data, "--mock", "ok") as one:
            yield one


@pytest.fixture
def table(scene: Any, movie: Path, tmp_path: Path, backend: studio.Backend) -> Iterator[Table]:
    yield Table(movie, tmp_path, backend)
    runtime.current().session.disconnect()


def test_an_analysis_is_saved_on_its_strip_and_shown(table: Table) -> None:
    assert "<Analyse Shot>" in drawn(table.scene)
    job = table.finish(operators.T2L_OT_analyse)
    assert (job.phase, job.version, job.title) == (phases.DONE, 0, "Analysis")
    assert len(compat.strips(table.scene.sequence_editor)) == 1
    assert set(job.pictures) == {"foreground_atlas", "background_atlas"}
    seen = drawn(table.scene)
    assert "Shot analysed. Further edits reuse it." in seen
    assert "<Paint Object>" in seen
    assert "<Open Report>" not in seen  # the stand-in makes none
    table.finish()
    assert "<Paint Object>" in drawn(table.scene)  # an edit of the shot does not take them away
    bpy.ops.wm.save_mainfile()
    runtime.start()  # another session of Blender
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    scene = bpy.context.scene
    studio.editor(scene).active_strip = compat.all_strips(scene.sequence_editor)["shot"]
    assert "Shot analysed" in drawn(scene)
    scene.text2live.preset = "final"
    assert "Shot analysed" not in drawn(scene)


def test_an_edit_after_the_analysis_has_its_own_estimate(table: Table) -> None:
    first = table.finish()
    assert not first.analysed
    assert analyses.find(table.strip, first.settings) is not None
    seen = drawn(table.scene)
    assert "<Show Atlases>" in seen
    second = table.finish()
    assert second.analysed
    times = (first.seconds, second.seconds)
    assert all(0 < seconds < 60 for seconds in times)
    expected = table.state.expected_seconds(table.strip, table.settings.collect())
    assert expected == second.seconds
    assert "from earlier jobs on this backend" in drawn(table.scene)


def test_a_preview_is_shown_while_a_job_runs(table: Table) -> None:
    with studio.sequencer(table.scene):
        operators.begin(bpy.context)
    (job,) = table.state.jobs
    table.until(lambda: job.preview is not None)
    assert png.read(job.preview).shape == (64, 96, 4)
    table.until(lambda: job.ended)
    assert job.thumbnail in job.files


def test_versions_are_compared_side_by_side(table: Table) -> None:
    first = table.finish()
    assert "Versions on the timeline" not in drawn(table.scene)
    table.settings.prompt = "a boat"
    second = table.finish()
    assert [first.title, second.title] == ["v1 a red car", "v2 a boat"]
    strips = [layers.find_layer(job.id) for job in (first, second)]
    assert [strip.channel for strip in strips] == [2, 3]
    assert strips[1].name == "shot v2 a boat"
    assert "3: v2 a boat" in drawn(table.scene)
    studio.editor(table.scene).active_strip = strips[0]
    assert "Versions on the timeline" in drawn(table.scene)
    bpy.ops.text2live.show_version(job_id=first.id)
    assert [strip.mute for strip in strips] == [False, True]
    bpy.ops.text2live.show_version(job_id=second.id)
    assert [strip.mute for strip in strips] == [True, False]
    studio.editor(table.scene).active_strip = table.strip
    runtime.start()
    third_session = runtime.current()._next_version(first.anchor.strip_uid)
    assert third_session == 3


def test_settings_of_a_job_come_back(table: Table) -> None:
    settings = table.settings
    settings.source, settings.seed, settings.recipe, settings.strength = "a car", 5, "effect", 0.5
    settings.mask_mode = "keys"
    write_keys(table.strip, [MaskKey(frame=2, kind="box", box=(3, 4, 50, 40))])
    settings.detail_auto, settings.detail = False, 0.5
    job = table.finish()
    asked = settings.collect(strip=table.strip)
    assert asked.painter_settings["detail"] == 0.5
    settings.detail_auto, settings.detail = True, 2.0
    settings.prompt, settings.source, settings.seed, settings.mask_mode = "x", "", 0, "auto"
    settings.recipe, settings.strength = "style", 2.0
    write_keys(table.strip, [])
    assert settings.collect(strip=table.strip) != asked
    with studio.sequencer(table.scene):
        assert bpy.ops.text2live.reuse(job_id=job.id) == {"FINISHED"}
    assert settings.collect(strip=table.strip) == asked
    with studio.sequencer(table.scene):
        assert bpy.ops.text2live.refine(job_id=job.id) == {"FINISHED"}
    assert (settings.after, settings.after_title) == (job.id, "v1 a red car")


def test_layers_of_an_earlier_session_are_in_the_list(table: Table) -> None:
    table.settings.seed = 7
    job = table.finish()
    bpy.ops.wm.save_mainfile()
    runtime.start()  # Blender was closed and opened
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    (again,) = runtime.current().jobs
    assert (again.id, again.title, again.settings) == (job.id, "v1 a red car", job.settings)
    assert again.files == job.files
    seen = drawn(bpy.context.scene)
    assert "v1 a red car: done" in seen
    assert "<Compositor>" in seen
    with studio.sequencer(bpy.context.scene):
        bpy.ops.text2live.reuse(job_id=again.id)
    assert bpy.context.scene.text2live.seed == 7
    (again.folder / "job.json").write_text("{")
    runtime.start()
    handlers.after_load()
    assert runtime.current().jobs == []


def test_with_a_layer_active_its_source_is_worked_on(table: Table) -> None:
    first = table.finish()
    layer = layers.find_layer(first.id)
    studio.editor(table.scene).active_strip = layer
    seen = drawn(table.scene, "T2L_PT_shot")
    assert "shot, 8 frames" in seen.lines
    second = table.finish()
    assert second.anchor.strip_uid == first.anchor.strip_uid
    assert second.version == 2
    compat.strips(table.scene.sequence_editor).remove(table.strip)
    assert f"{layer.name}, 8 frames" in drawn(table.scene, "T2L_PT_shot").lines


def test_a_job_is_retried_and_removed(table: Table) -> None:
    with studio.sequencer(table.scene):
        operators.begin(bpy.context)
    (job,) = table.state.jobs
    bpy.ops.text2live.cancel(job_id=job.id)
    table.until(lambda: job.ended)
    assert "<text2live.reuse>" in drawn(table.scene)
    assert "<Retry>" in drawn(table.scene)
    assert bpy.ops.text2live.retry(job_id=job.id) == {"FINISHED"}
    (again,) = table.state.jobs
    assert again.id != job.id
    assert (again.settings, again.version) == (job.settings, 1)
    table.until(lambda: again.ended)
    assert again.placed
    assert bpy.ops.text2live.remove(job_id=again.id) == {"FINISHED"}
    assert table.state.jobs == []
    assert layers.find_layer(again.id) is not None
    assert all(path.exists() for path in again.files)
    assert "No jobs yet" in drawn(table.scene)


def test_an_atlas_is_opened_painted_and_mapped_to_the_shot(table: Table) -> None:
    with studio.sequencer(table.scene), pytest.raises(RuntimeError, match="no object atlas yet"):
        bpy.ops.text2live.open_atlas(layer="foreground")
    analysis = table.finish(operators.T2L_OT_analyse)
    with studio.sequencer(table.scene):
        assert bpy.ops.text2live.open_atlas(layer="foreground") == {"FINISHED"}
    image = table.settings.paint_image
    atlas = png.read(analysis.pictures["foreground_atlas"])
    assert np.array_equal(masks.image_pixels(image.name)[..., :3], atlas[..., :3])
    assert (image.is_float, image.alpha_mode) == (False, "STRAIGHT")
    assert (table.settings.paint_onto, table.settings.paint_layer) == ("atlas", "foreground")
    with studio.sequencer(table.scene):  # opened again, it is as it was left
        bpy.ops.text2live.open_atlas(layer="foreground")
    assert table.settings.paint_image == image
    with studio.sequencer(table.scene), pytest.raises(RuntimeError, match="Nothing is painted"):
        bpy.ops.text2live.map_paint()
    bpy.ops.text2live.remove()
    paint(image, slice(10, 20), slice(20, 30), (1, 0, 0, 0.5))
    job = table.finish(operators_paint.T2L_OT_map_paint)
    assert (job.kind, job.title, job.analysed) == ("paint", "v1 Paint on object atlas", True)
    assert compat.span(layers.find_layer(job.id)) == (20, 28)
    table.settings.seed = 9
    with studio.sequencer(table.scene), pytest.raises(RuntimeError, match="Press Analyse Shot"):
        bpy.ops.text2live.map_paint()
    table.finish(operators.T2L_OT_analyse)
    with studio.sequencer(table.scene), pytest.raises(RuntimeError, match="another analysis"):
        bpy.ops.text2live.map_paint()


def test_map_to_shot_needs_an_image(table: Table) -> None:
    with studio.sequencer(table.scene), pytest.raises(RuntimeError, match="No image is chosen"):
        bpy.ops.text2live.map_paint()
