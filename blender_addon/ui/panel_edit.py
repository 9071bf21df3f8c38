"""The Edit panel: texts, choices, and the button."""

from __future__ import annotations

from typing import Any

import bpy

from ..blender import compat, runtime
from ..core.jobs import duration
from ..core.settings import Kind, painter_declarations
from .base import PARENT, InSequencer, subject
from .preferences import longest
from .properties import painter_choices, painter_property
from .text_layout import field


class T2L_PT_edit(InSequencer, bpy.types.Panel):
    """What the edited shot should show"""

    bl_idname = "T2L_PT_edit"
    bl_label = "Edit"
    bl_parent_id = PARENT

    def draw(self, context: Any) -> None:
        """Texts, choices, the button, and how long the edit will take."""
        layout = self.layout
        scene = compat.sequencer_scene(context)
        if scene is None:
            return
        settings = scene.text2live
        draw_texts(layout, settings)
        draw_choices(layout, settings)
        draw_start_from(layout, settings)
        row = layout.row()
        row.scale_y = 1.4
        row.operator("text2live.edit", icon="SHADERFX")
        draw_expected(layout, context, "edit")


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
        column, settings = self.layout.column(), scene.text2live
        draw_painter(column, settings, "texts")
        for name in ("region", "avoid"):
            field(column, settings, name)
        draw_painter(column, settings, "number", optional=True)
        for name in ("model", "engine"):
            field(column, settings, name)


def draw_texts(layout: Any, settings: Any) -> None:
    """What the shot shows after the edit, and now."""
    column = layout.column()
    field(column, settings, "prompt")
    field(column, settings, "source")
    if settings.layer == "both" and settings.mask_mode != "none":
        field(column, settings, "background")
        field(column, settings, "background_source")


def draw_choices(layout: Any, settings: Any) -> None:
    """The painter and its choices, layer, quality, the painter's numbers, seed."""
    column = layout.column()
    if len(painter_choices()) > 1:
        field(column, settings, "painter")
    draw_painter(column, settings, "choice")
    if settings.mask_mode != "none":
        field(column, settings, "layer", expand=True)
    field(column, settings, "preset", expand=True)
    draw_painter(column, settings, "number")
    field(column, settings, "seed")


def draw_painter(column: Any, settings: Any, kind: str, optional: bool = False) -> None:
    """The settings of one kind that the chosen painter declares."""
    for one in painter_declarations(settings.painter):
        if one.kind != kind or one.optional != optional:
            continue
        name = painter_property(settings.painter, one.name)
        if optional:
            field(column, settings, f"{name}_auto")
        if not optional or not getattr(settings, f"{name}_auto"):
            field(column, settings, name, expand=kind == "choice", slider=kind == "number")


def draw_start_from(layout: Any, settings: Any) -> None:
    """The earlier edit to start from, if one is chosen."""
    if settings.after:
        row = layout.row(align=True)
        title = settings.after_title or f"job {settings.after[:8]}"
        row.label(text=f"Starting from {title}", icon="FORWARD")
        row.operator("text2live.start_afresh", text="", icon="X")


def draw_expected(layout: Any, context: Any, kind: Kind) -> None:
    """How long such jobs took on this server; nothing if that is not known."""
    strip = subject(context)
    if strip is None or strip.type not in compat.SOURCE_TYPES:
        return
    settings = compat.sequencer_scene(context).text2live.collect(longest(context), kind)
    seconds = runtime.current().expected_seconds(strip, settings)
    if seconds is not None:
        text = f"Estimated {duration(seconds)} (from earlier jobs on this server)"
        layout.label(text=text, icon="TIME")


CLASSES = (T2L_PT_edit, T2L_PT_advanced)
