"""A checkerboard over the erased parts of an image to paint on.

The Image Editor shows a canvas without its alpha, which stores the paint's opacity
(core/canvas.py). Without the checkerboard, erased parts would look as if they were still there.
"""

from __future__ import annotations

import traceback
from typing import Any

import bpy

from ..blender.image_jobs import CANVAS

_VERTEX = """
void main() {
  place = uv;
  gl_Position = view * vec4(pos, 0.0, 1.0);
}
"""
_FRAGMENT = """
void main() {
  ivec2 pixel = ivec2(place * vec2(textureSize(canvas, 0)));
  if (texelFetch(canvas, pixel, 0).a >= ground) {
    discard;
  }
  vec2 cell = floor(gl_FragCoord.xy / size);
  colour = vec4(mod(cell.x + cell.y, 2.0) < 1.0 ? primary : secondary, 1.0);
}
"""
_CORNERS = ((0, 0), (1, 0), (1, 1), (0, 0), (1, 1), (0, 1))

_handler: list[Any] = []
_shader: list[Any] = []
_failed: list[bool] = []


def shader() -> Any:
    """The shader that draws a checkerboard where the alpha is below GROUND; made on first use."""
    import gpu

    if not _shader:
        between = gpu.types.GPUStageInterfaceInfo("text2live_erased")
        between.smooth("VEC2", "place")
        info = gpu.types.GPUShaderCreateInfo()
        for kind, name in (
            ("MAT4", "view"),
            ("VEC3", "primary"),
            ("VEC3", "secondary"),
            ("FLOAT", "size"),
            ("FLOAT", "ground"),
        ):
            info.push_constant(kind, name)
        info.sampler(0, "FLOAT_2D", "canvas")
        info.vertex_in(0, "VEC2", "pos")
        info.vertex_in(1, "VEC2", "uv")
        info.vertex_out(between)
        info.fragment_out(0, "VEC4", "colour")
        info.vertex_source(_VERTEX)
        info.fragment_source(_FRAGMENT)
        _shader.append(gpu.shader.create_from_info(info))
    return _shader[0]


def draw(image: Any, corners: tuple[float, float, float, float]) -> None:
    """Draw the checkerboard over an image. corners: its x, y at the lower left and upper right."""
    import gpu
    from gpu_extras.batch import batch_for_shader

    x0, y0, x1, y1 = corners
    places = [(x0 + u * (x1 - x0), y0 + v * (y1 - y0)) for u, v in _CORNERS]
    checkerboard, theme = shader(), bpy.context.preferences.themes[0].user_interface
    batch = batch_for_shader(checkerboard, "TRIS", {"pos": places, "uv": _CORNERS})
    checkerboard.bind()
    view = gpu.matrix.get_projection_matrix() @ gpu.matrix.get_model_view_matrix()
    checkerboard.uniform_float("view", view)
    checkerboard.uniform_float("primary", theme.transparent_checker_primary)
    checkerboard.uniform_float("secondary", theme.transparent_checker_secondary)
    checkerboard.uniform_float("size", float(theme.transparent_checker_size))
    checkerboard.uniform_float("ground", (image[CANVAS] - 0.5) / 255)
    checkerboard.uniform_sampler("canvas", gpu.texture.from_image(image))
    batch.draw(checkerboard)


def _draw() -> None:
    context = bpy.context
    space, image = context.space_data, context.space_data.image
    if image is None or not image.get(CANVAS) or space.display_channels != "COLOR":
        return
    if not image.has_data or _failed:
        return
    to_region = context.region.view2d.view_to_region
    try:
        draw(image, (*to_region(0, 0, clip=False), *to_region(1, 1, clip=False)))
    except Exception:
        # The GPU cannot draw it: print that once, not on every redraw. Painting still works.
        traceback.print_exc()
        _failed.append(True)


def register() -> None:
    """Draw over every Image Editor; there is none in background mode."""
    if not bpy.app.background:
        space = bpy.types.SpaceImageEditor
        _handler.append(space.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL"))


def unregister() -> None:
    """Stop drawing."""
    while _handler:
        bpy.types.SpaceImageEditor.draw_handler_remove(_handler.pop(), "WINDOW")
    _shader.clear()
    _failed.clear()
