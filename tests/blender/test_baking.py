"""A baked layer looks the same, is one file, and keeps its place, keyframes and name."""

from __future__ import annotations

import shutil
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from recorder import drawn  # noqa: E402
from test_extract import make_meta  # noqa: E402
from test_layers import finished  # noqa: E402

from blender_addon.blender import compat, handlers, runtime, scripting  # noqa: E402
from blender_addon.blender.timeline import layers, placing  # noqa: E402
from blender_addon.blender.timeline.folders import folder_of  # noqa: E402
from blender_addon.ui import operators_layer  # noqa: E402
from blender_addon.wire import jobs  # noqa: E402
from scripts.blender import studio  # noqa: E402


@pytest.fixture
def layer() -> np.ndarray:
    """Noise with every alpha value: uint8 [8,64,96,4]."""
    return np.random.default_rng(2).integers(0, 256, (8, 64, 96, 4), np.uint8)


def bake(layer: Any) -> Any:
    """Bake and wait, as a script does; returns the movie strip."""
    state = runtime.current()
    return scripting.wait_for_bake(state, state.bakes.begin(layer))


def rendered(scene: Any, frames: tuple[int, ...], folder: Path) -> np.ndarray:
    studio.show_exactly(scene, (96, 64))
    return np.stack([studio.render_frame(scene, n, folder / "shown.png") for n in frames])


