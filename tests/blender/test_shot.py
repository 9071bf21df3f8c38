"""Finding the object in Blender: spline masks, painted images, a box in the preview."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from recorder import drawn  # noqa: E402

from blender_addon.blender import compat, isolate, masks, reading  # noqa: E402
from blender_addon.blender.mask_keys import keys_of, write_keys  # noqa: E402
from blender_addon.blender.timeline import layers  # noqa: E402
from blender_addon.core.mask_keys import MaskKey  # noqa: E402
from blender_addon.core.planning import image_to_canvas  # noqa: E402
from blender_addon.ui import mask_overlay, operators_mask  # noqa: E402
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
    work = reading.Reading(scene, strip, scene.text2live.collect(0, kind, strip), image)
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
    (key,) = keys_of(strip)
    image = bpy.data.images[key.name]
    assert np.array_equal(masks.image_pixels(image.name)[..., :3], clip[2])
    assert (scene.text2live.mask_mode, key.frame, key.kind) == ("keys", 2, "image")
    assert image.use_fake_user
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
        self.view2d = types.SimpleNamespace(
            region_to_view=self._to_view, view_to_region=self._to_region
        )

    def _to_view(self, x: float, y: float) -> tuple[float, float]:
        return (x - 100) / 2, (y - 80) / 2

    def _to_region(self, x: float, y: float, clip: bool) -> tuple[float, float]:
        assert not clip
        return 2 * x + 100, 2 * y + 80

    def tag_redraw(self) -> None:
        pass


def test_a_box_is_dragged_in_the_preview(
    scene: Any, strip: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.frame_set(23)
    with drawing(scene, operators_mask.T2L_OT_draw_box, monkeypatch) as mouse:
        assert mouse("LEFTMOUSE", "PRESS", 10, 10) == {"PASS_THROUGH"}  # not in the preview
        assert mouse("MOUSEMOVE", "NOTHING", 120, 110) == {"PASS_THROUGH"}
        assert mouse("LEFTMOUSE", "PRESS", 130, 170) == {"RUNNING_MODAL"}
        assert mouse("MOUSEMOVE", "NOTHING", 160, 140) == {"RUNNING_MODAL"}
        assert mask_overlay.drawing.points
        assert mouse("LEFTMOUSE", "RELEASE", 170, 120) == {"FINISHED"}
    assert not mask_overlay.drawing.active
    # from (-10, 20) to (10, -5) round the middle (48, 32), y upwards
    (key,) = keys_of(strip)
    assert key == MaskKey(frame=3, kind="box", box=(38, 12, 20, 25))
    assert mask_overlay.key_here(scene, strip) == key
    spec, _ = read(scene, strip)
    (box,) = spec.masks.boxes
    assert (box.frame, box.x0, box.y0, box.x1, box.y1) == (3, 38, 12, 58, 37)
    with drawing(scene, operators_mask.T2L_OT_draw_box, monkeypatch) as mouse:
        mouse("LEFTMOUSE", "PRESS", 173, 117)  # near the lower right corner
        assert mouse("LEFTMOUSE", "RELEASE", 190, 110) == {"FINISHED"}
    assert keys_of(strip)[0].box == (38, 12, 30, 30)


@contextlib.contextmanager
def drawing(scene: Any, kind: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An operator that draws in a preview: a function that sends it events of the mouse."""
    monkeypatch.setattr(mask_overlay, "preview_region", lambda _context, _point=None: Region())
    said: list[Any] = []
    drag = types.SimpleNamespace(
        report=lambda _level, text: pytest.fail(text),
        keys_text=kind.keys_text,
        draws_box=kind.draws_box,
    )
    for name in ("modal", "_first", "_drawn", "_end", "execute"):
        method = getattr(kind, name)
        setattr(drag, name, types.MethodType(method, drag))
    if kind is operators_mask.T2L_OT_draw_strokes:  # its _end calls that of its base
        end = operators_mask.DrawsInPreview._end
        drag._end = lambda context, _outcome: end(drag, context, {"FINISHED"})
    context = types.SimpleNamespace(
        scene=scene,
        window=types.SimpleNamespace(
            cursor_modal_set=said.append, cursor_modal_restore=lambda: said.append("back")
        ),
        workspace=types.SimpleNamespace(status_text_set_internal=said.append),
        window_manager=types.SimpleNamespace(modal_handler_add=said.append),
    )

    def mouse(type_: str, value: str, x: float, y: float, ctrl: bool = False) -> set[str]:
        event = types.SimpleNamespace(type=type_, value=value, mouse_x=x, mouse_y=y, ctrl=ctrl)
        outcome: set[str] = drag.modal(context, event)
        return outcome

    with studio.sequencer(scene):
        assert kind.invoke(drag, context, None) == {"RUNNING_MODAL"}
        with pytest.raises(pytest.fail.Exception, match="Esc first"):
            kind.invoke(drag, context, None)
        yield mouse
    assert said[-2:] == ["back", None]


