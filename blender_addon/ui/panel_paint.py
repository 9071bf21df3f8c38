"""The Paint panel: paint on an atlas or on one frame."""

from __future__ import annotations

from typing import Any

import bpy

from ..blender import compat
from .base import PARENT, InSequencer, subject
from .panel_now import draw_outlook, draw_running
from .text_layout import form, line_length


class T2L_PT_paint(InSequencer, bpy.types.Panel):
    """Paint once, on an atlas or one frame; the paint is carried through the shot"""

    bl_idname = "T2L_PT_paint"
    bl_label = "Paint"
    bl_parent_id = PARENT
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        """What to paint on, then how to map it."""
        layout = self.layout
        if compat.sequencer_scene(context) is None:
            return
        column = layout.column(align=True)
        for layer, name in (("foreground", "Object Atlas"), ("background", "Background Atlas")):
            column.operator("text2live.open_atlas", text=name, icon="IMAGE_DATA").layer = layer
        layout.operator("text2live.paint_frame", icon="BRUSH_DATA")
        draw_mapping(layout, context)


class T2L_PT_image(bpy.types.Panel):
    """Map the paint to the shot, where it is painted"""

    bl_idname = "T2L_PT_image"
    bl_label = "Text2LIVE"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Text2LIVE"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A strip that can be edited is active in the Sequencer."""
        strip = subject(context)
        return strip is not None and strip.type in compat.SOURCE_TYPES

    def draw(self, context: Any) -> None:
        """The image, what it was painted on, the button, and running jobs."""
        draw_mapping(self.layout, context)
        draw_running(self.layout, line_length(context))


def draw_mapping(layout: Any, context: Any) -> None:
    """Which image to map, and how; the button."""
    settings = compat.sequencer_scene(context).text2live
    column = form(layout)
    for name in ("paint_image", "paint_onto"):
        column.prop(settings, name)
    if settings.paint_onto == "frame":
        column.prop(settings, "paint_frame")
    column.prop(settings, "paint_layer")
    layout.operator("text2live.map_paint", icon="MOD_UVPROJECT")
    draw_outlook(layout, context, "paint", line_length(context))


CLASSES = (T2L_PT_paint, T2L_PT_image)
