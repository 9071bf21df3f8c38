"""Layer: what can be done with the active strip if it is a layer."""

from __future__ import annotations

from typing import Any

import bpy

from ..blender import compat, layers, versions
from .base import PARENT, InSequencer


class T2L_PT_layer(InSequencer, bpy.types.Panel):
    """The active layer: its versions, and its pictures as one movie"""

    bl_idname = "T2L_PT_layer"
    bl_label = "Layer"
    bl_parent_id = PARENT

    @classmethod
    def poll(cls, context: Any) -> bool:
        """The active strip is a layer."""
        strip = compat.active_strip(context)
        return strip is not None and layers.JOB in strip

    def draw(self, context: Any) -> None:
        """The buttons that make sense."""
        layout, layer = self.layout, compat.active_strip(context)
        if layer.get(layers.HIDDEN):
            layout.label(text="Pictures are missing: hidden", icon="ERROR")
        column = layout.column(align=True)
        if layer.type == "IMAGE":
            column.operator("text2live.make_again", icon="FILE_REFRESH")
            if versions.earlier(layer):
                column.operator("text2live.show_earlier", icon="LOOP_BACK")
            column.operator("text2live.bake", icon="FILE_MOVIE")
        column.prop(layer, "blend_alpha", text="Opacity")


CLASSES = (T2L_PT_layer,)
