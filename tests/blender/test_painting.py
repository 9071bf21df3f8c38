"""Images to paint on, and the paint that is sent."""

from __future__ import annotations

import threading
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

import gpu  # noqa: E402
from mathutils import Matrix  # noqa: E402
from test_shot import paint, read  # noqa: E402

from blender_addon.blender import handlers, image_jobs, masks, runtime  # noqa: E402
from blender_addon.core import png  # noqa: E402
from blender_addon.ui import erased_overlay, open_image, operators_paint  # noqa: E402
from blender_addon.wire import jobs  # noqa: E402
from scripts.blender import studio  # noqa: E402


@pytest.fixture
def strip(scene: Any, movie: Path) -> Any:
    studio.editor(scene).active_strip = studio.movie_strip(scene, movie, frame_start=20)
    return studio.editor(scene).active_strip


def pressed() -> Any:
    """The operator for painting on a frame, invoked as by its button."""
    return types.SimpleNamespace(
        open=lambda context: operators_paint.T2L_OT_paint_frame.open(None, context),
        _begin=lambda context, wait: open_image.OpenImageOperator._begin(
            pressed(), context, wait=wait
        ),
        report=lambda _level, text: pytest.fail(text),
    )


def test_paint_on_a_frame_is_sent_alone(scene: Any, strip: Any) -> None:
    scene.frame_set(25)
    with studio.sequencer(scene):
        assert bpy.ops.text2live.paint_frame() == {"FINISHED"}
    settings = scene.text2live
    assert (settings.paint_onto, settings.paint_frame) == ("frame", 25)
    paint(settings.paint_image, slice(5, 9), slice(40, 60), (1, 0, 0, 1))
    spec, store = read(
        scene, strip, settings.paint_image.name, mask_mode="auto", paint_layer="background"
    )
    assert isinstance(spec, jobs.PaintJob)
    assert (spec.frame, spec.layer) == (5, "background")
    picture = store(spec.image.digest)
    assert np.argwhere(picture[..., 3])[[0, -1]].tolist() == [[5, 40], [8, 59]]
    assert picture[6, 50].tolist() == [255, 0, 0, 255]


def test_a_soft_stroke_on_a_frame_stays_soft(scene: Any, strip: Any, clip: Any) -> None:
    """The layer has the brush's colour, not the footage's, and looks as painted."""
    scene.frame_set(25)
    with studio.sequencer(scene):
        bpy.ops.text2live.paint_frame()
    settings = scene.text2live
    image = settings.paint_image
    for column in range(40, 60):
        paint(image, slice(5, 9), slice(column, column + 1), (0.8, 0.2, 0.4, (column - 40) / 19))
    bpy.ops.wm.save_as_mainfile(filepath=str(Path(bpy.app.tempdir) / "painted.blend"))
    seen = masks.image_pixels(image.name)[..., :3].astype(int)
    spec, store = read(scene, strip, image.name, mask_mode="auto")
    layer = store(spec.image.digest)
    assert not layer[..., 3][:, :40].any()
    alpha = layer[6, 40:60, 3].astype(int)
    assert (np.diff(alpha) > 0).all()
    assert (alpha[0], alpha[-1]) == (0, 255)
    strong = alpha > 80
    assert np.abs(layer[6, 40:60, :3][strong] - np.array([204.0, 51.0, 102.0])).max() <= 6
    composed = studio.over(layer, clip[5]).astype(int)
    assert np.abs(composed - seen).max() <= 1


