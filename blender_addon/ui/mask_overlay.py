"""The mask's key frames drawn over the preview, and the box or stroke being drawn."""

from __future__ import annotations

from typing import Any

import bpy

from ..blender import compat
from ..blender.mask_keys import content_frame, keys_of
from ..blender.timeline import layers
from ..core.mask_keys import MaskKey, Point
from ..core.planning import image_to_canvas
from .base import subject

Colour = tuple[float, float, float, float]

_OBJECT: Colour = (1.0, 0.55, 0.1, 1.0)
_BACKGROUND: Colour = (0.2, 0.5, 1.0, 1.0)

HANDLE = 10.0  # pixels around a corner of a box in which it can be dragged

_handler: list[Any] = []


class Drawing:
    """The box or stroke being drawn.

    points: in the region at `place`, x and y in the window. finished: strokes drawn so far.
    """

    box = False
    place = (0, 0)

    def __init__(self) -> None:
        self.active = False
        self.points: list[Point] = []
        self.inside = True
        self.finished = 0

    def begin(self, box: bool) -> None:
        """An operator begins to draw a box, or strokes."""
        self.box = box
        self.active, self.points, self.inside, self.finished = True, [], True, 0

    def end(self) -> None:
        """It has ended."""
        self.active, self.points = False, []


drawing = Drawing()


def preview_region(context: Any, point: Point | None = None) -> Any:
    """The preview region at a point of the window, or else the largest in it; None without one."""
    found = [
        region
        for area in context.window.screen.areas
        if area.type == "SEQUENCE_EDITOR" and area.spaces.active.view_type != "SEQUENCER"
        for region in area.regions
        if region.type == "PREVIEW" and region.width > 1
    ]
    for region in found:
        if point is not None and contains(region, point):
            return region
    return max(found, key=lambda region: region.width * region.height, default=None)


def contains(region: Any, point: Point) -> bool:
    """Whether a region contains a point of the window."""
    x, y = point[0] - region.x, point[1] - region.y
    return bool(0 <= x < region.width and 0 <= y < region.height)


def canvas_points(context: Any, region: Any, points: list[Point]) -> list[Point]:
    """Points of the region as points of the canvas, in pixels from its centre."""
    aspect = pixel_aspect(compat.sequencer_scene(context))
    return [(x / aspect, y) for x, y in (region.view2d.region_to_view(*one) for one in points)]


def pixel_aspect(scene: Any) -> float:
    """Width of a pixel relative to its height."""
    return float(scene.render.pixel_aspect_x / scene.render.pixel_aspect_y)


def region_points(context: Any, strip: Any, points: list[Point], region: Any = None) -> list[Point]:
    """Pixels of a strip's frame, y down, as points of a region; default: the one being drawn."""
    element = strip.elements[0]
    size, placement = (element.orig_width, element.orig_height), layers.get_placement(strip)
    aspect = pixel_aspect(compat.sequencer_scene(context))
    to_region = (region or context.region).view2d.view_to_region
    canvas = [image_to_canvas(point, placement, size) for point in points]
    return [to_region(x * aspect, y, clip=False) for x, y in canvas]


def key_here(scene: Any, strip: Any) -> MaskKey | None:
    """The key frame on the current frame, if the object is found by key frames."""
    if scene is None or strip is None or strip.type not in compat.SOURCE_TYPES:
        return None
    if scene.text2live.mask_mode != "keys" or not strip.elements:
        return None
    frame = content_frame(strip, scene.frame_current)
    return next((key for key in keys_of(strip) if key.frame == frame), None)


def box_corners(key: MaskKey) -> list[Point]:
    """The corners of a key frame's box, in pixels of the strip's frame; in order around it."""
    x, y, width, height = key.box
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]


def opposite_corner(context: Any, strip: Any, region: Any, point: Point) -> Point | None:
    """The corner across from the one at a point of a region, if the box here has one there."""
    key = key_here(compat.sequencer_scene(context), strip)
    if key is None or key.kind != "box":
        return None
    corners = region_points(context, strip, box_corners(key), region)
    for number, (x, y) in enumerate(corners):
        if abs(x - point[0]) <= HANDLE and abs(y - point[1]) <= HANDLE:
            return corners[(number + 2) % 4]
    return None


def _draw() -> None:
    context = bpy.context
    strip = subject(context)
    key = key_here(compat.sequencer_scene(context), strip)
    if key is not None and key.kind == "box" and not drawing.points:
        corners = region_points(context, strip, box_corners(key))
        _line(corners, _OBJECT, closed=True)
        for corner in corners if drawing.active and drawing.box else ():
            _line([corner], _OBJECT, width=HANDLE)
    for stroke in key.strokes if key is not None else ():
        width = _shown_width(context, strip, 2 * stroke.radius)
        points = region_points(context, strip, list(stroke.points))
        _line(points, _OBJECT if stroke.inside else _BACKGROUND, width=width)
    if drawing.points and drawing.place == (context.region.x, context.region.y):
        _draw_unfinished()


def _shown_width(context: Any, strip: Any, pixels: float) -> float:
    (x0, y0), (x1, y1) = region_points(context, strip, [(0, 0), (pixels, 0)])
    return max(2.0, min(60.0, float(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5)))


def _draw_unfinished() -> None:
    (x0, y0), (x1, y1) = drawing.points[0], drawing.points[-1]
    if drawing.box:
        _line([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], _OBJECT, closed=True)
    else:
        _line(drawing.points, _OBJECT if drawing.inside else _BACKGROUND, width=4.0)


def _line(points: list[Point], colour: Colour, width: float = 2.0, closed: bool = False) -> None:
    import gpu
    from gpu_extras.batch import batch_for_shader

    x, y = points[-1]
    shown = points if len(points) > 1 else [(x - width / 2, y), (x + width / 2, y)]
    shader = compat.flat_shader()
    batch = batch_for_shader(shader, "LINE_LOOP" if closed else "LINE_STRIP", {"pos": shown})
    gpu.state.blend_set("ALPHA")
    gpu.state.line_width_set(width)
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
