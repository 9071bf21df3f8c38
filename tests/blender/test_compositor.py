"""The compositor renders the same frames and colours as the Sequencer."""

from __future__ import annotations

import dataclasses
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from test_layers import finished  # noqa: E402

from blender_addon.blender import compat, compositor, runtime  # noqa: E402
from blender_addon.blender.timeline import layers, placing  # noqa: E402
from blender_addon.core import jobs as phases  # noqa: E402
from blender_addon.core import png  # noqa: E402
from blender_addon.ui import operators  # noqa: E402
from blender_addon.wire import jobs  # noqa: E402
from scripts.blender import studio  # noqa: E402


@pytest.fixture
def layer() -> np.ndarray:
    """Noise with every alpha value, different on every frame: uint8 [8,64,96,4]."""
    return np.random.default_rng(1).integers(0, 256, (8, 64, 96, 4), np.uint8)


def shown(scene: Any, frame: int, folder: Path) -> np.ndarray:
    """A frame as the compositor renders it: int [64,96,3]."""
    studio.show_exactly(scene, (96, 64))
    studio.show_compositor(scene)
    return studio.render_frame(scene, frame, folder / "shown.png").astype(int)


def weaker(layer: np.ndarray, strength: float | np.ndarray) -> np.ndarray:
    """The layer with its alpha multiplied, not rounded: float [H,W,4]."""
    return np.concatenate([layer[..., :3], layer[..., 3:] * strength], axis=-1)


@pytest.mark.parametrize("kind", ["movie", "pictures"])
def test_the_group_shows_what_the_sequencer_shows(
    scene: Any, movie: Path, pictures: Any, clip: Any, layer: Any, tmp_path: Path, kind: str
) -> None:
    if kind == "movie":
        strip = studio.movie_strip(scene, movie, frame_start=20)
    else:
        strip = studio.image_strip(scene, pictures, frame_start=20)
    job = finished(scene, strip, layer, tmp_path / "layer")
    placing.place(job)
    compositor.layers_over(scene, strip, job, 20)
    for frame in (20, 26):
        composed = shown(scene, frame, tmp_path)
        scene.render.use_sequencer, scene.render.use_compositing = True, False
        sequenced = studio.render_frame(scene, frame, tmp_path / "sequenced.png")
        assert np.abs(composed - sequenced).max() <= 2
        assert np.abs(composed - studio.over(layer[frame - 20], clip[frame - 20])).max() <= 2


