"""The folders of layers: moved beside the .blend on saving, fetched again if missing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from desk import Desk  # noqa: E402
from test_layers import finished  # noqa: E402
from test_survival import settle  # noqa: E402

from blender_addon.blender import analyses, compat, runtime, scripting  # noqa: E402
from blender_addon.blender.sources import source_files  # noqa: E402
from blender_addon.blender.timeline import folders, layers, placing, versions  # noqa: E402
from blender_addon.core import jobs as phases  # noqa: E402
from scripts.blender import studio  # noqa: E402


@pytest.fixture
def unsaved(desk: Desk, movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk with a file that was never saved, and its own user folder."""
    monkeypatch.setattr(compat, "user_folder", lambda _package: str(tmp_path / "user"))
    runtime.start()
    bpy.ops.wm.read_homefile(use_empty=True)
    desk.set_up(bpy.context.scene, movie)
    return desk


def save(target: Path) -> None:
    """Save once, or twice in a Blender that tells the path only afterwards."""
    bpy.ops.wm.save_as_mainfile(filepath=str(target))
    if bpy.app.version < (4, 0, 0):
        bpy.ops.wm.save_mainfile()


def shown(desk: Desk, folder: Path) -> np.ndarray:
    return studio.render_frame(desk.scene, 23, folder / "shown.png")


def test_layers_of_an_unsaved_file_move_beside_it_when_it_is_saved(
    unsaved: Desk, tmp_path: Path
) -> None:
    job = unsaved.press()
    unsaved.until(lambda: job.ended)
    layer = layers.find_layer(job.id)
    first = Path(layer.directory)
    assert first == tmp_path / "user" / "layers" / job.id
    before = shown(unsaved, tmp_path)
    target = tmp_path / "project" / "film.blend"
    target.parent.mkdir()
    save(target)
    layer = layers.find_layer(job.id)
    assert layer.directory == f"//text2live/{job.id}/"
    assert job.folder == target.parent / "text2live" / job.id
    assert all(path.parent == job.folder and path.exists() for path in job.files)
    assert np.array_equal(shown(unsaved, tmp_path), before)
    assert first.exists()  # undo may bring back a strip that shows it
    bpy.ops.wm.open_mainfile(filepath=str(target))
    assert not first.exists()
    assert layers.find_layer(job.id).directory == f"//text2live/{job.id}/"
    assert np.array_equal(shown(unsaved, tmp_path), before)


def test_earlier_versions_and_analyses_move_along(unsaved: Desk, tmp_path: Path) -> None:
    jobs = [unsaved.press()]
    unsaved.until(lambda: jobs[0].ended)
    jobs.append(runtime.current().retry(jobs[0]))
    unsaved.until(lambda: jobs[1].ended)
    with studio.sequencer(unsaved.scene):
        assert bpy.ops.text2live.analyse() == {"FINISHED"}
        settings = unsaved.scene.text2live.collect(0, "atlas")
    save(tmp_path / "film.blend")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "film.blend"))
    assert not list((tmp_path / "user" / "layers").iterdir())
    (layer,) = layers.all_layers()
    versions.show_earlier(layer)
    assert layer[layers.JOB] == jobs[0].id
    assert layers.hide_incomplete() == []
    found = analyses.find(unsaved.strip, settings)
    assert found is not None
    assert found.pictures
    assert all(path.is_relative_to(tmp_path / "text2live") for path in found.pictures.values())


def placed_in(folder: Path, scene: Any, movie: Path) -> Any:
    """A saved file with a layer beside it: the layer's strip."""
    folder.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "film.blend"))
    strip = studio.movie_strip(scene, movie, frame_start=20)
    frames = np.full((8, 64, 96, 4), 200, np.uint8)
    (layer,) = placing.place(finished(scene, strip, frames, folder / "text2live"))
    bpy.ops.wm.save_mainfile()
    return layer


def test_save_as_takes_layers_along(scene: Any, movie: Path, tmp_path: Path) -> None:
    layer = placed_in(tmp_path / "old", scene, movie)
    (tmp_path / "other" / "new").mkdir(parents=True)
    save(tmp_path / "other" / "new" / "film.blend")
    assert layer.directory == f"//text2live/{layer[layers.JOB]}/"
    assert (tmp_path / "old" / "text2live" / layer[layers.JOB] / "0001.png").exists()
    (tmp_path / "other").rename(tmp_path / "sent")
    shutil.rmtree(tmp_path / "old")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "sent" / "new" / "film.blend"))
    (layer,) = layers.all_layers()
    assert layer.directory == f"//text2live/{layer[layers.JOB]}/"
    assert all(path.is_file() for path in source_files(layer))