def test_opening_a_frame_does_not_wait_for_its_image(
    scene: Any, strip: Any, clip: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, write = threading.Event(), image_jobs.png.write

    def late(*about: Any, **more: Any) -> None:
        assert threading.current_thread() is not threading.main_thread()
        writing.wait(10)
        write(*about, **more)

    monkeypatch.setattr(image_jobs.png, "write", late)
    scene.frame_set(22)
    with studio.sequencer(scene):
        began = operators_paint.T2L_OT_paint_frame.invoke(pressed(), bpy.context, None)
    assert began == {"FINISHED"}
    state = runtime.current()
    handlers.on_timer()
    assert scene.text2live.paint_image is None
    assert state.interval() < 0.1
    assert len(bpy.data.scenes) == 1
    scene.frame_set(27)  # the artist goes on meanwhile
    writing.set()
    assert studio.tick_until(handlers.on_timer, lambda: not state.image_jobs.busy, 10.0)
    image = scene.text2live.paint_image
    assert np.array_equal(masks.image_pixels(image.name)[..., :3], clip[2])
    assert scene.text2live.paint_frame == 22


def test_an_image_that_cannot_be_written_is_reported(
    scene: Any, strip: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_about: Any, **_more: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(image_jobs.png, "write", full)
    scene.frame_set(22)
    with studio.sequencer(scene):
        operators_paint.T2L_OT_paint_frame.invoke(pressed(), bpy.context, None)
    state = runtime.current()
    assert studio.tick_until(handlers.on_timer, lambda: not state.image_jobs.busy, 10.0)
    assert "No space left" in state.problem.message
    assert scene.text2live.paint_image is None


def test_a_frame_outside_the_strip_cannot_be_painted_on(scene: Any, strip: Any) -> None:
    scene.frame_set(19)
    with studio.sequencer(scene), pytest.raises(RuntimeError, match="covers frames 20 to 27"):
        bpy.ops.text2live.paint_frame()


def test_images_are_stored_unchanged(scene: Any, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (9, 13, 4), np.uint8)
    png.write(tmp_path / "p.png", picture)
    image = image_jobs.load_packed("p", tmp_path / "p.png")
    for _ in range(2):
        assert np.array_equal(masks.image_pixels("p"), picture)
        assert (image.packed_file is not None, image.filepath, image.is_float) == (True, "", False)
        assert (image.alpha_mode, image.colorspace_settings.name) == ("STRAIGHT", "sRGB")
        image.use_fake_user = True
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
        bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "film.blend"))
        image = bpy.data.images["p"]
    assert not (tmp_path / "p.png").exists()
    with pytest.raises(jobs.JobError, match="no image q"):
        masks.image_pixels("q")


@pytest.mark.skipif(not hasattr(gpu, "init"), reason="draws without a window, from 5.2 on")
def test_erased_parts_are_drawn_as_a_checkerboard(scene: Any, tmp_path: Path) -> None:
    picture = np.full((8, 8, 4), image_jobs.GROUND, np.uint8)
    picture[1, 2, 3], picture[6, 3:6, 3], picture[6, 6, 3] = image_jobs.GROUND - 1, 0, 255
    png.write(tmp_path / "p.png", picture)
    image = image_jobs.load_packed("p", tmp_path / "p.png")
    image[image_jobs.CANVAS] = image_jobs.GROUND
    try:
        gpu.init()
    except SystemError as why:
        pytest.skip(f"nothing to draw with: {why}")
    screen = gpu.types.GPUOffScreen(64, 64)
    with screen.bind(), gpu.matrix.push_pop():
        gpu.state.active_framebuffer_get().clear(color=(1, 0, 0, 1))
        gpu.matrix.load_identity()
        gpu.matrix.load_projection_matrix(
            Matrix(((2 / 64, 0, 0, -1), (0, 2 / 64, 0, -1), (0, 0, 1, 0), (0, 0, 0, 1)))
        )
        erased_overlay.draw(image, (0, 0, 64, 64))
        drawn = gpu.state.active_framebuffer_get().read_color(0, 0, 64, 64, 4, 0, "UBYTE")
    screen.free()
    drawn.dimensions = 64 * 64 * 4
    pixels = np.array(drawn, np.uint8).reshape(8, 8, 8, 8, 4)[::-1]
    untouched = (pixels == [255, 0, 0, 255]).all(axis=(1, 3, 4))
    assert np.argwhere(~untouched).tolist() == [[1, 2], [6, 3], [6, 4], [6, 5]]
    greys = np.unique(pixels[6, :, 3:6, :, :3])
    assert len(greys) == 2


def test_a_gpu_that_cannot_draw_it_is_reported_once(
    scene: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = bpy.data.images.new("canvas", 8, 8)
    image[image_jobs.CANVAS] = image_jobs.GROUND
    image.pixels[0] = 1.0
    assert image.has_data

    def draw(*_about: Any) -> None:
        raise SystemError("no such shader")

    monkeypatch.setattr(erased_overlay, "draw", draw)
    view = types.SimpleNamespace(view_to_region=lambda x, y, clip: (x, y))
    context = types.SimpleNamespace(
        space_data=types.SimpleNamespace(image=image, display_channels="COLOR"),
        region=types.SimpleNamespace(view2d=view),
    )
    monkeypatch.setattr(erased_overlay, "bpy", types.SimpleNamespace(context=context))
    for _ in range(2):
        erased_overlay._draw()
    erased_overlay._failed.clear()
    assert capsys.readouterr().err.count("SystemError: no such shader") == 1