def test_the_group_of_a_trimmed_strip_starts_at_its_first_visible_frame(
    scene: Any, movie: Path, clip: Any, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    compat.set_span(strip, 23, 28)
    job = finished(scene, strip, layer[3:], tmp_path / "layer")
    compositor.layers_over(scene, strip, job, 23)
    assert np.abs(shown(scene, 24, tmp_path) - studio.over(layer[4], clip[4])).max() <= 2


def test_strength_and_mask_fade_the_layer(
    scene: Any, movie: Path, clip: Any, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    job = finished(scene, strip, layer, tmp_path / "layer")
    placing.place(job)[0].blend_alpha = 0.5
    (node,) = compositor.layers_over(scene, strip, job, 20)
    assert [socket.name for socket in node.inputs] == ["Image", "Strength", "Mask"]
    assert node.inputs["Strength"].default_value == 0.5  # the strip's own opacity
    expected = studio.over(weaker(layer[1], 0.5), clip[1])
    assert np.abs(shown(scene, 21, tmp_path) - expected).max() <= 2
    node.inputs["Strength"].default_value = 1.0
    half = np.zeros((64, 96, 4), np.uint8)
    half[:, 40:] = 255
    picture = bpy.data.images.load(str(studio.write_frames(half[None], tmp_path / "mask")[0]))
    tree, _output = compat.compositor(scene)
    mask = tree.nodes.new("CompositorNodeImage")
    mask.image = picture
    tree.links.new(mask.outputs["Image"], node.inputs["Mask"])
    expected = studio.over(weaker(layer[1], half[..., 3:] / 255), clip[1])
    seen = shown(scene, 21, tmp_path)
    assert np.abs(seen - expected).max() <= 2
    assert np.abs(seen[:, :40] - clip[1][:, :40]).max() <= 2


def test_a_smaller_layer_is_scaled_to_the_source(
    scene: Any, movie: Path, clip: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    small = np.zeros((8, 32, 48, 4), np.uint8)
    small[..., 0], small[:, :, :24, 3] = 255, 255
    job = finished(scene, strip, small, tmp_path / "layer")
    compositor.layers_over(scene, strip, job, 20)
    seen = shown(scene, 20, tmp_path)
    assert np.abs(seen[2:-2, 2:44] - [255, 0, 0]).max() <= 2
    assert np.abs(seen[:, 52:] - clip[0][:, 52:]).max() <= 2


def test_the_group_follows_the_layer_and_keeps_its_settings(
    scene: Any, movie: Path, clip: Any, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    first = finished(scene, strip, layer, tmp_path / "layer")
    placing.place(first)
    (node,) = compositor.layers_over(scene, strip, first, 20)
    node.inputs["Strength"].default_value = 0.25
    groups, images = len(bpy.data.node_groups), len(bpy.data.images)
    second = finished(scene, strip, layer[::-1], tmp_path / "again")
    second.id, second.replaces = "cd" * 16, first.id
    placing.place(second)
    assert compositor.layers_over(scene, strip, second, 20) == [node]
    assert (len(bpy.data.node_groups), len(bpy.data.images)) == (groups, images)
    expected = studio.over(weaker(layer[-2], 0.25), clip[1])
    assert np.abs(shown(scene, 21, tmp_path) - expected).max() <= 2


def test_a_second_layer_of_the_strip_is_stacked_on_the_first(
    scene: Any, movie: Path, clip: Any, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    first = finished(scene, strip, layer, tmp_path / "first")
    second = finished(scene, strip, layer[::-1], tmp_path / "second")
    second.id = "cd" * 16
    for job in (first, second):
        compositor.layers_over(scene, strip, job, 20)
    expected = studio.over(layer[-2], studio.over(layer[1], clip[1]))
    assert np.abs(shown(scene, 21, tmp_path) - expected).max() <= 2


def test_the_button_builds_and_updates(scene: Any, movie: Path, layer: Any, tmp_path: Path) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    job = finished(scene, strip, layer, tmp_path / "layer")
    runtime.current().session.add(job)
    job.enter(phases.DONE)
    assert bpy.ops.text2live.compose() == {"FINISHED"}
    tree, output = compat.compositor(scene)
    assert output.inputs[0].is_linked
    nodes = len(tree.nodes)
    assert bpy.ops.text2live.compose() == {"FINISHED"}
    again, same = compat.compositor(scene)
    assert (again, same, len(again.nodes)) == (tree, output, nodes)


def test_settings_that_the_nodes_ignore_are_reported(scene: Any, movie: Path, job: Any) -> None:
    runtime.current().session.add(job)
    job.enter(phases.DONE)
    strip, placed = layers.source_of_job(job)[1], layers.find_layer(job.id)
    said: list[Any] = []
    button = types.SimpleNamespace(
        job_id="",
        candidates=operators.T2L_OT_compose.candidates,
        report=lambda level, text: said.append((level, text)),
    )
    button.act = lambda context, job: operators.T2L_OT_compose.act(button, context, job)
    press = operators.T2L_OT_compose.execute
    assert press(button, bpy.context) == {"FINISHED"}
    assert (len(said), said[0][0], compositor.ignored_settings(strip, job)) == (1, {"INFO"}, [])
    strip.use_flip_x = placed.use_flip_x = True
    strip.blend_alpha, placed.color_multiply, placed.blend_type = 0.5, 2.0, "ADD"
    assert press(button, bpy.context) == {"FINISHED"}
    assert said[1][0] == {"WARNING"}
    names = ["flip of shot", "opacity of shot", 'flip of fire "v2"']
    names += ['colour settings of fire "v2"', 'blend mode of fire "v2"']
    assert f"ignores {', '.join(f'the {name}' for name in names)}: " in said[1][1]
    placed.crop.min_x = 5
    assert 'the crop of fire "v2"' in compositor.ignored_settings(strip, job)


def test_missing_frames_are_reported(scene: Any, job: Any) -> None:
    job.files[3].unlink()
    with pytest.raises(jobs.JobError, match=r"is missing: .*0004\.png"):
        composed(scene, job)
    assert len(bpy.data.node_groups) == 0


# -- a layer that is faded


def fade(placed: Any, *keys: tuple[int, float]) -> Any:
    """Keyframe the layer's opacity; returns the curve."""
    for frame, opacity in keys:
        placed.blend_alpha = opacity
        placed.keyframe_insert("blend_alpha", frame=frame)
    return next(c for c in compat.curves(placed.id_data) if c.data_path.endswith("blend_alpha"))


def strength_curves(scene: Any) -> list[Any]:
    every = compat.curves(compat.compositor(scene)[0])
    return [curve for curve in every if curve.driver is None]


@pytest.fixture
def job(scene: Any, movie: Path, layer: Any, tmp_path: Path) -> Any:
    """A layer on the timeline whose name needs quoting."""
    strip = studio.movie_strip(scene, movie, frame_start=20)
    job = finished(scene, strip, layer, tmp_path / "layer")
    placing.place(job)[0].name = 'fire "v2"'
    return job


def composed(scene: Any, job: Any) -> Any:
    (node,) = compositor.layers_over(scene, layers.source_of_job(job)[1], job, 20)
    return node


def test_a_faded_layer_fades_in_its_group(scene: Any, clip: Any, job: Any, tmp_path: Path) -> None:
    """Keyframes with easing and custom handles, constant before and after."""
    placed = layers.find_layer(job.id)
    curve = fade(placed, (21, 0.1), (26, 0.9))
    curve.keyframe_points[0].handle_right_type = "FREE"
    curve.keyframe_points[0].handle_right = (25, 0.1)
    composed(scene, job)
    assert [len(one.keyframe_points) for one in strength_curves(scene)] == [2]
    assert agrees(scene, tmp_path)
    quiet = studio.over(weaker(png.read(job.files[0]), 0.1), clip[0])
    assert np.abs(shown(scene, 20, tmp_path) - quiet).max() <= 2


def test_a_fade_with_a_modifier_is_followed(scene: Any, job: Any, tmp_path: Path) -> None:
    curve = fade(layers.find_layer(job.id), (20, 0.0), (22, 1.0))
    curve.modifiers.new("CYCLES")
    composed(scene, job)
    assert agrees(scene, tmp_path)
    assert not np.array_equal(shown(scene, 22, tmp_path), shown(scene, 23, tmp_path))


def test_a_changed_fade_is_copied_again(scene: Any, clip: Any, job: Any, tmp_path: Path) -> None:
    placed = layers.find_layer(job.id)
    fade(placed, (20, 0.0), (27, 1.0))
    node = composed(scene, job)
    fade(placed, (20, 1.0), (23, 0.5), (27, 0.0))
    assert composed(scene, job) == node
    assert [len(one.keyframe_points) for one in strength_curves(scene)] == [3]
    assert agrees(scene, tmp_path)
    curve = fade(placed, (20, 0.5))
    for point in reversed(curve.keyframe_points):
        curve.keyframe_points.remove(point)
    placed.blend_alpha = 0.25
    composed(scene, job)
    assert strength_curves(scene) == []
    assert node.inputs["Strength"].default_value == 0.25
    assert agrees(scene, tmp_path)


def test_keyframes_of_the_groups_own_strength_stay(scene: Any, job: Any) -> None:
    node = composed(scene, job)
    node.inputs["Strength"].default_value = 0.75
    node.inputs["Strength"].keyframe_insert("default_value", frame=20)
    fade(layers.find_layer(job.id), (20, 0.0), (27, 1.0))
    composed(scene, job)
    (curve,) = strength_curves(scene)
    assert [tuple(point.co) for point in curve.keyframe_points] == [(20, 0.75)]


def test_a_driver_on_the_opacity_is_refused(scene: Any, job: Any) -> None:
    layers.find_layer(job.id).driver_add("blend_alpha").driver.expression = "frame / 30"
    assert not built(scene, layers.source_of_job(job)[1], job)


# -- strips that do not play as their file does


def retime(scene: Any, strip: Any) -> None:
    """Retime as the artist does: twice as fast."""
    if hasattr(strip, "speed_factor"):
        strip.speed_factor = 2.0
        return
    with studio.sequencer(scene):
        for one in compat.all_strips(scene.sequence_editor):
            one.select = one == strip
        studio.editor(scene).active_strip = strip
        bpy.ops.sequencer.retiming_segment_speed_set(speed=200.0)


def reverse(_scene: Any, strip: Any) -> None:
    strip.use_reverse_frames = True


def hold(_scene: Any, strip: Any) -> None:
    strip.strobe = 2


def trim(_scene: Any, strip: Any) -> None:
    compat.set_span(strip, 22, 26)


def shorten(_scene: Any, strip: Any) -> None:
    """Trim the file's start and end with Hold Offset."""
    named = "content_trim" if hasattr(strip, "content_trim_start") else "animation_offset"
    setattr(strip, f"{named}_start", 2)
    setattr(strip, f"{named}_end", 1)


def slide(_scene: Any, strip: Any) -> None:
    compat.slide(strip, 7)


def agrees(scene: Any, folder: Path) -> bool:
    """Compare every frame of the lowest strip."""
    lowest = min(compat.strips(scene.sequence_editor), key=lambda strip: strip.channel)
    for frame in range(*compat.span(lowest)):
        composed = shown(scene, frame, folder)
        scene.render.use_sequencer, scene.render.use_compositing = True, False
        sequenced = studio.render_frame(scene, frame, folder / "sequenced.png")
        if np.abs(composed - sequenced).max() > 2:
            return False
    return True


def built(scene: Any, strip: Any, job: Any) -> bool:
    """Whether the nodes are added; if not, an error is raised and nothing is left."""
    said = None
    try:
        compositor.layers_over(scene, strip, job, 20)
    except jobs.JobError as error:
        said = error.problem
    tree, _output = compat.compositor(scene)
    groups = [node for node in tree.nodes if node.bl_idname == "CompositorNodeGroup"]
    assert bool(groups) == (said is None)
    assert said is None or (said.code == "not_in_nodes" and said.hint)
    return said is None


@pytest.mark.parametrize("kind", ["movie", "pictures"])
@pytest.mark.parametrize("change", [trim, shorten, slide, reverse, hold, retime])
def test_a_changed_source_agrees_or_is_refused(
    scene: Any, movie: Path, pictures: Any, layer: Any, tmp_path: Path, kind: str, change: Any
) -> None:
    if kind == "movie":
        strip = studio.movie_strip(scene, movie, frame_start=20)
    else:
        strip = studio.image_strip(scene, pictures, frame_start=20)
    if change is retime and not (hasattr(strip, "speed_factor") or hasattr(strip, "retiming_keys")):
        pytest.skip("this Blender retimes movies alone")
    change(scene, strip)
    start, end = compat.span(strip)
    job = finished(scene, strip, layer[: end - start], tmp_path / "layer")
    placing.place(job)
    if built(scene, strip, job):
        assert change in (trim, shorten, slide)
        assert agrees(scene, tmp_path)
    else:
        assert change in (reverse, hold, retime)


@pytest.mark.parametrize("change", [trim, slide, reverse, hold])
def test_a_changed_layer_agrees_or_is_refused(
    scene: Any, movie: Path, layer: Any, tmp_path: Path, change: Any
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    job = finished(scene, strip, layer[:6], tmp_path / "layer")
    job.anchor = dataclasses.replace(job.anchor, frames=6)
    (placed,) = placing.place(job)
    if change is slide:
        compat.slide(placed, 2)
        compat.set_span(strip, 22, 28)
    else:
        change(scene, placed)
    assert built(scene, strip, job) == (change is slide)
    if change is slide:
        assert agrees(scene, tmp_path)


@pytest.mark.skipif(
    bpy.app.version >= (5, 0, 0), reason="this module crashes when a movie is added"
)
def test_a_movie_of_another_frame_rate_added_by_hand_is_refused(
    scene: Any, clip: Any, layer: Any, tmp_path: Path
) -> None:
    movie = studio.encode_movie(clip, tmp_path / "fast.mkv", fps=48)
    scene.render.fps = 24
    studio.editor(scene)
    with studio.sequencer(scene):
        bpy.ops.sequencer.movie_strip_add(
            filepath=str(movie), frame_start=20, channel=1, use_framerate=False
        )
    strip = studio.editor(scene).active_strip
    assert compat.span(strip) == (20, 24)
    job = finished(scene, strip, layer[:4], tmp_path / "layer")
    assert not built(scene, strip, job)
