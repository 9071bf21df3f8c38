"""An edit of both layers gives two stacked, independent strips."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from desk import Desk  # noqa: E402
from recorder import drawn  # noqa: E402
from test_baking import bake  # noqa: E402
from test_layers import finished  # noqa: E402

from blender_addon.blender import compat, compositor, runtime  # noqa: E402
from blender_addon.blender.timeline import layers, placing, versions  # noqa: E402
from blender_addon.core import jobs as phases  # noqa: E402
from blender_addon.core import png  # noqa: E402
from blender_addon.core.delivery import layer_files  # noqa: E402
from blender_addon.core.jobs import Job  # noqa: E402
from blender_addon.wire import jobs  # noqa: E402
from scripts.blender import studio  # noqa: E402

PARTS = ("background", "foreground")


@pytest.fixture
def layer() -> np.ndarray:
    """Noise with every alpha value, for both layers: uint8 [2,8,64,96,4], back to front."""
    return np.random.default_rng(3).integers(0, 256, (2, 8, 64, 96, 4), np.uint8)


def finished_both(scene: Any, strip: Any, layer: np.ndarray, folder: Path, name: str = "ef") -> Job:
    """A job whose two layers are on disk."""
    job = Job(
        id=name * 16,
        label="a red car",
        anchor=layers.make_anchor(scene, strip, (96, 64)),
        folder=folder / (name * 16),
        phase=phases.PLACING,
        parts=PARTS,
    )
    job.folder.mkdir(parents=True)
    job.files = layer_files(job.folder, PARTS, layer.shape[1])
    job.layer_size = (layer.shape[3], layer.shape[2])
    for path, image in zip(job.files, layer.reshape(-1, *layer.shape[2:]), strict=True):
        png.write(path, image)
    return job


def shown(scene: Any, frame: int, folder: Path) -> np.ndarray:
    studio.show_exactly(scene, (96, 64))
    return studio.render_frame(scene, frame, folder / "shown.png").astype(int)


def weaker(layer: np.ndarray, strength: float) -> np.ndarray:
    return np.concatenate([layer[..., :3], layer[..., 3:] * strength], axis=-1)


# -- on the timeline


def test_two_layer_strips_are_in_order_and_have_their_own_opacity(
    scene: Any, movie: Path, clip: Any, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    job = finished_both(scene, strip, layer, tmp_path)
    back, front = placing.place(job)
    assert (back.channel, front.channel) == (2, 3)
    assert [compat.span(one) for one in (back, front)] == [(20, 28)] * 2
    assert back.name.endswith(" background")
    assert front.name.endswith(" object")
    for frame in (20, 27):
        behind = studio.over(layer[0, frame - 20], clip[frame - 20])
        expected = studio.over(layer[1, frame - 20], behind)
        assert np.array_equal(shown(scene, frame, tmp_path), expected)
    back.blend_alpha, front.blend_alpha = 0.25, 0.5
    expected = studio.over(
        weaker(layer[1, 3], 0.5), studio.over(weaker(layer[0, 3], 0.25), clip[3])
    )
    assert np.abs(shown(scene, 23, tmp_path) - expected).max() <= 1
    assert layers.find_layer(job.id, "foreground") == front
    assert layers.missing_parts(job) == []


@pytest.mark.parametrize("lost", [0, 1])
def test_a_removed_layer_is_placed_again_in_order(
    scene: Any, movie: Path, layer: Any, tmp_path: Path, lost: int
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    job = finished_both(scene, strip, layer, tmp_path)
    placed = placing.place(job)
    before = shown(scene, 25, tmp_path)
    kept = placed[1 - lost].name
    placed[1 - lost].blend_alpha = 1.0
    compat.strips(scene.sequence_editor).remove(placed[lost])
    if lost:  # and something else has taken its place
        taken = studio.movie_strip(scene, movie, "other", frame_start=20, channel=3)
        taken.mute = True
    assert layers.missing_parts(job) == [PARTS[lost]]
    again = placing.place(job)
    assert again[1 - lost].name == kept
    assert len(layers.all_layers()) == 2
    channels = [one.channel for one in compat.strips(scene.sequence_editor)]
    assert len(set(channels)) == len(channels)
    assert again[0].channel < again[1].channel
    assert np.array_equal(shown(scene, 25, tmp_path), before)


def test_without_free_channels_for_both_neither_layer_is_placed(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, channel=127)
    job = finished_both(scene, strip, layer, tmp_path)
    with pytest.raises(jobs.JobError, match="above channel 128"):
        placing.place(job)
    assert layers.all_layers() == []


def test_both_layers_made_again_reuse_their_strips(
    scene: Any, movie: Path, clip: Any, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    job = finished_both(scene, strip, layer, tmp_path)
    back, front = placing.place(job)
    back.channel, front.channel, back.blend_alpha = 5, 7, 0.5
    again = finished_both(scene, strip, layer[:, ::-1], tmp_path, "cd")
    again.replaces = job.id
    assert placing.place(again) == [back, front]
    assert (back.channel, front.channel) == (5, 7)
    behind = studio.over(weaker(layer[0, 4], 0.5), clip[3])
    assert np.abs(shown(scene, 23, tmp_path) - studio.over(layer[1, 4], behind)).max() <= 1
    versions.show_earlier(back)
    behind = studio.over(weaker(layer[0, 3], 0.5), clip[3])
    assert np.abs(shown(scene, 23, tmp_path) - studio.over(layer[1, 4], behind)).max() <= 1
    assert (back[layers.JOB], front[layers.JOB]) == (job.id, again.id)
    assert (back[layers.PART], front[layers.PART]) == PARTS


@pytest.mark.parametrize("lying", PARTS)
def test_a_single_layer_made_again_as_both_gets_a_second_strip(
    scene: Any, movie: Path, clip: Any, layer: Any, tmp_path: Path, lying: str
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    first = finished(scene, strip, layer[0], tmp_path)
    first.settings = scene.text2live.collect()
    first.settings = dataclasses.replace(first.settings, layer=lying)
    (alone,) = placing.place(first)
    job = finished_both(scene, strip, layer, tmp_path)
    job.replaces, job.in_place_of = first.id, lying
    placed = placing.place(job)
    assert placed[PARTS.index(lying)] == alone
    assert placed[0].channel < placed[1].channel
    behind = studio.over(layer[0, 3], clip[3])
    assert np.array_equal(shown(scene, 23, tmp_path), studio.over(layer[1, 3], behind))
    versions.show_earlier(alone)
    assert alone.elements[0].filename == "0001.png"
    assert alone[layers.PART] == lying


def test_making_one_of_two_layers_again_leaves_the_other(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    job = finished_both(scene, strip, layer, tmp_path)
    back, front = placing.place(job)
    alone = finished(scene, strip, layer[0], tmp_path / "alone")
    alone.replaces, alone.in_place_of = job.id, "background"
    assert placing.place(alone) == [back]
    assert (back[layers.JOB], front[layers.JOB]) == (alone.id, job.id)


def test_the_compositor_stacks_both_as_the_sequencer_does(
    scene: Any, movie: Path, clip: Any, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    job = finished_both(scene, strip, layer, tmp_path)
    back, _front = placing.place(job)
    back.blend_alpha = 0.5
    nodes = compositor.layers_over(scene, strip, job, 20)
    assert [node.inputs["Strength"].default_value for node in nodes] == [0.5, 1.0]
    sequenced = shown(scene, 24, tmp_path)
    studio.show_compositor(scene)
    composed = studio.render_frame(scene, 24, tmp_path / "composed.png").astype(int)
    assert np.abs(composed - sequenced).max() <= 2
    again = finished_both(scene, strip, layer[:, ::-1], tmp_path, "cd")
    again.replaces = job.id
    placing.place(again)
    assert compositor.layers_over(scene, strip, again, 20) == nodes
    composed = studio.render_frame(scene, 24, tmp_path / "composed.png").astype(int)
    behind = studio.over(weaker(layer[0, 3], 0.5), clip[4])
    assert np.abs(composed - studio.over(layer[1, 3], behind)).max() <= 2


def test_both_are_baked_beside_each_other(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    job = finished_both(scene, strip, layer, tmp_path)
    placed = placing.place(job)
    before = shown(scene, 26, tmp_path)
    studio.show_exactly(scene, (96, 64))
    baked = [bake(one) for one in placed]
    assert len({one.filepath for one in baked}) == 2
    assert np.array_equal(shown(scene, 26, tmp_path), before)
    assert layers.missing_parts(job) == []


# -- with a backend


@pytest.fixture
def both(desk: Desk) -> Desk:
    """A desk whose edits change both layers."""
    desk.scene.text2live.layer, desk.scene.text2live.background = "both", "snow"
    return desk


def made(desk: Desk, prompt: str = "a red car") -> Job:
    desk.scene.text2live.prompt = prompt
    job = desk.press()
    desk.until(lambda: job.ended)
    assert (job.problem, job.placed) == (None, True)
    return job


def test_a_job_of_both_layers_fetches_each_but_not_their_composite(
    both: Desk, clip: Any, tmp_path: Path
) -> None:
    job = made(both)
    assert sorted(path.name for path in job.folder.glob("*.png")) == sorted(
        f"{part}_{frame:04d}.png" for part in PARTS for frame in range(1, 9)
    )
    back, front = (layers.find_layer(job.id, part) for part in PARTS)
    assert (back.channel, front.channel) == (2, 3)
    behind = studio.over(png.read(job.frames_of("background")[5]), clip[5])
    expected = studio.over(png.read(job.frames_of("foreground")[5]), behind)
    assert np.array_equal(shown(both.scene, 25, tmp_path), expected)
    assert job.thumbnail == job.frames_of("foreground")[4]
    bpy.ops.ed.undo()
    assert layers.all_layers() == []


def test_versions_of_both_are_compared_as_one(both: Desk) -> None:
    first = made(both)
    assert "Versions on the timeline" not in drawn(both.scene)
    second = made(both, "a boat")
    seen = drawn(both.scene)
    assert seen.lines.count("<Solo>") == 2
    assert "5: v2 a boat object" in seen
    assert bpy.ops.text2live.show_version(job_id=second.id) == {"FINISHED"}
    assert [one.mute for one in layers.layers_of_job(first.id)] == [True, True]
    assert [one.mute for one in layers.layers_of_job(second.id)] == [False, False]


def test_both_come_back_with_the_file_and_after_a_retry(both: Desk, tmp_path: Path) -> None:
    job = made(both)
    for part, opacity in zip(PARTS, (0.25, 0.5), strict=True):
        layers.find_layer(job.id, part).blend_alpha = opacity
    bpy.ops.wm.save_mainfile()
    before = shown(both.scene, 25, tmp_path)
    job.files[0].unlink()
    job.files[-1].unlink()
    runtime.start()  # another session of Blender
    bpy.ops.wm.open_mainfile(filepath=str(both.blend))
    assert len(runtime.current().jobs) == 1
    both.until(lambda: not any(one.mute for one in layers.all_layers()))
    assert np.array_equal(shown(both.scene, 25, tmp_path), before)
    bpy.ops.wm.save_mainfile()
    runtime.start()
    bpy.ops.wm.open_mainfile(filepath=str(both.blend))
    (known,) = runtime.current().jobs
    assert (known.id, known.parts, known.phase) == (job.id, PARTS, phases.DONE)
    assert known.files == job.files
    again = runtime.current().retry(known)
    both.until(lambda: again.ended)
    assert {strip[layers.JOB] for strip in layers.all_layers()} == {again.id}
    opacities = [layers.find_layer(again.id, part).blend_alpha for part in PARTS]
    assert opacities == [0.25, 0.5]


def test_a_deleted_strip_of_two_is_offered_and_placed(both: Desk) -> None:
    job = made(both)
    assert "<Place Again>" not in drawn(both.scene)
    compat.strips(both.scene.sequence_editor).remove(layers.find_layer(job.id, "background"))
    seen = drawn(both.scene)
    assert "<Place Again>" in seen
    assert "<Compositor>" in seen
    assert bpy.ops.text2live.insert(job_id=job.id) == {"FINISHED"}
    assert [layers.find_layer(job.id, part).channel for part in PARTS] == [2, 3]
    assert bpy.ops.text2live.remove(job_id=job.id) == {"FINISHED"}
    assert len(layers.layers_of_job(job.id)) == 2
    assert all(path.exists() for path in job.files)


def test_one_of_both_is_made_again_from_its_own_strip(both: Desk) -> None:
    first = made(both)
    back = layers.find_layer(first.id, "background")
    both.scene.text2live.layer, both.scene.text2live.prompt = "background", "sand"
    with studio.sequencer(both.scene):
        both.scene.sequence_editor.active_strip = back
        assert bpy.ops.text2live.make_again() == {"FINISHED"}
    job = runtime.current().jobs[-1]
    both.until(lambda: job.ended)
    assert job.problem is None
    assert back[layers.JOB] == job.id
    assert [strip[layers.PART] for strip in layers.layers_of_job(first.id)] == ["foreground"]
