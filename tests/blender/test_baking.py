"""A baked layer looks the same, is one file, and keeps its place, its keyframes and its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from test_extract import make_meta  # noqa: E402
from test_layers import finished  # noqa: E402

from blender_addon.blender import baking, compat, layers, placing  # noqa: E402
from blender_addon.wire import jobs  # noqa: E402
from scripts import blender_studio as studio  # noqa: E402


@pytest.fixture
def layer() -> np.ndarray:
    """Every alpha there is, over noise: uint8 [8,64,96,4]."""
    return np.random.default_rng(2).integers(0, 256, (8, 64, 96, 4), np.uint8)


def rendered(scene: Any, frames: tuple[int, ...], folder: Path) -> np.ndarray:
    studio.show_exactly(scene, (96, 64))
    return np.stack([studio.render_frame(scene, n, folder / "shown.png") for n in frames])


def test_a_baked_layer_looks_the_same_and_keeps_what_was_set(
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
    baked = baking.bake(scene, placed)
    assert (baked.type, baked.name, baked.channel) == ("MOVIE", name, channel)
    assert compat.span(baked) == (21, 27)
    assert layers.all_layers() == [baked]
    assert layers.find_layer(job.id) == baked
    assert len(compat.curves(scene)) == 1
    assert np.abs(rendered(scene, (20, 21, 24, 26, 27), tmp_path).astype(int) - before).max() <= 1
    assert Path(baked.filepath) == job.folder / "layer.mkv"
    assert all(path.exists() for path in job.files)
    assert [s.name for s in bpy.data.scenes] == [scene.name]


def test_an_unweakened_baked_layer_is_exact(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    (placed,) = placing.place(finished(scene, strip, layer, tmp_path / "layer"))
    before = rendered(scene, (20, 27), tmp_path)
    baking.bake(scene, placed)
    assert np.array_equal(rendered(scene, (20, 27), tmp_path), before)


def test_a_baked_layer_stays_in_its_meta(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    meta = make_meta(scene, [studio.movie_strip(scene, movie, frame_start=20)])
    strip = compat.all_strips(scene.sequence_editor)["shot"]
    (placed,) = placing.place(finished(scene, strip, layer, tmp_path / "layer"))
    before = rendered(scene, (23,), tmp_path)
    baked = baking.bake(scene, placed)
    assert baked.parent_meta() == meta
    assert np.array_equal(rendered(scene, (23,), tmp_path), before)


def test_what_cannot_be_baked_is_said(scene: Any, movie: Path, layer: Any, tmp_path: Path) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    job = finished(scene, strip, layer, tmp_path / "layer")
    (placed,) = placing.place(job)
    job.files[2].unlink()
    with pytest.raises(jobs.JobError) as caught:
        baking.bake(scene, placed)
    assert caught.value.problem.code == "media_missing"
    assert placed.type == "IMAGE"
    with pytest.raises(jobs.JobError) as caught:
        baking.bake(scene, strip)
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
