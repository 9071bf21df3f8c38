"""The Edit panel: texts and choices."""

from __future__ import annotations

from typing import Any

import bpy

from ..blender import compat
from ..core.settings import painter_declarations
from .base import PARENT, InSequencer
from .properties import painter_choices, painter_property
from .text_layout import form


class T2L_PT_edit(InSequencer, bpy.types.Panel):
    """What the edited shot should show"""

    bl_idname = "T2L_PT_edit"
    bl_label = "Edit"
    bl_parent_id = PARENT

    def draw(self, context: Any) -> None:
        """Texts and choices; the prompt and the button are at the top of the sidebar."""
        layout = self.layout
        scene = compat.sequencer_scene(context)
        if scene is None:
            return
        settings = scene.text2live
        draw_texts(layout, settings)
        draw_choices(layout, settings)
        draw_start_from(layout, settings)


class T2L_PT_advanced(InSequencer, bpy.types.Panel):
    """Rarely needed settings"""

    bl_idname = "T2L_PT_advanced"
    bl_label = "Advanced"
    bl_parent_id = "T2L_PT_edit"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        """More texts, optional numbers, the model and the engine."""
        scene = compat.sequencer_scene(context)
        if scene is None:
            return
        column, settings = form(self.layout), scene.text2live
        draw_painter(column, settings, "texts")
        for name in ("region", "avoid"):
            column.prop(settings, name)
        draw_painter(column, settings, "number", optional=True)
        for name in ("model", "engine", "seed"):
            column.prop(settings, name)


def draw_texts(layout: Any, settings: Any) -> None:
    """What the shot shows now; for an edit of both layers, what the background shows."""
    column = form(layout)
    column.prop(settings, "source")
    if settings.layer == "both" and settings.mask_mode != "none":
        column.prop(settings, "background")
        column.prop(settings, "background_source")


def draw_choices(layout: Any, settings: Any) -> None:
    """The painter and its choices, layer, quality, the painter's numbers, variant."""
    column = form(layout)
    if len(painter_choices()) > 1:
        column.prop(settings, "painter")
    draw_painter(column, settings, "choice")
    if settings.mask_mode != "none":
        column.prop(settings, "layer")
    column.prop(settings, "preset")
    draw_painter(column, settings, "number")
    column.prop(settings, "variant")


def draw_painter(column: Any, settings: Any, kind: str, optional: bool = False) -> None:
    """The settings of one kind that the chosen painter declares."""
    for one in painter_declarations(settings.painter):
        if one.kind != kind or one.optional != optional:
            continue
        name = painter_property(settings.painter, one.name)
        if optional:
            column.prop(settings, f"{name}_auto")
        if not optional or not getattr(settings, f"{name}_auto"):
            column.prop(settings, name, slider=kind == "number")


def draw_start_from(layout: Any, settings: Any) -> None:
    """The earlier edit to start from, if one is chosen."""
    if settings.after:
        row = layout.row(align=True)
        title = settings.after_title or f"job {settings.after[:8]}"
        row.label(text=f"Starting from {title}", icon="FORWARD")
        row.operator("text2live.start_afresh", text="", icon="X")


CLASSES = (T2L_PT_edit, T2L_PT_advanced)
