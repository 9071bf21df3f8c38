"""Previewing the mask before any long work, with a mock backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from desk import Desk  # noqa: E402
from recorder import drawn  # noqa: E402

from blender_addon.blender import compat, handlers, mask_previews, runtime  # noqa: E402
from blender_addon.blender.timeline import follow  # noqa: E402
from blender_addon.core import png  # noqa: E402
from blender_addon.ui import preview_overlay  # noqa: E402
from scripts.blender import studio  # noqa: E402


def preview(desk: Desk) -> Any:
    """Press Preview Mask and wait; the preview."""
    with studio.sequencer(desk.scene):
        assert bpy.ops.text2live.preview_mask(timeout=60) == {"FINISHED"}
    found = mask_previews.find(desk.strip)
    assert found is not None
    return found


def test_the_mask_of_every_frame_is_shown_with_its_doubtful_frames(desk: Desk) -> None:
    scene, strip = desk.scene, desk.strip
    with studio.sequencer(scene):
        scene.frame_set(20)
        bpy.ops.text2live.draw_box(box=(10, 10, 40, 40))
        assert "Preview Mask" in drawn(scene, "T2L_PT_shot")
    channels = [one.channel for one in compat.all_strips(scene.sequence_editor)]
    found = preview(desk)
    assert [one.channel for one in compat.all_strips(scene.sequence_editor)] == channels
    assert found.confidence == (0.9,) * 6 + (0.2,) * 2
    assert [found.index(strip, frame) for frame in (19, 20, 27, 28)] == [None, 0, 7, None]
    mask = png.read(found.file(7))
    assert mask.shape == (64, 96, 4)
    assert mask[..., 3].any()
    shown = drawn(scene, "T2L_PT_shot")
    assert "The object is lost from frame 26." in shown
    assert "<Add a Key Frame on 26>" in shown
    assert "<26-27>" in shown
    assert "has changed" not in shown
    assert "Mask preview: done" in drawn(scene, "T2L_PT_jobs")
    assert "<Retry>" not in drawn(scene, "T2L_PT_jobs")
    assert scene.text2live.show_mask
    job = desk.press()
    assert not scene.text2live.show_mask
    desk.until(lambda: job.ended)


def test_a_layer_is_placed_where_blender_lacks_a_property_that_it_would_copy(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "_COPIED", (*follow._COPIED, "of_a_later_blender"))
    job = desk.press()
    desk.until(lambda: job.ended)
    assert (job.problem, job.placed) == (None, True)


def test_the_buttons_jump_to_doubtful_frames(desk: Desk) -> None:
    scene = desk.scene
    preview(desk)
    compat.slide(desk.strip, 100)  # the preview stays with the footage
    scene.frame_set(121)
    seen = []
    with studio.sequencer(scene):
        for _ in range(2):
            bpy.ops.text2live.doubtful_frame()
            seen.append(scene.frame_current)
        bpy.ops.text2live.doubtful_frame(backwards=True)
        seen.append(scene.frame_current)
        assert bpy.ops.text2live.doubtful_frame(backwards=True) == {"CANCELLED"}
        strip, found = preview_overlay.shown_preview(bpy.context)
        assert found.index(strip, 127) == 7
        scene.text2live.show_mask = False
        assert preview_overlay.shown_preview(bpy.context) is None
    assert seen == [126, 127, 126]
    assert "lost from frame 126" in drawn(scene, "T2L_PT_shot")


def test_a_preview_of_another_mask_is_marked(desk: Desk) -> None:
    preview(desk)
    desk.scene.text2live.seed = 5  # the mask does not depend on it
    assert "The mask has changed" not in drawn(desk.scene, "T2L_PT_shot")
    desk.scene.text2live.mask_text = "a car"
    assert "The mask has changed" in drawn(desk.scene, "T2L_PT_shot")


def test_a_preview_is_there_after_saving_elsewhere_and_reopening(
    desk: Desk, tmp_path: Path
) -> None:
    job = preview(desk).job
    elsewhere = tmp_path / "elsewhere" / "film.blend"
    elsewhere.parent.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(elsewhere))
    runtime.start()  # Blender was closed and opened
    bpy.ops.wm.open_mainfile(filepath=str(elsewhere))
    handlers.on_timer()
    found = mask_previews.find(desk.strip)
    assert found is not None
    assert found.job == job
    assert found.file(0).is_file()


def test_bars_of_the_confidence() -> None:
    corners = preview_overlay.bars((1.0, 0.6, 0.1), 10, 4, 100, 120)
    assert len(corners[False]) == 12
    assert corners[True] == [(18, 100), (22, 100), (22, 120), (18, 100), (22, 120), (18, 120)]
    assert max(y for _x, y in corners[False][6:]) == 112