def test_saving_a_copy_leaves_the_open_file_with_its_own_layers(
    scene: Any, movie: Path, tmp_path: Path
) -> None:
    layer = placed_in(tmp_path / "old", scene, movie)
    (tmp_path / "copy").mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "copy" / "film.blend"), copy=True)
    assert folders.folder_of(layer) == tmp_path / "old" / "text2live" / layer[layers.JOB]
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "copy" / "film.blend"))
    (layer,) = layers.all_layers()
    if bpy.app.version >= (4, 0, 0):
        assert layer.directory == f"//text2live/{layer[layers.JOB]}/"
    assert all(path.is_file() for path in source_files(layer))


def test_a_layer_that_came_along_with_its_file_is_found(
    scene: Any, movie: Path, tmp_path: Path
) -> None:
    """Its strip may name the folder of another machine."""
    layer = placed_in(tmp_path / "old", scene, movie)
    layer.directory = f"/nowhere/text2live/{layer[layers.JOB]}/"
    folders.find_moved([layer])
    assert layer.directory == f"//text2live/{layer[layers.JOB]}/"


def test_a_file_saved_while_a_job_runs_gets_the_layer_beside_it(
    unsaved: Desk, tmp_path: Path
) -> None:
    job = unsaved.press()
    unsaved.until(lambda: job.phase == phases.WORKING)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "late.blend"))
    unsaved.until(lambda: job.ended)
    assert layers.find_layer(job.id).directory == f"//text2live/{job.id}/"
    assert not (tmp_path / "user" / "layers" / job.id).exists()


def test_missing_frames_are_hidden_and_fetched_again(desk: Desk, clip: Any, tmp_path: Path) -> None:
    job = desk.press()
    desk.until(lambda: job.ended)
    bpy.ops.wm.save_mainfile()
    with_layer = shown(desk, tmp_path)
    job.files[3].unlink()
    runtime.start()
    preferences, desk.preferences.connection_file = desk.preferences.connection_file, "nowhere"
    bpy.ops.wm.open_mainfile(filepath=str(desk.blend))
    assert layers.find_layer(job.id).mute
    assert np.array_equal(shown(desk, tmp_path), clip[3])
    desk.preferences.connection_file = preferences
    runtime.current().connect()
    desk.until(lambda: not layers.find_layer(job.id).mute)
    settle()
    assert len(layers.all_layers()) == 1
    assert np.array_equal(shown(desk, tmp_path), with_layer)


def test_a_layer_without_its_frames_is_fetched_before_it_is_placed_again(
    desk: Desk, tmp_path: Path
) -> None:
    job = desk.press()
    desk.until(lambda: job.ended)
    with_layer = shown(desk, tmp_path)
    compat.strips(desk.scene.sequence_editor).remove(layers.find_layer(job.id))
    shutil.rmtree(job.folder)
    assert bpy.ops.text2live.insert(job_id=job.id) == {"FINISHED"}
    assert layers.all_layers() == []
    desk.until(lambda: bool(layers.all_layers()))
    assert np.array_equal(shown(desk, tmp_path), with_layer)
    (listed,) = runtime.current().jobs
    assert (listed.id, listed.title, listed.placed) == (job.id, job.title, True)


@pytest.mark.parametrize("pictures", ["there", "lost"])
def test_a_lost_baked_movie_is_replaced_by_its_frames(
    desk: Desk, clip: Any, tmp_path: Path, pictures: str
) -> None:
    job = desk.press()
    desk.until(lambda: job.ended)
    layer = layers.find_layer(job.id)
    for frame, opacity in ((20, 0.25), (26, 0.75)):
        layer.blend_alpha = opacity
        layer.keyframe_insert("blend_alpha", frame=frame)
    layer.channel, layer.name = 5, "my name"
    with_layer = shown(desk, tmp_path)
    state = runtime.current()
    scripting.wait_for_bake(state, state.bakes.begin(layer))
    bpy.ops.wm.save_mainfile()
    (job.folder / "layer.mkv").unlink()
    if pictures == "lost":
        job.files[3].unlink()
    runtime.start()
    bpy.ops.wm.open_mainfile(filepath=str(desk.blend))
    if pictures == "lost":
        assert layers.find_layer(job.id).mute
        assert np.array_equal(shown(desk, tmp_path), clip[3])
        desk.until(lambda: not layers.find_layer(job.id).mute)
    (layer,) = layers.all_layers()
    assert (layer.type, layer.name, layer.channel) == ("IMAGE", "my name", 5)
    assert np.array_equal(shown(desk, tmp_path), with_layer)
    (listed,) = runtime.current().jobs
    assert (listed.phase, listed.problem, listed.placed) == (phases.DONE, None, True)


def test_a_baked_movie_that_came_back_is_shown(desk: Desk) -> None:
    job = desk.press()
    desk.until(lambda: job.ended)
    state = runtime.current()
    layer = scripting.wait_for_bake(state, state.bakes.begin(layers.find_layer(job.id)))
    layer.mute = layer[layers.HIDDEN] = True
    assert layers.hide_incomplete() == []
    assert not layer.mute
    assert layers.HIDDEN not in layer
