"""A strip's frames are exactly its pixels, and reading them leaves no trace."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from blender_addon.blender import compat, extract, isolate, sources  # noqa: E402
from blender_addon.core.frames import FrameStore  # noqa: E402
from blender_addon.wire import jobs  # noqa: E402
from scripts.blender import studio  # noqa: E402


def read_all(scene: Any, strip: Any, folder: Path, longest: int = 0) -> np.ndarray:
    store = FrameStore(folder / "frames")
    reader = extract.FrameReader(scene, strip, store, longest)
    try:
        while not reader.done:
            reader.read_next()
    finally:
        reader.close()
    return np.stack([store(ref.digest) for ref in reader.refs])


def test_movie_frames_are_exact(scene: Any, movie: Path, clip: Any, tmp_path: Path) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    assert np.array_equal(read_all(scene, strip, tmp_path), clip)


def test_image_frames_are_exact(scene: Any, pictures: Any, clip: Any, tmp_path: Path) -> None:
    strip = studio.image_strip(scene, pictures, frame_start=5)
    assert np.array_equal(read_all(scene, strip, tmp_path), clip)


def test_the_artists_settings_do_not_change_the_pixels(
    scene: Any, movie: Path, clip: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    strip.transform.offset_x, strip.transform.scale_x, strip.transform.rotation = 30, 0.5, 0.7
    strip.crop.min_x, strip.use_flip_x, strip.blend_alpha, strip.mute = 10, True, 0.5, True
    strip.color_saturation, strip.color_multiply, strip.blend_type = 0.3, 1.5, "ADD"
    strip.keyframe_insert("blend_alpha", frame=22)
    scene.view_settings.view_transform = "AgX" if bpy.app.version >= (4, 0, 0) else "Filmic"
    scene.view_settings.exposure, scene.view_settings.gamma = 1.0, 1.3
    scene.render.resolution_percentage, scene.frame_step = 50, 3
    scene.render.use_border, scene.render.pixel_aspect_x = True, 2.0
    studio.image_strip(scene, studio.write_frames(255 - clip, tmp_path / "top"), "top", channel=4)
    assert np.array_equal(read_all(scene, strip, tmp_path), clip)


def test_reading_leaves_the_file_unchanged(scene: Any, movie: Path, tmp_path: Path) -> None:
    strip = studio.movie_strip(scene, movie)
    strip.transform.offset_x, strip.mute = 30, True

    def settings() -> tuple[Any, ...]:
        look = (scene.view_settings.view_transform, scene.render.resolution_x)
        shown = (strip.transform.offset_x, strip.mute, strip.blend_type)
        frames = (scene.frame_start, scene.frame_end, scene.frame_current)
        return (*look, *shown, *frames, scene.render.filepath)

    before = settings()
    read_all(scene, strip, tmp_path)
    assert settings() == before
    assert [s.name for s in bpy.data.scenes] == [scene.name]


def test_a_trimmed_strip_yields_its_visible_frames(
    scene: Any, movie: Path, clip: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    compat.set_span(strip, 22, 26)
    assert np.array_equal(read_all(scene, strip, tmp_path), clip[2:6])


def test_a_reversed_strip_yields_reversed_frames(
    scene: Any, movie: Path, clip: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie)
    strip.use_reverse_frames = True
    assert np.array_equal(read_all(scene, strip, tmp_path), clip[::-1])


def test_a_strip_inside_two_metas(
    scene: Any, pictures: Any, movie: Path, clip: Any, tmp_path: Path
) -> None:
    inner = studio.movie_strip(scene, movie, "inner", frame_start=20, channel=2)
    make_meta(scene, [inner, studio.image_strip(scene, pictures, "by", channel=1)])
    meta = compat.all_strips(scene.sequence_editor)["inner"].parent_meta()
    outer = make_meta(scene, [meta])
    outer.mute, outer.transform.offset_x, outer.blend_alpha = True, 40, 0.5
    compat.set_span(outer, 22, 25)
    inner = compat.all_strips(scene.sequence_editor)["inner"]
    assert len(compat.parents(inner)) == 2
    assert np.array_equal(read_all(scene, inner, tmp_path), clip)


def make_meta(scene: Any, strips: list[Any]) -> Any:
    """Make a meta strip as the artist does: select strips and press Ctrl-G."""
    names = {strip.name for strip in strips}
    with studio.sequencer(scene):
        for strip in compat.strips(scene.sequence_editor):
            strip.select = strip.name in names
        bpy.ops.sequencer.meta_make()
    return compat.all_strips(scene.sequence_editor)[names.pop()].parent_meta()


def test_a_strip_with_effects_on_it(scene: Any, movie: Path, clip: Any, tmp_path: Path) -> None:
    a = studio.movie_strip(scene, movie, "a", channel=1)
    b = studio.movie_strip(scene, movie, "b", channel=2, frame_start=5)
    strips = compat.strips(scene.sequence_editor)
    where = {"name": "x", "type": "GAMMA_CROSS", "channel": 3, "frame_start": 5}
    length = {"length": 4} if bpy.app.version >= (5, 0, 0) else {"frame_end": 9}
    old = bpy.app.version < (4, 4, 0)
    pair = {"seq1": a, "seq2": b} if old else {"input1": a, "input2": b}
    strips.new_effect(**where, **length, **pair)
    assert np.array_equal(read_all(scene, a, tmp_path), clip)


def test_large_frames_are_scaled_down_on_request(scene: Any, movie: Path, tmp_path: Path) -> None:
    strip = studio.movie_strip(scene, movie)
    frames = read_all(scene, strip, tmp_path, longest=48)
    assert frames.shape == (8, 32, 48, 3)


def test_transparent_images_are_read_over_black(scene: Any, clip: Any, tmp_path: Path) -> None:
    alpha = np.full((*clip.shape[:3], 1), 255, np.uint8)
    alpha[:, :20] = 0
    alpha[:, 20:40] = 128
    paths = studio.write_frames(np.concatenate([clip, alpha], axis=3), tmp_path / "rgba")
    frames = read_all(scene, studio.image_strip(scene, paths), tmp_path)
    assert not frames[:, :20].any()
    assert np.array_equal(frames[:, 40:], clip[:, 40:])
    expected = clip[:, 20:40] * (128 / 255)
    assert np.abs(frames[:, 20:40] - expected).max() <= 1


def test_a_strip_of_empty_frames_is_refused(scene: Any, clip: Any, tmp_path: Path) -> None:
    empty = np.zeros((2, 64, 96, 4), np.uint8)
    strip = studio.image_strip(scene, studio.write_frames(empty, tmp_path / "empty"))
    with pytest.raises(jobs.JobError) as caught:
        read_all(scene, strip, tmp_path)
    assert caught.value.problem.code == "empty_frames"


def test_the_scene_copy_may_be_dropped_between_frames(
    scene: Any, movie: Path, clip: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie)
    store = FrameStore(tmp_path / "frames")
    reader = extract.FrameReader(scene, strip, store)
    while not reader.done:
        reader.read_next()
        reader.drop_copy()
        assert [s.name for s in bpy.data.scenes] == [scene.name]
    reader.close()
    assert np.array_equal(np.stack([store(ref.digest) for ref in reader.refs]), clip)


def test_a_worker_stores_frames_and_rendering_does_not_run_ahead(
    scene: Any, movie: Path, clip: Any, tmp_path: Path
) -> None:
    """On the main thread a frame takes no longer than its rendering."""
    store = SlowStore(tmp_path / "frames")
    reader = extract.FrameReader(scene, studio.movie_strip(scene, movie), store)
    for _ in range(20):
        reader.read_next()
    assert reader.waiting
    assert (reader.refs, store.threads) == ([], set())
    store.go_on.set()
    while not reader.done:
        reader.read_next()
    assert store.threads == {"text2live-frames_0"}
    assert not reader.waiting
    frames = np.stack([store(ref.digest) for ref in reader.refs])
    assert np.array_equal(frames, clip)
    reader.close()
    reader.close()  # safe to repeat


class SlowStore(FrameStore):
    """A store that blocks until it is released."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.go_on, self.threads = threading.Event(), set()

    def add(self, image: np.ndarray) -> jobs.ObjectRef:
        assert self.go_on.wait(60)
        self.threads.add(threading.current_thread().name)
        return super().add(image)


