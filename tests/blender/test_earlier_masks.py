"""Files from before masks had key frames keep their mask, as a key frame of their strip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from blender_addon.blender import compat, earlier_masks  # noqa: E402
from blender_addon.blender.mask_keys import keys_of  # noqa: E402
from blender_addon.core.mask_keys import MaskKey  # noqa: E402
from scripts.blender import studio  # noqa: E402


def saved(scene: Any, **values: Any) -> Any:
    """Write into the panel's settings what the file of an earlier version holds."""
    settings = scene.text2live
    stored = (
        settings.bl_system_properties_get(do_create=True)
        if hasattr(settings, "bl_system_properties_get")
        else settings
    )
    for name, value in values.items():
        stored[name] = value
    return stored


@pytest.fixture
def strip(scene: Any, movie: Path) -> Any:
    """A strip with a frame of content at timeline frame 5, which is the mask's frame."""
    one = studio.movie_strip(scene, movie)
    scene.text2live.mask_frame = round(compat.content_start(one)) + 2
    return one


def test_a_box_becomes_a_key_frame(scene: Any, strip: Any) -> None:
    saved(scene, mask_corner=(3, 4), mask_size=(50, 40))
    earlier_masks.upgrade_file()
    assert keys_of(strip) == (MaskKey(frame=2, kind="box", box=(3.0, 4.0, 50.0, 40.0)),)
    assert scene.text2live.collect(strip=strip).mask_keys == keys_of(strip)


def test_a_painted_image_and_a_file_become_key_frames(scene: Any, strip: Any) -> None:
    image = bpy.data.images.new("painted", 8, 8)
    box = {"mask_corner": (3, 4), "mask_size": (50, 40)}
    stored = saved(scene, mask_mode=1, mask_image=image, **box)
    earlier_masks.upgrade_file()
    assert keys_of(strip) == (MaskKey(frame=2, kind="image", name="painted"),)
    assert scene.text2live.mask_mode == "keys"
    assert "mask_size" not in stored  # or the next load would take it for another mask

    strip["text2live_mask_keys"] = "[]"
    saved(scene, mask_mode=6, mask_file="/masks/one.png")
    earlier_masks.upgrade_file()
    (key,) = keys_of(strip)
    assert (key.kind, Path(key.path)) == ("file", Path(bpy.path.abspath("/masks/one.png")))


def test_no_other_mask_is_touched(scene: Any, strip: Any) -> None:
    box = {"mask_corner": (3, 4), "mask_size": (50, 40)}
    stored = saved(scene, mask_mode=3, **box)
    earlier_masks.upgrade_file()
    assert keys_of(strip) == ()
    assert scene.text2live.mask_mode == "auto"
    stored["mask_mode"] = 0
    scene.text2live.mask_frame = compat.span(strip)[1]  # where no strip is
    earlier_masks.upgrade_file()
    assert keys_of(strip) == ()
    assert tuple(stored["mask_size"]) == (50, 40)


def test_a_mask_that_cannot_be_read_does_not_stop_the_loading(scene: Any, strip: Any) -> None:
    saved(scene, mask_corner="words", mask_size="more")
    earlier_masks.upgrade_file()
    assert keys_of(strip) == ()
