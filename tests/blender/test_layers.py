"""A finished layer is placed above its strip: frames, channel, transform, meta, exact colours."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from test_extract import make_meta  # noqa: E402

from blender_addon.blender import compat  # noqa: E402
from blender_addon.blender.timeline import folders, layers, placing, versions  # noqa: E402
from blender_addon.core import png  # noqa: E402
from blender_addon.core.delivery import frame_file_name  # noqa: E402
from blender_addon.core.jobs import PLACING, Job  # noqa: E402
from blender_addon.wire import jobs  # noqa: E402
from scripts.blender import studio  # noqa: E402


def finished(scene: Any, strip: Any, layer: np.ndarray, folder: Path, size=(96, 64)) -> Job:  # type: ignore[no-untyped-def]
    """A job whose layer, uint8 [T,H,W,4], is on disk in the job's folder."""
    folder /= "ab" * 16
    job = Job(
        id="ab" * 16,
        label="a red car",
        anchor=layers.make_anchor(scene, strip, size),
        folder=folder,
        phase=PLACING,
    )
    job.files = write_layer(layer, folder)
    job.layer_size = (layer.shape[2], layer.shape[1])
    return job


def write_layer(layer: np.ndarray, folder: Path) -> tuple[Path, ...]:
    """Write the layer's frames under the names a delivery uses."""
    folder.mkdir(parents=True)
    paths = tuple(folder / frame_file_name(index) for index in range(len(layer)))
    for path, image in zip(paths, layer, strict=True):
        png.write(path, image)
    return paths


@pytest.fixture
def layer() -> np.ndarray:
    """Noise with every alpha value: uint8 [8,64,96,4]."""
    random = np.random.default_rng(1)
    layer = random.integers(0, 256, (8, 64, 96, 4), np.uint8)
    layer[:, :16, :, 3] = 0
    layer[:, 16:32, :, 3] = 255
    return layer