def test_a_baked_layer_looks_the_same_and_keeps_its_settings(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    strip.transform.scale_x, strip.use_flip_y, strip.crop.min_x = 0.75, True, 8
    job = finished(scene, strip, layer, tmp_path / "layer")
    (placed,) = placing.place(job)
    for frame, opacity in ((20, 0.2), (27, 1.0)):
        placed.blend_alpha = opacity
        placed.keyframe_insert("blend_alpha", frame=frame)
    compat.set_span(placed, 21, 27)
    name, channel = placed.name, placed.channel
    before = rendered(scene, (20, 21, 24, 26, 27), tmp_path)
    baked = bake(placed)
    assert (baked.type, baked.name, baked.channel) == ("MOVIE", name, channel)
    assert compat.span(baked) == (21, 27)
    assert layers.all_layers() == [baked]
    assert layers.find_layer(job.id) == baked
    assert len(compat.curves(scene)) == 1
    assert np.abs(rendered(scene, (20, 21, 24, 26, 27), tmp_path).astype(int) - before).max() <= 1
    assert Path(baked.filepath) == job.folder / "layer.mkv"
    assert all(path.exists() for path in job.files)
    assert [s.name for s in bpy.data.scenes] == [scene.name]


def test_a_baked_layer_is_un_baked(scene: Any, movie: Path, layer: Any, tmp_path: Path) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    (placed,) = placing.place(finished(scene, strip, layer, tmp_path / "layer"))
    for frame, opacity in ((20, 0.2), (27, 1.0)):
        placed.blend_alpha = opacity
        placed.keyframe_insert("blend_alpha", frame=frame)
    compat.set_span(placed, 21, 27)
    name, before = placed.name, rendered(scene, (21, 24), tmp_path)
    scene.sequence_editor.active_strip = bake(placed)
    assert "<Un-Bake>" in drawn(scene, "T2L_PT_layer")
    with studio.sequencer(scene):
        assert bpy.ops.text2live.unbake() == {"FINISHED"}
        assert not bpy.ops.text2live.unbake.poll()
    (again,) = layers.all_layers()
    assert (again.type, again.name, compat.span(again)) == ("IMAGE", name, (21, 27))
    assert "<Make Again Here>" in drawn(scene, "T2L_PT_layer")
    assert np.array_equal(rendered(scene, (21, 24), tmp_path), before)
    baked = bake(again)
    (folder_of(baked) / "0003.png").unlink()
    scene.sequence_editor.active_strip = baked
    with studio.sequencer(scene), pytest.raises(RuntimeError, match=r"0003\.png is missing"):
        bpy.ops.text2live.unbake()
    assert layers.all_layers() == [baked]


def test_a_fully_opaque_baked_layer_is_exact(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    (placed,) = placing.place(finished(scene, strip, layer, tmp_path / "layer"))
    before = rendered(scene, (20, 27), tmp_path)
    bake(placed)
    assert np.array_equal(rendered(scene, (20, 27), tmp_path), before)


def test_a_baked_layer_stays_in_its_meta(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    meta = make_meta(scene, [studio.movie_strip(scene, movie, frame_start=20)])
    strip = compat.all_strips(scene.sequence_editor)["shot"]
    (placed,) = placing.place(finished(scene, strip, layer, tmp_path / "layer"))
    before = rendered(scene, (23,), tmp_path)
    baked = bake(placed)
    assert baked.parent_meta() == meta
    assert np.array_equal(rendered(scene, (23,), tmp_path), before)


def test_a_layer_that_cannot_be_baked_is_reported(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    job = finished(scene, strip, layer, tmp_path / "layer")
    (placed,) = placing.place(job)
    job.files[2].unlink()
    with pytest.raises(jobs.JobError) as caught:
        bake(placed)
    assert caught.value.problem.code == "media_missing"
    assert placed.type == "IMAGE"
    with pytest.raises(jobs.JobError) as caught:
        bake(strip)
    assert caught.value.problem.code == "baked"


def test_the_buttons_of_a_layer(scene: Any, movie: Path, layer: Any, tmp_path: Path) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    (placed,) = placing.place(finished(scene, strip, layer, tmp_path / "layer"))
    with studio.sequencer(scene):
        studio.editor(scene).active_strip = strip
        assert not bpy.ops.text2live.bake.poll()
        studio.editor(scene).active_strip = placed
        assert bpy.ops.text2live.bake() == {"FINISHED"}
        assert studio.editor(scene).active_strip.type == "MOVIE"


# -- while Blender stays free


@pytest.fixture
def placed(scene: Any, movie: Path, layer: Any, tmp_path: Path) -> Any:
    """An active layer on the timeline."""
    strip = studio.movie_strip(scene, movie, frame_start=20)
    (placed,) = placing.place(finished(scene, strip, layer, tmp_path / "layer"))
    studio.editor(scene).active_strip = placed
    return placed


def press(scene: Any) -> None:
    """Press the button: start baking and return."""
    button = types.SimpleNamespace(report=lambda _level, text: pytest.fail(text))
    with studio.sequencer(scene):
        begun = operators_layer.T2L_OT_bake.invoke(button, bpy.context, None)
        assert begun == {"FINISHED"}


def until_done() -> None:
    bakes = runtime.current().bakes
    assert studio.tick_until(handlers.on_timer, lambda: not bakes.under_way, 60.0)


def test_baking_returns_at_once_and_replaces_the_strip_later(
    scene: Any, placed: Any, tmp_path: Path
) -> None:
    bpy.ops.ed.undo_push(message="before")
    before = rendered(scene, (22,), tmp_path)
    press(scene)
    (bake,) = runtime.current().bakes.under_way
    assert placed.type == "IMAGE"
    assert "Baking frame 0 of 8" in drawn(scene, "T2L_PT_layer")
    with studio.sequencer(scene), pytest.raises(RuntimeError, match="is being baked"):
        bpy.ops.text2live.bake()
    runtime.current().problem = None
    until_done()
    assert bake.writer.done == 8
    movie = studio.editor(scene).active_strip
    assert (movie.type, runtime.current().problem) == ("MOVIE", None)
    assert np.array_equal(rendered(scene, (22,), tmp_path), before)
    bpy.ops.ed.undo()
    assert [strip.type for strip in layers.all_layers()] == ["IMAGE"]


def test_a_tick_that_opens_a_movie_does_nothing_else(
    scene: Any, placed: Any, layer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blender reads the movie's first frames in that tick, which takes long already."""
    strip = compat.all_strips(scene.sequence_editor)["shot"]
    other = finished(scene, strip, layer, tmp_path / "other")
    other.id = "cd" * 16
    state = runtime.current()
    for one in (placed, *placing.place(other)):
        state.bakes.begin(one)
    for bake in state.bakes.under_way:
        while bake.writer.state == "writing":
            bake.writer.poll()
            time.sleep(0.01)
    ticks = []
    monkeypatch.setattr(state.session, "drain", lambda _budget: bool(ticks.append("drained")))
    for _ in range(3):
        handlers.on_timer()
        ticks.append(sum(one.type == "MOVIE" for one in layers.all_layers()))
    assert ticks == [1, 2, "drained", 2]


def test_a_layer_moved_during_baking_is_baked_where_it_is(scene: Any, placed: Any) -> None:
    press(scene)
    placed.channel, placed.name = 6, "my name"
    compat.slide(placed, 5)
    until_done()
    (movie,) = layers.all_layers()
    assert (movie.type, movie.channel, movie.name) == ("MOVIE", 6, "my name")
    assert compat.span(movie) == (25, 33)


def test_baking_is_cancelled(scene: Any, placed: Any) -> None:
    press(scene)
    folder = folder_of(placed)
    with studio.sequencer(scene):
        assert bpy.ops.text2live.cancel_bake() == {"FINISHED"}
    assert runtime.current().bakes.under_way == []
    assert layers.all_layers() == [placed]
    assert not list(folder.glob("*.mkv"))


def test_a_layer_removed_during_baking_is_reported(scene: Any, placed: Any) -> None:
    press(scene)
    folder = folder_of(placed)
    compat.strips(scene.sequence_editor).remove(placed)
    until_done()
    assert runtime.current().problem.code == "layer_changed"
    assert not list(folder.glob("*.mkv"))


def test_closing_the_file_ends_the_baking(scene: Any, placed: Any) -> None:
    press(scene)
    (bake,) = runtime.current().bakes.under_way
    bpy.ops.wm.read_homefile(use_empty=True)
    assert bake.writer.state == "stopped"
    assert runtime.current().bakes.under_way == []


def test_a_movie_that_cannot_be_written_is_reported(scene: Any, placed: Any) -> None:
    folder = folder_of(placed)
    press(scene)
    (bake,) = runtime.current().bakes.under_way
    shutil.rmtree(folder)
    until_done()
    assert bake.writer.state == "failed"
    assert "0001.png is missing" in runtime.current().problem.message
    assert runtime.current().problem.code == "not_baked"
    assert layers.all_layers() == [placed]


def test_a_saved_file_names_the_movie_relative_to_itself(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    strip = studio.movie_strip(bpy.context.scene, movie, frame_start=20)
    folder = tmp_path / "text2live"
    (placed,) = placing.place(finished(bpy.context.scene, strip, layer, folder))
    before = rendered(bpy.context.scene, (22,), tmp_path)
    baked = bake(placed)
    assert baked.filepath == f"//text2live/{'ab' * 16}/layer.mkv"
    assert np.array_equal(rendered(bpy.context.scene, (22,), tmp_path), before)


def test_a_reversed_layer_stays_reversed(scene: Any, placed: Any, tmp_path: Path) -> None:
    placed.use_reverse_frames = True
    before = rendered(scene, (20, 25), tmp_path)
    bake(placed)
    assert np.array_equal(rendered(scene, (20, 25), tmp_path), before)
