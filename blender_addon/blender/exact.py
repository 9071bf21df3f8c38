"""Rendering without changing a colour: Blender's default view transforms change every one."""

from __future__ import annotations

from typing import Any

from . import compat


def render_exactly(scene: Any, size: tuple[int, int]) -> None:
    """Have a scene render its Sequencer at a size (W, H), one frame a picture, as it is stored."""
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
    compat.set_still_format(render)