def test_layer_is_an_exact_over(
    scene: Any, movie: Path, clip: Any, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    placing.place(finished(scene, strip, layer, tmp_path / "layer"))
    studio.show_exactly(scene, (96, 64))
    for frame in (20, 24, 27):
        shown = studio.render_frame(scene, frame, tmp_path / "shown.png")
        source, top = clip[frame - 20], layer[frame - 20]
        clear = top[..., 3] == 0
        assert np.array_equal(shown[clear], source[clear])
        assert np.array_equal(shown, studio.over(top, source))


def test_layer_strip_is_marked_and_set_up(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20, channel=3)
    job = finished(scene, strip, layer, tmp_path / "layer")
    (placed,) = placing.place(job)
    assert compat.span(placed) == (20, 28)
    assert placed.channel == 4
    assert (placed.blend_type, placed.alpha_mode) == ("ALPHA_OVER", "STRAIGHT")
    assert placed.colorspace_settings.name == "sRGB"
    assert placed[layers.JOB] == job.id
    assert placed[layers.LAYER_OF] == strip[layers.UID]
    assert layers.find_layer(job.id) == placed


def test_an_occupied_channel_is_skipped(
    scene: Any, movie: Path, pictures: Any, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    studio.image_strip(scene, pictures, "later", channel=2, frame_start=27)
    studio.image_strip(scene, pictures, "before", channel=3, frame_start=12)
    (placed,) = placing.place(finished(scene, strip, layer, tmp_path / "layer"))
    assert placed.channel == 3


def test_a_full_timeline_is_reported_and_the_files_stay(
    scene: Any, movie: Path, pictures: Any, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, channel=127)
    studio.image_strip(scene, pictures, "top", channel=128)
    job = finished(scene, strip, layer, tmp_path / "layer")
    with pytest.raises(jobs.JobError, match="above channel 127"):
        placing.place(job)
    assert all(path.exists() for path in job.files)


def test_layer_follows_the_strips_transform(
    scene: Any, movie: Path, clip: Any, tmp_path: Path
) -> None:
    """A layer that equals the clip changes nothing when it follows the transform."""
    strip = studio.movie_strip(scene, movie)
    strip.transform.offset_x, strip.transform.offset_y = 17, -9
    strip.transform.scale_x, strip.transform.scale_y = 1.5, 0.75
    strip.transform.rotation = 0.3
    strip.transform.origin = (0.25, 0.75)
    strip.crop.min_x, strip.crop.max_y = 8, 5
    strip.use_flip_x = True
    studio.show_exactly(scene, (160, 120))
    before = studio.render_frame(scene, 3, tmp_path / "before.png")
    opaque = np.concatenate([255 - clip, np.full((*clip.shape[:3], 1), 255, np.uint8)], axis=3)
    (placed,) = placing.place(finished(scene, strip, opaque, tmp_path / "layer"))
    strip.mute = True
    after = studio.render_frame(scene, 3, tmp_path / "after.png")
    shown = before.any(axis=2)
    inner = shown & np.roll(shown, 2, 0) & np.roll(shown, -2, 0)
    inner &= np.roll(shown, 2, 1) & np.roll(shown, -2, 1)
    assert inner.sum() > 1000
    assert np.abs((255 - after.astype(int)) - before)[inner].max() <= 2
    assert placed.crop.min_x == 8


def test_a_smaller_layer_is_scaled_up(scene: Any, movie: Path, layer: Any, tmp_path: Path) -> None:
    strip = studio.movie_strip(scene, movie)
    strip.transform.scale_x = 2.0
    strip.crop.min_x = 10
    (placed,) = placing.place(finished(scene, strip, layer[:, ::2, ::2], tmp_path / "layer"))
    assert placed.transform.scale_x == pytest.approx(4.0)
    assert placed.transform.scale_y == pytest.approx(2.0)
    assert placed.crop.min_x == 5


def test_a_layer_of_a_strip_in_a_meta_lies_in_the_meta(
    scene: Any, movie: Path, clip: Any, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    meta = make_meta(scene, [strip])
    strip = compat.all_strips(scene.sequence_editor)["shot"]
    (placed,) = placing.place(finished(scene, strip, layer, tmp_path / "layer"))
    assert placed.parent_meta() == meta
    assert compat.span(meta) == (20, 28)
    studio.show_exactly(scene, (96, 64))
    shown = studio.render_frame(scene, 22, tmp_path / "shown.png")
    assert np.abs(shown.astype(int) - studio.over(layer[2], clip[2])).max() <= 1


def test_a_moved_trimmed_and_renamed_strip_keeps_its_layer_in_step(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    job = finished(scene, strip, layer, tmp_path / "layer")
    strip.name = "renamed"
    strip.channel = 5
    compat.set_span(strip, 22, 28)
    compat.slide(strip, 30)
    (placed,) = placing.place(job)
    assert compat.span(placed) == (50, 58)
    assert placed.channel == 6


def test_a_copy_of_the_strip_does_not_get_the_layer(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    job = finished(scene, strip, layer, tmp_path / "layer")
    copy = studio.movie_strip(scene, movie, "shot.001", frame_start=60)
    copy[layers.UID] = strip[layers.UID]
    assert compat.span(placing.place(job)[0])[0] == 20


def test_among_copies_the_one_with_the_name_gets_the_layer(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    """Although it was moved, and the copy lies in its old position."""
    strip = studio.movie_strip(scene, movie, frame_start=20)
    job = finished(scene, strip, layer, tmp_path / "layer")
    compat.slide(strip, 100)
    copy = studio.movie_strip(scene, movie, "shot.001", frame_start=20)
    copy[layers.UID] = strip[layers.UID]
    assert compat.span(placing.place(job)[0]) == (120, 128)


@pytest.mark.parametrize("first", [20, 60])
def test_among_renamed_copies_the_unmoved_one_gets_the_layer(
    scene: Any, movie: Path, layer: Any, tmp_path: Path, first: int
) -> None:
    strips = [studio.movie_strip(scene, movie, frame_start=at) for at in (first, 80 - first)]
    strip = next(one for one in strips if compat.span(one)[0] == 20)
    job = finished(scene, strip, layer, tmp_path / "layer")
    for one in strips:
        one.name, one[layers.UID] = f"renamed {one.name}", strip[layers.UID]
    assert compat.span(placing.place(job)[0]) == (20, 28)


def replacing(job: Job, layer: np.ndarray) -> Job:
    """A later job whose layer replaces an earlier one's."""
    folder = job.folder.with_name("cd" * 16)
    again = dataclasses.replace(job, id="cd" * 16, folder=folder, replaces=job.id)
    again.files = write_layer(layer, folder)
    again.layer_size = (layer.shape[2], layer.shape[1])
    return again


def test_a_newer_layer_is_shown_in_place_and_keeps_the_settings(
    scene: Any, movie: Path, clip: Any, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    job = finished(scene, strip, layer, tmp_path / "layer")
    (placed,) = placing.place(job)
    for frame, opacity in ((20, 0.0), (24, 1.0)):
        placed.blend_alpha = opacity
        placed.keyframe_insert("blend_alpha", frame=frame)
    placed.channel, placed.name = 5, "my name"
    (again,) = placing.place(replacing(job, layer[::-1]))
    assert again == placed
    assert (placed.channel, placed.name) == (5, "my name")
    assert len(layers.all_layers()) == 1
    assert (layers.find_layer(job.id), layers.find_layer("cd" * 16)) == (None, placed)
    (before,) = versions.earlier(placed)
    assert (before.job, before.frames, before.folder) == (job.id, 8, job.folder)
    assert all(path.exists() for path in job.files)
    studio.show_exactly(scene, (96, 64))
    scene.frame_set(20)
    shown = studio.render_frame(scene, 20, tmp_path / "shown.png")
    assert np.array_equal(shown, clip[0])  # faded out by its keyframe
    shown = studio.render_frame(scene, 24, tmp_path / "shown.png")
    assert np.abs(shown.astype(int) - studio.over(layer[3], clip[4])).max() <= 1


@pytest.mark.parametrize(("start", "end"), [(22, 28), (20, 25)])
def test_a_newer_layer_with_other_frames_and_size_stays_over_its_strip(
    scene: Any, movie: Path, clip: Any, layer: Any, tmp_path: Path, start: int, end: int
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    job = finished(scene, strip, layer, tmp_path / "layer")
    (placed,) = placing.place(job)
    compat.set_span(strip, start, end)
    compat.slide(strip, 10)
    compat.slide(placed, 10)
    again = replacing(job, layer[start - 20 : end - 20, ::2, ::2])
    again.anchor = layers.make_anchor(scene, strip, (96, 64))
    placing.place(again)
    assert compat.span(placed) == (start + 10, end + 10)
    assert placed.transform.scale_x == pytest.approx(2.0)
    assert len(placed.elements) == end - start
    versions.show_earlier(placed)
    assert compat.span(placed) == (30, 38)
    assert placed.transform.scale_x == pytest.approx(1.0)
    assert placed[layers.JOB] == job.id
    versions.show_earlier(placed)
    assert compat.span(placed) == (start + 10, end + 10)
    assert [one.job for one in versions.earlier(placed)] == [job.id]


def test_a_missing_earlier_version_is_reported(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    job = finished(scene, strip, layer, tmp_path / "layer")
    (placed,) = placing.place(job)
    (again,) = placing.place(replacing(job, layer))
    shutil.rmtree(job.folder)
    with pytest.raises(jobs.JobError) as caught:
        versions.show_earlier(again)
    assert caught.value.problem.code == "version_gone"
    assert placed[layers.JOB] == "cd" * 16


def test_a_newer_layer_without_the_earlier_one_is_placed_as_new(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    job = finished(scene, strip, layer, tmp_path / "layer")
    compat.strips(scene.sequence_editor).remove(placing.place(job)[0])
    (placed,) = placing.place(replacing(job, layer))
    assert compat.span(placed) == (20, 28)
    assert versions.earlier(placed) == []


def test_a_deleted_strip_is_reported_and_the_files_stay(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie)
    job = finished(scene, strip, layer, tmp_path / "layer")
    compat.strips(scene.sequence_editor).remove(strip)
    with pytest.raises(jobs.JobError) as caught:
        placing.place(job)
    assert caught.value.problem.code == "strip_gone"
    assert str(job.folder) in caught.value.problem.hint
    assert all(path.exists() for path in job.files)


def test_layers_are_kept_beside_a_saved_file_with_relative_paths(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    assert not folders.folder_for("j", "blender_addon").is_relative_to(tmp_path)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    scene = bpy.context.scene
    folder = folders.folder_for("ab" * 16, "blender_addon")
    assert folder == tmp_path / "text2live" / ("ab" * 16)
    strip = studio.movie_strip(scene, movie)
    (placed,) = placing.place(finished(scene, strip, layer, folder.parent))
    assert placed.directory == f"//text2live/{'ab' * 16}/"
    placed_name = placed.name
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "film.blend"))
    again = compat.all_strips(bpy.context.scene.sequence_editor)[placed_name]
    assert again[layers.JOB] == "ab" * 16
    assert len(again.elements) == 8


def test_an_anchor_survives_saving(scene: Any, movie: Path) -> None:
    anchor = layers.make_anchor(scene, studio.movie_strip(scene, movie), (96, 64))
    plain = json.loads(json.dumps(anchor.to_plain()))
    assert layers.Anchor.from_plain({**plain, "later_version": 1}) == anchor