def test_strokes_and_clicks_are_drawn_in_the_preview(
    scene: Any, strip: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.frame_set(21)
    scene.text2live.mask_brush = 8
    with drawing(scene, operators_mask.T2L_OT_draw_strokes, monkeypatch) as mouse:
        mouse("LEFTMOUSE", "PRESS", 110, 130)
        mouse("MOUSEMOVE", "NOTHING", 170, 130)
        assert mouse("LEFTMOUSE", "RELEASE", 190, 130) == {"RUNNING_MODAL"}
        mouse("LEFTMOUSE", "PRESS", 90, 180, ctrl=True)
        assert mouse("LEFTMOUSE", "RELEASE", 90, 180, ctrl=True) == {"RUNNING_MODAL"}
        assert mouse("RET", "PRESS", 0, 0) == {"FINISHED"}
    (key,) = keys_of(strip)
    line, click = key.strokes
    assert (line.inside, line.radius, click.inside) == (True, 4, False)
    assert (line.points[0], line.points[-1], click.points) == ((28, 32), (68, 32), ((18, 7),))
    spec, store = read(scene, strip)
    (sent,) = spec.masks.strokes
    image = store(sent.mask.digest)[..., 0]
    assert (sent.frame, image[32, 40], image[7, 18]) == (1, 255, 64)


def test_several_key_frames_stay_with_the_footage(scene: Any, strip: Any) -> None:
    with studio.sequencer(scene):
        for frame, box in ((21, (1, 2, 30, 20)), (25, (5, 6, 30, 20)), (27, (9, 9, 30, 20))):
            scene.frame_set(frame)
            assert bpy.ops.text2live.draw_box(box=box) == {"FINISHED"}
        assert bpy.ops.text2live.draw_box(box=(7, 7, 30, 20)) == {"FINISHED"}  # drawn again
        compat.slide(strip, 100)
        assert bpy.ops.text2live.remove_key(frame=5) == {"FINISHED"}
        assert bpy.ops.text2live.go_to_frame(frame=7) == {"FINISHED"}
        assert scene.frame_current == 127
        scene.frame_set(50)
        with pytest.raises(RuntimeError, match="outside shot, which covers frames 120 to 127"):
            bpy.ops.text2live.draw_box(box=(7, 7, 30, 20))
    spec, _ = read(scene, strip)
    assert [(box.frame, box.x0) for box in spec.masks.boxes] == [(1, 1), (7, 7)]
    compat.set_span(strip, 122, 128)
    spec, _ = read(scene, strip)
    assert [(box.frame, box.x0) for box in spec.masks.boxes] == [(5, 7)]
    shown = drawn(scene, "T2L_PT_shot")
    assert "<Frame 121: Box (outside)>" in shown
    assert "<Frame 127: Box>" in shown


def test_a_mask_file_is_a_key_frame(scene: Any, strip: Any, tmp_path: Path) -> None:
    square = np.zeros((1, 64, 96, 3), np.uint8)
    square[0, 10:20, 30:50] = 255
    (path,) = studio.write_frames(square, tmp_path / "mask")
    scene.frame_set(24)
    with studio.sequencer(scene):
        assert bpy.ops.text2live.add_mask_file(filepath=str(path)) == {"FINISHED"}
    spec, store = read(scene, strip)
    (key,) = spec.masks.keys
    assert key.frame == 4
    assert np.argwhere(store(key.mask.digest)[..., 0])[[0, -1]].tolist() == [[10, 30], [19, 49]]
    path.unlink()
    with pytest.raises(jobs.JobError, match="mask of frame 24 does not exist"):
        read(scene, strip)


def test_drawing_without_a_preview_is_refused(
    scene: Any, strip: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mask_overlay, "preview_region", lambda _context: None)
    said: list[str] = []
    drag = types.SimpleNamespace(report=lambda _level, text: said.append(text))
    scene.frame_set(20)
    with studio.sequencer(scene):
        outcome = operators_mask.T2L_OT_draw_box.invoke(drag, bpy.context, None)
    assert outcome == {"CANCELLED"}
    assert "No preview is open" in said[0]


def test_the_box_is_scaled_with_the_frames(scene: Any, strip: Any) -> None:
    scene.text2live.prompt = "a red car"
    write_keys(strip, [MaskKey(frame=0, kind="box", box=(10, 20, 40, 30))])
    work = reading.Reading(scene, strip, scene.text2live.collect(48, strip=strip))
    spec = None
    while spec is None:
        spec = work.step()
    (box,) = spec.masks.boxes
    assert spec.clip.frames[0].shape == (32, 48, 3)
    assert (box.x0, box.y0, box.x1, box.y1) == (5, 10, 25, 25)
    assert isolate.COPY_NAME not in bpy.data.scenes
