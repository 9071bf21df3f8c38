"""Finding the object in Blender: spline masks, painted images, a box in the preview."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from blender_addon.blender import compat, extract, masks, reading  # noqa: E402
from blender_addon.blender.timeline import layers  # noqa: E402
from blender_addon.core.planning import image_to_canvas  # noqa: E402
from blender_addon.ui import box_overlay, operators_shot  # noqa: E402
from blender_addon.wire import jobs  # noqa: E402
from scripts.blender import studio  # noqa: E402

SIZE = (96, 64)


@pytest.fixture
def strip(scene: Any, movie: Path) -> Any:
    studio.editor(scene).active_strip = studio.movie_strip(scene, movie, frame_start=20)
    return studio.editor(scene).active_strip


def square_mask(frames: dict[int, float]) -> Any:
    """A mask: a square a fifth of the width wide. frames: its left edge by frame, as a fraction."""
    mask = bpy.data.masks.new("swan")
    mask.frame_start, mask.frame_end = min(frames), max(frames) + 10
    layer = mask.layers.new(name="l")
    spline = layer.splines.new()
    spline.points.add(4 - len(spline.points))
    spline.use_cyclic = True
    x = next(iter(frames.values()))
    for point, (dx, y) in zip(
        spline.points, ((0, 0.4), (0.2, 0.4), (0.2, 0.6), (0, 0.6)), strict=True
    ):
        point.co = (x + dx, y)
        point.handle_type = "VECTOR"
        point.handle_left = point.handle_right = (x + dx, y)
    return mask


def centre(mask: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(mask[..., 0])
    return float(columns.mean()), float(rows.mean())


@pytest.mark.parametrize("frame", [1, 20, 27, 500])
def test_a_blender_mask_covers_the_whole_frame(scene: Any, frame: int, tmp_path: Path) -> None:
    square_mask({20: 0.2})
    drawing = masks.MaskRenderer(scene, "mask", "swan", SIZE)
    mask = masks.read_mask(drawing.render(frame, tmp_path))
    drawing.drop_scene()
    assert (mask.shape, mask.dtype) == ((64, 96, 1), np.uint8)
    assert set(np.unique(mask)) == {0, 255}
    x, y = centre(mask)
    # A Mask's own coordinates span the longer side; the middle of the picture is 0.5, 0.5.
    assert (x, y) == pytest.approx((0.3 * 96, 32), abs=1.5)
    assert (mask > 0).sum() == pytest.approx(0.2 * 96 * 0.2 * 96, rel=0.15)
    assert len(bpy.data.scenes) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_mask_strip_shows_its_mask_on_its_own_frames(scene: Any, tmp_path: Path) -> None:
    mask = square_mask({1: 0.2})
    strips = compat.strips(studio.editor(scene))
    strips.new_mask(name="over", mask=mask, channel=3, frame_start=30)
    drawing = masks.MaskRenderer(scene, "strip", "over", SIZE)
    assert masks.read_mask(drawing.render(31, tmp_path)).any()
    assert drawing._shift == 29
    drawing.drop_scene()
    with pytest.raises(jobs.JobError, match="no mask strip nothing"):
        masks.MaskRenderer(scene, "strip", "nothing", SIZE)
    with pytest.raises(jobs.JobError, match="no mask nothing"):
        masks.MaskRenderer(scene, "mask", "nothing", SIZE)


def read(scene: Any, strip: Any, image: str = "", **settings: Any) -> Any:
    """The job made from a strip, and the arrays it refers to."""
    scene.text2live.prompt = "a red car"
    for name, value in settings.items():
        setattr(scene.text2live, name, value)
    kind = "paint" if image else "edit"
    work = reading.Reading(scene, strip, scene.text2live.collect(0, kind), image)
    spec = None
    try:
        while spec is None:
            spec = work.step()
            work.drop_copy()  # as saving the file would
    except jobs.JobError:
        work.abandon()
        raise
    assert len(bpy.data.scenes) == 1
    assert work.done == work.total
    return spec, work.frames


def test_a_mask_on_every_frame_and_on_one(scene: Any, strip: Any) -> None:
    mask = square_mask({20: 0.2})
    spec, _ = read(scene, strip, mask_mode="mask", mask_data=mask)
    assert (spec.masks.mode, [key.frame for key in spec.masks.keys]) == ("all", list(range(8)))
    spec, _ = read(scene, strip, mask_every=False, mask_frame=23)
    assert (spec.masks.mode, [key.frame for key in spec.masks.keys]) == ("key", [3])


def paint(image: Any, rows: slice, columns: slice, colour: tuple[float, ...]) -> None:
    """Paint like Blender's brush on straight alpha: colour over the image; rows from the top."""
    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    picture = pixels.reshape(height, width, 4)[::-1]
    below, much = picture[rows, columns].copy(), colour[3]
    alpha = much + below[..., 3:] * (1 - much)
    mixed = much * np.array(colour[:3]) + (1 - much) * below[..., 3:] * below[..., :3]
    picture[rows, columns] = np.concatenate([mixed / alpha, alpha], -1)
    image.pixels.foreach_set(np.ascontiguousarray(picture[::-1]).ravel())


def test_a_painted_copy_of_the_frame_becomes_a_mask(scene: Any, strip: Any, clip: Any) -> None:
    scene.frame_set(22)
    with studio.sequencer(scene):
        assert bpy.ops.text2live.paint_mask() == {"FINISHED"}
    image = scene.text2live.mask_image
    assert np.array_equal(masks.image_pixels(image.name)[..., :3], clip[2])
    assert (scene.text2live.mask_mode, scene.text2live.mask_frame) == ("image", 22)
    with pytest.raises(jobs.JobError, match="Nothing is painted"):
        read(scene, strip)
    paint(image, slice(10, 20), slice(30, 50), (1, 0, 1, 1))
    spec, store = read(scene, strip)
    (key,) = spec.masks.keys
    assert (spec.masks.mode, key.frame) == ("key", 2)
    assert np.argwhere(store(key.mask.digest)[..., 0])[[0, -1]].tolist() == [[10, 30], [19, 49]]


