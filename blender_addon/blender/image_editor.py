"""Showing an image in an Image Editor, to view it or paint on it."""

from __future__ import annotations

from typing import Any

import bpy

from . import runtime


def show(image: Any, *, paint: bool) -> bool:
    """Show an image in an Image Editor, opening a window if needed; False in background mode."""
    if bpy.app.background:
        return False
    _window, area = _image_editor() or _new_image_editor()
    space = area.spaces.active
    space.image = image
    space.mode = "PAINT" if paint else "VIEW"
    # A canvas' alpha stores the paint's opacity (core/canvas.py): do not show it.
    space.display_channels = "COLOR" if paint else "COLOR_ALPHA"
    space.show_region_tool_header = space.show_region_ui = paint  # brush and colour
    area.tag_redraw()
    bpy.app.timers.register(_fit, first_interval=0.2)  # once the editor has its size
    return True


def _new_image_editor() -> tuple[Any, Any]:
    """Open a window with an Image Editor in its largest area."""
    bpy.ops.wm.window_new()
    window = bpy.context.window_manager.windows[-1]
    area = max(window.screen.areas, key=lambda one: one.width * one.height)
    area.type = "IMAGE_EDITOR"
    return window, area


def _fit() -> None:
    found = _image_editor()
    if found is None:
        return
    window, area = found
    region = next(region for region in area.regions if region.type == "WINDOW")
    override = bpy.context.temp_override(window=window, area=area, region=region)
    with runtime.current().session.threads_paused(), override:
        bpy.ops.image.view_all(fit_view=True)


def _image_editor() -> tuple[Any, Any] | None:
    """An Image Editor and its window, or None."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "IMAGE_EDITOR":
                return window, area
    return None
