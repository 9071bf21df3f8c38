"""The previewed mask: tinted over the footage, and its confidence as a curve on the strip."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..blender import compat, mask_previews
from ..core import png
from ..core.quality import DOUBTFUL
from .base import subject
from .mask_overlay import region_points

TINT = (1.0, 0.25, 0.6)
STRENGTH = 0.55
_SURE = (0.3, 0.85, 0.4, 0.75)
_DOUBTFUL = (1.0, 0.25, 0.15, 0.9)
KEPT = 12  # textures

_VERTEX = """
void main() {
  place = uv;
  gl_Position = view * vec4(pos, 0.0, 1.0);
}
"""
_FRAGMENT = """
void main() {
  colour = vec4(tint, strength * texture(mask, place).r);
}
"""
_UV = ((0, 0), (1, 0), (1, 1), (0, 0), (1, 1), (0, 1))

_handlers: list[tuple[Any, str]] = []
_shader: list[Any] = []
_failed: list[bool] = []
_textures: dict[Path, Any] = {}


def shown_preview(context: Any) -> tuple[Any, mask_previews.MaskPreview] | None:
    """The active strip and its preview, if that is to be shown."""
    scene, strip = compat.sequencer_scene(context), subject(context)
    if scene is None or strip is None or not scene.text2live.show_mask:
        return None
    found = mask_previews.find(strip)
    usable = found is not None and strip.type in compat.SOURCE_TYPES and strip.elements
    return (strip, found) if usable and found is not None else None


def bars(
    confidence: tuple[float, ...], left: float, step: float, low: float, high: float
) -> dict[bool, list[tuple[float, float]]]:
    """Triangles of a bar for each frame, by whether the frame is doubtful.

    left: x of the first frame. step: width of a frame. low, high: y at confidence 0 and 1. A
    doubtful frame has a bar of full height.
    """
    corners: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for index, value in enumerate(confidence):
        doubtful = value < DOUBTFUL
        top = high if doubtful else low + (high - low) * value
        x0, x1 = left + index * step, left + (index + 1) * step
        quad = ((x0, low), (x1, low), (x1, top), (x0, top))
        corners[doubtful] += [quad[corner] for corner in (0, 1, 2, 0, 2, 3)]
    return corners


def _draw_mask() -> None:
    context = bpy.context
    shown = shown_preview(context)
    if shown is None or _failed:
        return
    strip, found = shown
    index = found.index(strip, compat.sequencer_scene(context).frame_current)
    start, end = compat.span(strip)
    if index is None or not start <= found.frame(strip, index) < end:
        return
    try:
        texture = _texture(found.file(index))
        if texture is not None:
            width, height = strip.elements[0].orig_width, strip.elements[0].orig_height
            corners = [(0, height), (width, height), (width, 0), (0, 0)]
            _draw_tint(texture, region_points(context, strip, corners))
    except Exception:
        # The GPU cannot draw it: print that once, not on every redraw.
        traceback.print_exc()
        _failed.append(True)


def _texture(path: Path) -> Any:
    """The mask of a file on the GPU; None if it cannot be read."""
    import gpu

    if path not in _textures:
        try:
            mask = png.read(path)[::-1, :, 3].astype(np.float32) / 255
        except (OSError, png.PngError):
            _textures[path] = None  # not tried at every redraw
            return None
        height, width = mask.shape
        data = gpu.types.Buffer("FLOAT", width * height, np.ascontiguousarray(mask).ravel())
        _textures[path] = gpu.types.GPUTexture((width, height), format="R16F", data=data)
        while len(_textures) > KEPT:
            del _textures[next(iter(_textures))]
    return _textures[path]


def shader() -> Any:
    """The shader that tints the inside of a mask; made on first use."""
    import gpu

    if not _shader:
        between = gpu.types.GPUStageInterfaceInfo("text2live_mask")
        between.smooth("VEC2", "place")
        info = gpu.types.GPUShaderCreateInfo()
        for kind, name in (("MAT4", "view"), ("VEC3", "tint"), ("FLOAT", "strength")):
            info.push_constant(kind, name)
        info.sampler(0, "FLOAT_2D", "mask")
        info.vertex_in(0, "VEC2", "pos")
        info.vertex_in(1, "VEC2", "uv")
        info.vertex_out(between)
        info.fragment_out(0, "VEC4", "colour")
        info.vertex_source(_VERTEX)
        info.fragment_source(_FRAGMENT)
        _shader.append(gpu.shader.create_from_info(info))
    return _shader[0]


def _draw_tint(texture: Any, corners: list[tuple[float, float]]) -> None:
    import gpu
    from gpu_extras.batch import batch_for_shader

    tint = shader()
    places = [corners[index] for index in (0, 1, 2, 0, 2, 3)]
    batch = batch_for_shader(tint, "TRIS", {"pos": places, "uv": _UV})
    gpu.state.blend_set("ALPHA")
    tint.bind()
    view = gpu.matrix.get_projection_matrix() @ gpu.matrix.get_model_view_matrix()
    tint.uniform_float("view", view)
    tint.uniform_float("tint", TINT)
    tint.uniform_float("strength", STRENGTH)
    tint.uniform_sampler("mask", texture)
    batch.draw(tint)
    gpu.state.blend_set("NONE")


def _draw_confidence() -> None:
    context = bpy.context
    shown = shown_preview(context)
    if shown is None:
        return
    strip, found = shown
    to_region = context.region.view2d.view_to_region
    first = found.frame(strip, 0)
    left, low = to_region(first, strip.channel + 0.06, clip=False)
    right, high = to_region(first + len(found.confidence), strip.channel + 0.36, clip=False)
    step = (right - left) / len(found.confidence)
    triangles = bars(found.confidence, left, step, low, high)
    _draw_triangles(triangles[False], _SURE)
    _draw_triangles(triangles[True], _DOUBTFUL)


def _draw_triangles(corners: list[tuple[float, float]], colour: tuple[float, ...]) -> None:
    import gpu
    from gpu_extras.batch import batch_for_shader

    if not corners:
        return
    flat = compat.flat_shader()
    batch = batch_for_shader(flat, "TRIS", {"pos": corners})
    gpu.state.blend_set("ALPHA")
    flat.bind()
    flat.uniform_float("color", colour)
    batch.draw(flat)
    gpu.state.blend_set("NONE")


def register() -> None:
    """Draw over every preview and timeline; there is none in background mode."""
    if not bpy.app.background:
        space = bpy.types.SpaceSequenceEditor
        for draw, kind in ((_draw_mask, "PREVIEW"), (_draw_confidence, "WINDOW")):
            _handlers.append((space.draw_handler_add(draw, (), kind, "POST_PIXEL"), kind))


def unregister() -> None:
    """Stop drawing, and drop the textures."""
    while _handlers:
        handler, kind = _handlers.pop()
        bpy.types.SpaceSequenceEditor.draw_handler_remove(handler, kind)
    _textures.clear()
    _shader.clear()
    _failed.clear()
