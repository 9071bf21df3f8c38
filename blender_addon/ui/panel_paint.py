"""The Paint panel: paint on an atlas or on one frame."""

from __future__ import annotations

from typing import Any

import bpy

from ..blender import compat
from .base import PARENT, InSequencer
from .panel_now import draw_outlook
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
        scene = compat.sequencer_scene(context)
        if scene is None:
            return
        settings = scene.text2live
        row = layout.row(align=True)
        for layer, name in (("foreground", "Object Atlas"), ("background", "Background Atlas")):
            row.operator("text2live.open_atlas", text=name, icon="IMAGE_DATA").layer = layer
        layout.operator("text2live.paint_frame", icon="BRUSH_DATA")
        column = form(layout)
        column.prop(settings, "paint_image")
        column.prop(settings, "paint_onto")
        if settings.paint_onto == "frame":
            column.prop(settings, "paint_frame")
        column.prop(settings, "paint_layer")
        layout.operator("text2live.map_paint", icon="MOD_UVPROJECT")
        draw_outlook(layout, context, "paint", line_length(context))


CLASSES = (T2L_PT_paint,)
