"""The object's box, drawn over the preview: the one that is set, or the one being dragged."""

from __future__ import annotations

from typing import Any

import bpy

from ..blender import compat
from ..blender.timeline import layers
from ..core.planning import image_to_canvas
from .base import subject

_COLOUR = (1.0, 0.55, 0.1, 1.0)
_DIM = (1.0, 0.55, 0.1, 0.35)  # on frames other than the box's own

Point = tuple[float, float]
_drag: list[tuple[float, float, float, float]] = []
_handler: list[Any] = []


def show_drag(corners: tuple[float, float, float, float] | None) -> None:
    """Show the box being dragged: x, y of two corners in the region; None to hide it."""
    _drag[:] = [] if corners is None else [corners]


def preview_region(context: Any) -> Any:
    """The largest preview region in this window, or None."""
    found = [
        region
        for area in context.window.screen.areas
        if area.type == "SEQUENCE_EDITOR" and area.spaces.active.view_type != "SEQUENCER"
        for region in area.regions
        if region.type == "PREVIEW" and region.width > 1
    ]
    return max(found, key=lambda region: region.width * region.height, default=None)


def canvas_points(context: Any, region: Any, first: Point, last: Point) -> list[Point]:
    """Corners of a box in the region as canvas points, in pixels from the canvas' centre."""
    aspect = _pixel_aspect(compat.sequencer_scene(context))
    corners = [(x, y) for x in (first[0], last[0]) for y in (first[1], last[1])]
    points = [region.view2d.region_to_view(*corner) for corner in corners]
    return [(x / aspect, y) for x, y in points]


def _pixel_aspect(scene: Any) -> float:
    return float(scene.render.pixel_aspect_x / scene.render.pixel_aspect_y)


def _draw() -> None:
    context = bpy.context
    if _drag:
        x0, y0, x1, y1 = _drag[0]
        _outline([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], _COLOUR)
        return
    box = _set_box(context)
    if box:
        _outline(*box)


def _set_box(context: Any) -> tuple[list[Point], tuple[float, ...]] | None:
    """Corners in the region and colour of the active strip's box; None without one."""
    scene, strip = compat.sequencer_scene(context), subject(context)
    if scene is None or strip is None or strip.type not in compat.SOURCE_TYPES:
        return None
    settings = scene.text2live
    element = strip.elements[0] if strip.elements else None
    if settings.mask_mode != "box" or min(settings.mask_size) < 1 or element is None:
        return None
    size = (element.orig_width, element.orig_height)
    (x, y), (width, height) = settings.mask_corner, settings.mask_size
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    placement, aspect = layers.get_placement(strip), _pixel_aspect(scene)
    points = [image_to_canvas(corner, placement, size) for corner in corners]
    to_region = context.region.view2d.view_to_region
    shown = [to_region(px * aspect, py, clip=False) for px, py in points]
    return shown, _COLOUR if scene.frame_current == settings.mask_frame else _DIM


def _outline(corners: list[Point], colour: tuple[float, ...]) -> None:
    import gpu
    from gpu_extras.batch import batch_for_shader

    shader = compat.flat_shader()
    batch = batch_for_shader(shader, "LINE_LOOP", {"pos": [(x, y) for x, y in corners]})
    gpu.state.blend_set("ALPHA")
    gpu.state.line_width_set(2.0)
    shader.bind()
    shader.uniform_float("color", colour)
    batch.draw(shader)
    gpu.state.line_width_set(1.0)
    gpu.state.blend_set("NONE")


def register() -> None:
    """Draw over every preview; there is none in background mode."""
    if not bpy.app.background:
        space = bpy.types.SpaceSequenceEditor
        _handler.append(space.draw_handler_add(_draw, (), "PREVIEW", "POST_PIXEL"))


def unregister() -> None:
    """Stop drawing."""
    while _handler:
        bpy.types.SpaceSequenceEditor.draw_handler_remove(_handler.pop(), "PREVIEW")
