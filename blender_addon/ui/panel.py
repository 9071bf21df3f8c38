"""The panel in the Sequencer's sidebar."""

from __future__ import annotations

import textwrap
from typing import Any

import bpy

from ..blender import compat, layers, runtime
from ..core.connection import View
from ..core.jobs import CANCELLED, Job
from ..wire import jobs

_PIXELS_A_LETTER = 6.3


class T2L_PT_sequencer(bpy.types.Panel):
    """Text-driven layers for the active strip"""

    bl_idname = "T2L_PT_sequencer"
    bl_label = "Text2LIVE"
    bl_space_type = "SEQUENCE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Text2LIVE"

    def draw(self, context: Any) -> None:
        """Connection, strip, words, choices, button, then what runs and what went wrong."""
        layout = self.layout
        width = _letters(context)
        state = runtime.current()
        draw_connection(layout, state.session.view, width)
        scene = compat.sequencer_scene(context)
        if scene is None:
            return
        draw_strip(layout, compat.active_strip(context))
        draw_settings(layout, scene.text2live)
        row = layout.row()
        row.scale_y = 1.4
        row.operator("text2live.edit", icon="SHADERFX")
        if state.problem is not None:
            draw_problem(layout.box(), state.problem, width)
        for job in state.running:
            draw_running(layout.box(), job, width)
        ended = [job for job in state.jobs if job.ended]
        if ended:
            draw_ended(layout.box(), ended[-1], width)


def draw_connection(layout: Any, view: View, width: int) -> None:
    """The connection in one line, its problem, and the button that changes it."""
    row = layout.row(align=True)
    row.label(text=view.line, icon=view.icon)
    if view.state == "off":
        row.operator("text2live.connect", text="Connect")
    else:
        row.operator("text2live.disconnect", text="", icon="X")
    if view.state == "ready" and view.backend:
        layout.label(text=view.backend, icon="BLANK1")
    if view.problem is not None and view.state != "ready":
        draw_problem(layout.box(), view.problem, width)


def draw_strip(layout: Any, strip: Any) -> None:
    """The strip that would be edited, or what is missing."""
    if strip is None:
        layout.label(text="Click a movie or image strip", icon="INFO")
    elif strip.type not in compat.SOURCE_TYPES:
        layout.label(text=f"{strip.name} is no movie or image strip", icon="ERROR")
    else:
        start, end = compat.span(strip)
        icon = "FILE_MOVIE" if strip.type == "MOVIE" else "IMAGE_DATA"
        layout.label(text=f"{strip.name}, {end - start} frames", icon=icon)


def draw_settings(layout: Any, settings: Any) -> None:
    """Words and choices."""
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    column.prop(settings, "prompt")
    column.prop(settings, "source")
    column.prop(settings, "layer")
    column.prop(settings, "preset")
    column.prop(settings, "mask_mode")
    if settings.mask_mode == "key":
        column.prop(settings, "mask_file")
        column.prop(settings, "mask_frame")
    elif settings.mask_mode == "all":
        column.prop(settings, "mask_folder")
    column.prop(settings, "seed")
    column.prop(settings, "model")


def draw_running(layout: Any, job: Job, width: int) -> None:
    """What a job does, how far it is, how long it takes, and the button that stops it."""
    row = layout.row(align=True)
    row.label(text=job.label, icon="SHADERFX")
    row.operator("text2live.cancel", text="", icon="X").job_id = job.id
    compat.show_progress(layout, job.fraction, job.words())
    if job.eta_words():
        layout.label(text=job.eta_words(), icon="TIME")
    if job.note:
        _paragraph(layout, job.note, width, "INFO")


def draw_ended(layout: Any, job: Job, width: int) -> None:
    """How the last job ended; a layer that is not on the timeline can be inserted."""
    if job.problem is not None:
        layout.label(text=job.label, icon="SHADERFX")
        draw_problem(layout, job.problem, width)
    elif job.phase == CANCELLED:
        layout.label(text=f"{job.label}: cancelled", icon="CANCEL")
    else:
        layout.label(text=f"{job.label}: done", icon="CHECKMARK")
        if job.note:
            _paragraph(layout, job.note, width, "INFO")
    if job.files and (not job.placed or layers.find_layer(job.id) is None):
        layout.operator("text2live.insert", icon="IMPORT").job_id = job.id
    elif job.files:
        layout.operator("text2live.compose", icon="NODETREE").job_id = job.id


def draw_problem(layout: Any, problem: jobs.Problem, width: int) -> None:
    """What happened, and what to do about it."""
    _paragraph(layout, problem.message, width, "ERROR")
    if problem.hint:
        _paragraph(layout, problem.hint, width, "INFO")


def _paragraph(layout: Any, text: str, width: int, icon: str) -> None:
    """Blender's labels do not wrap: one label a line, the icon before the first."""
    column = layout.column(align=True)
    column.scale_y = 0.8
    for index, line in enumerate(textwrap.wrap(text, width)):
        column.label(text=line, icon="BLANK1" if index else icon)


def _letters(context: Any) -> int:
    """Letters that fit in a line of the sidebar."""
    region = getattr(context, "region", None)
    scale = context.preferences.system.ui_scale or 1.0
    pixels = region.width if region is not None and region.width > 100 else 320
    return max(24, int((pixels - 90) / (_PIXELS_A_LETTER * scale)))


def register() -> None:
    """Make the panel known."""
    bpy.utils.register_class(T2L_PT_sequencer)


def unregister() -> None:
    """Take the panel away."""
    bpy.utils.unregister_class(T2L_PT_sequencer)
