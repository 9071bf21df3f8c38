"""The panel in the Sequencer's sidebar: the last problem, and the panels below it."""

from __future__ import annotations

from typing import Any

import bpy

from ..blender import runtime
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


class T2L_PT_sequencer(InSequencer, bpy.types.Panel):
    """Text-driven layers for the active strip"""

    bl_idname = PARENT
    bl_label = "Text2LIVE"

    def draw(self, context: Any) -> None:
        """The last problem, until the artist dismisses it."""
        problem = runtime.current().problem
        if problem is not None:
            box = self.layout.box()
            text_layout.draw_problem(box, problem, text_layout.line_length(context))
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
