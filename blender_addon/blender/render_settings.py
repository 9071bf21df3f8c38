"""Render settings for exact pixels: no view transform, no scaling, no lossy codec.

Needs bpy alone: write_movie.py loads this file in a Blender without the add-on's packages.
"""

from __future__ import annotations

from typing import Any

from . import compat


def render_exactly(scene: Any, size: tuple[int, int]) -> None:
    """Set a scene up to render its Sequencer unchanged, one still per frame. size: (W, H).

    The view transform is Standard: Blender's defaults (AgX, Filmic) change every colour.
    """
    scene.display_settings.display_device = "sRGB"
    scene.sequencer_colorspace_settings.name = "sRGB"
    view = scene.view_settings
    view.view_transform, view.look = "Standard", "None"
    view.exposure, view.gamma, view.use_curve_mapping = 0.0, 1.0, False
    scene.frame_step = 1
    render = scene.render
    render.resolution_x, render.resolution_y = size
    render.resolution_percentage = 100
    render.pixel_aspect_x = render.pixel_aspect_y = 1.0
    render.use_sequencer, render.use_compositing = True, False
    render.use_border = render.use_multiview = render.use_stamp = False
    render.use_overwrite, render.use_placeholder, render.use_file_extension = True, False, True
    render.dither_intensity = 0.0
    set_still_format(render)


def set_still_format(render: Any) -> None:
    """Write uncompressed 8-bit Targa with alpha: exact, and read without a codec."""
    settings = compat.image_settings(render, "IMAGE")
    settings.file_format = "TARGA_RAW"
    settings.color_mode = "RGBA"
    settings.color_depth = "8"
    if hasattr(settings, "color_management"):
        settings.color_management = "FOLLOW_SCENE"


def set_lossless_movie(render: Any) -> None:
    """Write FFV1 in Matroska: the only movie with alpha that every Blender reads exactly."""
    settings = compat.image_settings(render, "VIDEO")
    settings.file_format = "FFMPEG"
    render.ffmpeg.format, render.ffmpeg.codec = "MKV", "FFV1"
    render.ffmpeg.audio_codec = "NONE"
    settings.color_mode = "RGBA"  # only valid once the codec is set
    render.use_file_extension = False
