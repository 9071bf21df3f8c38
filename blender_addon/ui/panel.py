"""The panel in the Sequencer's sidebar: the prompt, the main button and running jobs, on top."""

from __future__ import annotations

from typing import Any

import bpy

from ..blender import compat, runtime
from . import (
    panel_connection,
    panel_edit,
    panel_jobs,
    panel_layer,
    panel_paint,
    panel_shot,
    text_layout,
)
from .base import PARENT, InSequencer
from .panel_now import draw_outlook, draw_running


class T2L_PT_sequencer(InSequencer, bpy.types.Panel):
    """Text-driven layers for the active strip"""

    bl_idname = PARENT
    bl_label = "Text2LIVE"

    def draw(self, context: Any) -> None:
        """The prompt, the button, what it will do, running jobs; the last problem."""
        layout, width = self.layout, text_layout.line_length(context)
        scene = compat.sequencer_scene(context)
        if scene is not None:
            compat.prop_with_hint(layout, scene.text2live, "prompt", "What the shot should show")
            row = layout.row(align=True)
            row.scale_y = 1.4
            row.operator("text2live.edit", icon="SHADERFX")
            row.operator("text2live.batch", text="", icon="DUPLICATE")
            draw_outlook(layout, context, "edit", width)
        draw_running(layout, width)
        problem = runtime.current().problem
        if problem is not None:
            box = layout.box()
            text_layout.draw_problem(box, problem, width)
            box.operator("text2live.dismiss", icon="CHECKMARK")


CLASSES = (
    T2L_PT_sequencer,
    *panel_connection.CLASSES,
    *panel_shot.CLASSES,
    *panel_edit.CLASSES,
    *panel_layer.CLASSES,
    *panel_paint.CLASSES,
    *panel_jobs.CLASSES,
)
