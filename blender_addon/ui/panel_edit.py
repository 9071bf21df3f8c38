"""Edit: the words, the choices, and the button."""

from __future__ import annotations

from typing import Any

import bpy

from ..blender import compat, runtime
from ..core.jobs import duration
from ..core.settings import Kind
from .base import PARENT, InSequencer, field, subject
from .preferences import longest


class T2L_PT_edit(InSequencer, bpy.types.Panel):
    """What the shot is to show"""

    bl_idname = "T2L_PT_edit"
    bl_label = "Edit"
    bl_parent_id = PARENT

    def draw(self, context: Any) -> None:
        """Words first, then choices, then the button and how long it will take."""
        layout = self.layout
        scene = compat.sequencer_scene(context)
        if scene is None:
            return
        settings = scene.text2live
        draw_words(layout, settings)
        draw_choices(layout, settings)
        draw_start_from(layout, settings)
        row = layout.row()
        row.scale_y = 1.4
        row.operator("text2live.edit", icon="SHADERFX")
        draw_expected(layout, context, "edit")


class T2L_PT_advanced(InSequencer, bpy.types.Panel):
    """What is seldom needed"""

    bl_idname = "T2L_PT_advanced"
    bl_label = "Advanced"
    bl_parent_id = "T2L_PT_edit"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        """Further words, the model, the engine."""
        scene = compat.sequencer_scene(context)
        if scene is None:
            return
        column, settings = self.layout.column(), scene.text2live
        for name in ("screen", "region", "avoid", "detail_auto"):
            field(column, settings, name)
        if not settings.detail_auto:
            field(column, settings, "detail", slider=True)
        for name in ("model", "engine"):
            field(column, settings, name)


def draw_words(layout: Any, settings: Any) -> None:
    """What the shot shows after the edit, and before."""
    column = layout.column()
    field(column, settings, "prompt")
    field(column, settings, "source")
    if settings.layer == "both" and settings.mask_mode != "none":
        field(column, settings, "background")
        field(column, settings, "background_source")


def draw_choices(layout: Any, settings: Any) -> None:
    """Kind, layer, quality, strength, seed."""
    column = layout.column()
    field(column, settings, "recipe", expand=True)
    if settings.mask_mode != "none":
        field(column, settings, "layer", expand=True)
    field(column, settings, "preset", expand=True)
    field(column, settings, "strength", slider=True)
    field(column, settings, "seed")


def draw_start_from(layout: Any, settings: Any) -> None:
    """The earlier edit this one goes on from, if one was chosen."""
    if settings.after:
        row = layout.row(align=True)
        title = settings.after_title or f"job {settings.after[:8]}"
        row.label(text=f"Goes on from {title}", icon="FORWARD")
        row.operator("text2live.start_afresh", text="", icon="X")


def draw_expected(layout: Any, context: Any, kind: Kind) -> None:
    """How long such jobs took on this server; nothing where that is not known."""
    strip = subject(context)
    if strip is None or strip.type not in compat.SOURCE_TYPES:
        return
    settings = compat.sequencer_scene(context).text2live.collect(longest(context), kind)
    seconds = runtime.current().expected_seconds(strip, settings)
    if seconds is not None:
        layout.label(text=f"About {duration(seconds)}, as before on this server", icon="TIME")


CLASSES = (T2L_PT_edit, T2L_PT_advanced)