# the box


@pytest.mark.parametrize(
    "move",
    [
        {},
        {"offset_x": 12, "offset_y": -6, "scale_x": 0.5, "scale_y": 0.75},
        {"rotation": 0.5, "scale_x": 0.6, "scale_y": 0.6, "origin": (0.25, 0.5)},
        {"flip_x": True, "offset_y": 4},
    ],
)
def test_the_box_lies_where_blender_shows_the_frame(
    scene: Any, tmp_path: Path, move: dict[str, Any]
) -> None:
    """A white block in a black image is rendered where image_to_canvas says, transformed or not."""
    picture = np.zeros((1, 64, 96, 3), np.uint8)
    picture[0, 12:20, 56:68] = 255
    strip = studio.image_strip(scene, studio.write_frames(picture, tmp_path / "block"))
    for name, value in move.items():
        if name == "flip_x":
            strip.use_flip_x = value
        else:
            setattr(strip.transform, name, value)
    studio.show_exactly(scene, (160, 120))
    shown = studio.render_frame(scene, 1, tmp_path / "shown.png")
    rows, columns = np.nonzero(shown[..., 0] > 127)
    x, y = image_to_canvas((62, 16), layers.get_placement(strip), SIZE)
    assert (80 + x, 60 - y) == pytest.approx((columns.mean() + 0.5, rows.mean() + 0.5), abs=0.75)


class Region:
    """A preview at 200 %, with the canvas' centre at 100, 80."""

    x = y = 50
    width, height = 200, 160

    def __init__(self) -> None:
        self.view2d = types.SimpleNamespace(region_to_view=self._to_view)

    def _to_view(self, x: float, y: float) -> tuple[float, float]:
        return (x - 100) / 2, (y - 80) / 2

    def tag_redraw(self) -> None:
        pass


def test_a_box_is_dragged_in_the_preview(
    scene: Any, strip: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(box_overlay, "preview_region", lambda _context: Region())
    scene.frame_set(23)
    drag = types.SimpleNamespace(report=None)
    for name in ("invoke", "modal", "_end"):
        method = getattr(operators_shot.T2L_OT_draw_box, name)
        setattr(drag, name, types.MethodType(method, drag))
    said: list[Any] = []
    with studio.sequencer(scene):
        context = types.SimpleNamespace(
            scene=scene,
            window=types.SimpleNamespace(
                cursor_modal_set=said.append, cursor_modal_restore=lambda: said.append("back")
            ),
            workspace=types.SimpleNamespace(status_text_set_internal=said.append),
            window_manager=types.SimpleNamespace(modal_handler_add=said.append),
        )

        def mouse(type_: str, value: str, x: float, y: float) -> set[str]:
            event = types.SimpleNamespace(type=type_, value=value, mouse_x=x, mouse_y=y)
            return drag.modal(context, event)

        assert drag.invoke(context, None) == {"RUNNING_MODAL"}
        assert mouse("LEFTMOUSE", "PRESS", 10, 10) == {"PASS_THROUGH"}  # not in the preview
        assert mouse("MOUSEMOVE", "NOTHING", 120, 110) == {"PASS_THROUGH"}
        assert mouse("LEFTMOUSE", "PRESS", 130, 170) == {"RUNNING_MODAL"}
        assert mouse("MOUSEMOVE", "NOTHING", 160, 140) == {"RUNNING_MODAL"}
        assert box_overlay._drag
        assert mouse("LEFTMOUSE", "RELEASE", 170, 120) == {"FINISHED"}
    assert not box_overlay._drag
    assert said[-2:] == ["back", None]
    settings = scene.text2live
    # from (-10, 20) to (10, -5) round the middle (48, 32), y upwards
    assert tuple(settings.mask_corner) == (38, 12)
    assert tuple(settings.mask_size) == (20, 25)
    assert (settings.mask_frame, settings.mask_mode) == (23, "box")
    spec, _ = read(scene, strip)
    (box,) = spec.masks.boxes
    assert (box.frame, box.x0, box.y0, box.x1, box.y1) == (3, 38, 12, 58, 37)


def test_drawing_a_box_can_be_cancelled(
    scene: Any, strip: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(box_overlay, "preview_region", lambda _context: None)
    said: list[str] = []
    drag = types.SimpleNamespace(report=lambda _level, text: said.append(text))
    with studio.sequencer(scene):
        outcome = operators_shot.T2L_OT_draw_box.invoke(drag, bpy.context, None)
    assert outcome == {"CANCELLED"}
    assert "No preview is open" in said[0]


def test_the_box_is_scaled_with_the_frames(scene: Any, strip: Any) -> None:
    scene.text2live.prompt = "a red car"
    scene.text2live.mask_corner, scene.text2live.mask_size = (10, 20), (40, 30)
    scene.text2live.mask_frame = 20
    work = reading.Reading(scene, strip, scene.text2live.collect(48))
    spec = None
    while spec is None:
        spec = work.step()
    (box,) = spec.masks.boxes
    assert spec.clip.frames[0].shape == (32, 48, 3)
    assert (box.x0, box.y0, box.x1, box.y1) == (5, 10, 25, 25)
    assert extract.COPY_NAME not in bpy.data.scenes