def test_closing_removes_temporary_files_after_the_worker_is_done(
    scene: Any, movie: Path, tmp_path: Path
) -> None:
    store = SlowStore(tmp_path / "frames")
    reader = extract.FrameReader(scene, studio.movie_strip(scene, movie), store)
    reader.read_next()
    closed = threading.Event()
    reader.close(lambda: (store.close(), closed.set()))
    assert len(bpy.data.scenes) == 1
    store.go_on.set()
    assert closed.wait(60)
    assert not store.folder.exists()


def test_a_strip_removed_while_reading_is_reported(scene: Any, movie: Path, tmp_path: Path) -> None:
    strip = studio.movie_strip(scene, movie)
    reader = extract.FrameReader(scene, strip, FrameStore(tmp_path / "frames"))
    reader.read_next(wait=True)
    reader.drop_copy()
    compat.strips(scene.sequence_editor).remove(strip)
    with pytest.raises(jobs.JobError, match="was removed"):
        reader.read_next()
    reader.close()


def test_a_missing_file_is_reported_before_anything_is_read(
    scene: Any, pictures: Any, tmp_path: Path
) -> None:
    strip = studio.image_strip(scene, pictures)
    pictures[3].unlink()
    with pytest.raises(jobs.JobError, match=r"00004\.png") as caught:
        extract.FrameReader(scene, strip, FrameStore(tmp_path / "frames"))
    assert caught.value.problem.code == "media_missing"
    assert caught.value.problem.hint


