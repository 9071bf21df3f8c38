"""The Layer panel: what can be done with the active layer strip."""

from __future__ import annotations

from typing import Any

import bpy

from ..blender import compat, runtime
from ..blender.timeline import layers, versions
from . import text_layout
from .base import PARENT, InSequencer


class T2L_PT_layer(InSequencer, bpy.types.Panel):
    """The active layer: versions and baking"""

    bl_idname = "T2L_PT_layer"
    bl_label = "Layer"
    bl_parent_id = PARENT

    @classmethod
    def poll(cls, context: Any) -> bool:
        """The active strip is a layer."""
        strip = compat.active_strip(context)
        return strip is not None and layers.JOB in strip

    def draw(self, context: Any) -> None:
        """The buttons that apply to the layer."""
        layout, layer = self.layout, compat.active_strip(context)
        if layer.get(layers.HIDDEN):
            layout.label(text="Hidden: frames are missing", icon="ERROR")
        if layer.type == "IMAGE":
            column = layout.column(align=True)
            column.operator("text2live.make_again", icon="FILE_REFRESH")
            if versions.earlier(layer):
                column.operator("text2live.show_earlier", icon="LOOP_BACK")
            draw_bake(layout, layer)
        else:
            text = "Baked to a movie. Un-bake it to make it again or to show an earlier version."
            text_layout.draw_paragraph(layout, text, text_layout.line_length(context), "INFO")
            layout.operator("text2live.unbake", icon="RENDERLAYERS")
        layout.operator("text2live.match_strip", icon="COPYDOWN")
        layout.prop(layer, "blend_alpha", text="Opacity")


def draw_bake(layout: Any, layer: Any) -> None:
    """The button that bakes, or the progress and the button that stops it."""
    bake = runtime.current().bakes.of(layer)
    if bake is None:
        layout.operator("text2live.bake", icon="FILE_MOVIE")
        return
    writer = bake.writer
    row = layout.row(align=True)
    row.label(text=f"Baking frame {writer.done} of {writer.total}", icon="FILE_MOVIE")
    row.operator("text2live.cancel_bake", text="", icon="X")
    compat.show_progress(layout, writer.done / writer.total, "Baking")


CLASSES = (T2L_PT_layer,)
