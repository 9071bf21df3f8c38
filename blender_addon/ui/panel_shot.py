"""The Shot panel: the strip, its object, and its analysis."""

from __future__ import annotations

from typing import Any

import bpy

from ..blender import analyses, compat, runtime
from ..core.quality import verdicts
from . import panel_mask, text_layout, thumbs
from .base import PARENT, InSequencer, subject
from .panel_now import draw_outlook
from .preferences import longest
from .text_layout import form


class T2L_PT_shot(InSequencer, bpy.types.Panel):
    """The strip to work on, and its object"""

    bl_idname = "T2L_PT_shot"
    bl_label = "Shot"
    bl_parent_id = PARENT

    def draw(self, context: Any) -> None:
        """The strip, its object and its analysis."""
        layout, width = self.layout, text_layout.line_length(context)
        scene, strip = compat.sequencer_scene(context), subject(context)
        if scene is None:
            return
        usable = draw_strip(layout, strip, width)
        draw_object(layout, context, strip, width)
        if usable:
            panel_mask.draw_preview(layout, context, strip, width)
            draw_analysis(layout, context, strip, width)


def draw_strip(layout: Any, strip: Any, width: int) -> bool:
    """The strip with its frames and size, or what is wrong with it; True if it can be edited."""
    if strip is None:
        layout.label(text="Click a movie or image strip", icon="INFO")
        return False
    if strip.type not in compat.SOURCE_TYPES:
        text_layout.draw_paragraph(
            layout, f"{strip.name} is not a movie or image strip", width, "ERROR"
        )
        return False
    start, end = compat.span(strip)
    icon = "FILE_MOVIE" if strip.type == "MOVIE" else "IMAGE_DATA"
    layout.label(text=f"{strip.name}, {end - start} frames", icon=icon)
    element = strip.elements[0] if strip.elements else None
    size = f", {element.orig_width} × {element.orig_height}" if element else ""
    layout.label(text=f"Frames {start} to {end - 1}{size}", icon="BLANK1")
    return True


def draw_object(layout: Any, context: Any, strip: Any, width: int) -> None:
    """How to find the object."""
    scene = compat.sequencer_scene(context)
    settings = scene.text2live
    column = form(layout)
    column.prop(settings, "mask_mode")
    mode = settings.mask_mode
    if mode == "keys":
        panel_mask.draw_keys(layout, settings, strip, width)
    elif mode in ("text", "auto"):
        column.prop(settings, "mask_text")
    elif mode == "mask":
        column.prop(settings, "mask_data")
    elif mode == "strip" and scene.sequence_editor is not None:
        editor = scene.sequence_editor
        strips = "strips_all" if hasattr(editor, "strips_all") else "sequences_all"
        column.prop_search(settings, "mask_strip", editor, strips, text="Mask Strip")
    elif mode == "all":
        column.prop(settings, "mask_folder")
    if mode in ("mask", "strip"):
        column.prop(settings, "mask_every")
        if not settings.mask_every:
            column.prop(settings, "mask_frame")


def draw_analysis(layout: Any, context: Any, strip: Any, width: int) -> None:
    """Whether the shot is analysed with these settings, how well, and its atlases."""
    running = [job for job in runtime.current().running if job.kind == "atlas"]
    settings = compat.sequencer_scene(context).text2live.collect(longest(context), "atlas", strip)
    found = analyses.find(strip, settings, runtime.current().files.exists)
    if running:  # shown at the top, with its progress
        return
    if found is None:
        layout.operator("text2live.analyse", icon="VIEWZOOM")
        draw_outlook(layout, context, "atlas", width)
        return
    box = layout.box()
    box.label(text="Shot analysed. Further edits reuse it.", icon="CHECKMARK")
    start = compat.span(strip)[0]
    for verdict in verdicts(found.numbers, start):
        text_layout.draw_paragraph(box, verdict.text, width, "BLANK1" if verdict.good else "ERROR")
    if not found.pictures:
        box.operator("text2live.analyse", text="Show Atlases", icon="VIEWZOOM")
        return
    row, buttons = box.row(align=True), box.column(align=True)
    for layer, name in (("foreground", "Object"), ("background", "Background")):
        picture = found.pictures.get(f"{layer}_atlas")
        if picture is not None:
            column = row.column(align=True)
            thumbs.show(column, picture, 5.0)
            buttons.operator("text2live.open_atlas", text=f"Paint {name}").layer = layer
    if "report" in found.pictures:
        box.operator("text2live.open_report", icon="IMAGE_REFERENCE")


CLASSES = (T2L_PT_shot,)