def test_other_strips_are_refused(scene: Any) -> None:
    strips = compat.strips(studio.editor(scene))
    length = {"length": 9} if bpy.app.version >= (5, 0, 0) else {"frame_end": 10}
    colour = strips.new_effect(name="c", type="COLOR", channel=1, frame_start=1, **length)
    for strip, code in ((colour, "wrong_strip_type"), (None, "no_active_strip")):
        with pytest.raises(jobs.JobError) as caught:
            sources.check_source(strip)
        assert caught.value.problem.code == code


def test_mask_images_are_read_as_stored(scene: Any, clip: Any, tmp_path: Path) -> None:
    (path,) = studio.write_frames(clip[:1], tmp_path / "mask")
    picture = extract.read_image(path)
    assert np.abs(picture[..., :3] * 255 - clip[0]).max() < 1e-3
    assert not bpy.data.images


def test_reading_never_renders_the_3d_scene(
    scene: Any, movie: Path, clip: Any, tmp_path: Path
) -> None:
    """Also with a muted channel, which shows nothing that Blender could render instead."""
    strip = studio.movie_strip(scene, movie, channel=3)
    inner = studio.movie_strip(scene, movie, "inner", channel=2)
    make_meta(scene, [inner])
    scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(scene.camera)
    scene.world = bpy.data.worlds.new("world")
    scene.sequence_editor.channels[3].mute = True
    assert np.array_equal(read_all(scene, strip, tmp_path), clip)
    inner = compat.all_strips(scene.sequence_editor)["inner"]
    scene.sequence_editor.channels[inner.parent_meta().channel].mute = True
    inner.parent_meta().channels[inner.channel].mute = True
    assert np.array_equal(read_all(scene, inner, tmp_path), clip)
    copy = isolate.isolated_copy(scene, sources.StripId.of(strip), (96, 64))
    assert (copy.camera, copy.world, list(copy.collection.all_objects)) == (None, None, [])
    bpy.data.scenes.remove(copy)
    assert scene.sequence_editor.channels[3].mute


def test_frames_before_frame_0(scene: Any, movie: Path, clip: Any, tmp_path: Path) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=-20)
    assert np.array_equal(read_all(scene, strip, tmp_path), clip)
    meta = make_meta(scene, [strip])
    inner = compat.all_strips(scene.sequence_editor)["shot"]
    compat.set_span(inner, -18, -14)
    assert np.array_equal(read_all(scene, inner, tmp_path), clip[2:6])
    assert compat.span(meta)[0] == -20


def test_reading_calls_nobodys_handlers(scene: Any, movie: Path, tmp_path: Path) -> None:
    strip, calls = studio.movie_strip(scene, movie), []
    names = [
        name
        for name in dir(bpy.app.handlers)
        if name.startswith(("render_", "frame_change_", "composite_"))
    ]
    added = {name: (lambda *_args, name=name: calls.append(name)) for name in names}
    for name, handler in added.items():
        getattr(bpy.app.handlers, name).append(handler)
    try:
        read_all(scene, strip, tmp_path)
        assert calls == []
        assert all(added[name] in getattr(bpy.app.handlers, name) for name in names)
        studio.render_frame(scene, 1, tmp_path / "shown.png")
        assert "render_complete" in calls
    finally:
        for name, handler in added.items():
            getattr(bpy.app.handlers, name).remove(handler)


def test_a_strip_renamed_and_moved_while_it_is_read_is_found_again(
    scene: Any, movie: Path, clip: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie)
    store = FrameStore(tmp_path / "frames")
    reader = extract.FrameReader(scene, strip, store)
    reader.read_next(wait=True)
    reader.drop_copy()
    strip.name = "another name"
    while not reader.done:
        reader.read_next()
    reader.close()
    assert np.array_equal(np.stack([store(ref.digest) for ref in reader.refs]), clip)


def test_a_strip_of_a_linked_scene_is_refused(scene: Any, movie: Path, tmp_path: Path) -> None:
    studio.movie_strip(scene, movie)
    scene.name = "the film"
    path = str(tmp_path / "library.blend")
    bpy.data.libraries.write(path, {scene})
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(path, link=True) as (_there, wanted):
        wanted.scenes = ["the film"]
    (linked,) = wanted.scenes
    with pytest.raises(jobs.JobError, match="is linked from") as caught:
        sources.check_source(compat.all_strips(linked.sequence_editor)["shot"])
    assert caught.value.problem.code == "linked_scene"


def test_transparent_frames_are_noticed(scene: Any, clip: Any, tmp_path: Path) -> None:
    alpha = np.full((*clip.shape[:3], 1), 255, np.uint8)
    for name, holes in (("opaque", 255), ("glass", 128), ("holes", 0)):
        alpha[3, :20] = holes
        frames = np.concatenate([clip, alpha], axis=3)
        strip = studio.image_strip(scene, studio.write_frames(frames, tmp_path / name), name)
        reader = extract.FrameReader(scene, strip, FrameStore(tmp_path / "frames"))
        while not reader.done:
            reader.read_next()
        reader.close()
        assert reader.transparent == (holes < 255)
