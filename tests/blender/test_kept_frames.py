"""Frames that were read are used again, but only while nothing that they depend on has changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from desk import Desk  # noqa: E402

from blender_addon.blender import compat, kept_frames  # noqa: E402
from scripts.blender import studio  # noqa: E402


@pytest.fixture
def strip(scene: Any, pictures: list[Path]) -> Any:
    return studio.image_strip(scene, pictures)


def test_the_frames_of_a_strip_are_rendered_once(desk: Desk, rendered: list[int]) -> None:
    first = desk.press()
    desk.until(lambda: first.ended)
    compat.slide(desk.strip, 40)
    desk.strip.transform.offset_x = 5
    desk.scene.text2live.prompt = "a blue car"
    second = desk.press()
    desk.until(lambda: second.ended)
    assert (first.problem, second.problem) == (None, None)
    assert rendered == list(range(20, 28))
    assert second.placed
    desk.strip.use_reverse_frames = True
    third = desk.press()
    desk.until(lambda: third.ended)
    assert rendered == [*range(20, 28), *range(60, 68)]


@pytest.mark.parametrize("change", ["trim", "fps", "strobe", "file", "colours", "longest"])
def test_a_change_of_the_pixels_is_noticed(scene: Any, strip: Any, change: str) -> None:
    before = kept_frames.frames_key(scene, strip, 0)
    strip.name, strip.mute, strip.channel, strip.blend_alpha = "other", True, 4, 0.5
    compat.slide(strip, 7)
    assert kept_frames.frames_key(scene, strip, 0) == before
    longest = 0
    if change == "trim":
        start, end = compat.span(strip)
        compat.set_span(strip, start + 1, end)
    elif change == "fps":
        scene.render.fps = 30
    elif change == "strobe":
        strip.strobe = 2
    elif change == "file":
        os.utime(Path(bpy.path.abspath(strip.directory)) / strip.elements[3].filename, (1, 1))
    elif change == "colours":
        strip.colorspace_settings.name = "Non-Color"
    else:
        longest = 48
    assert kept_frames.frames_key(scene, strip, longest) != before
