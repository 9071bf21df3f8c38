"""The Jobs panel: running and ended jobs, and the versions of a strip."""

from __future__ import annotations

from typing import Any

import bpy

from ..blender import runtime
from ..blender.timeline import layers
from ..core.jobs import CANCELLED, DONE, Job
from . import text_layout, thumbs
from .base import PARENT, InSequencer, subject
from .panel_now import draw_progress

SHOWN = 12  # newest ended jobs
NOTES = 3  # newest notes of an ended job


class T2L_PT_jobs(InSequencer, bpy.types.Panel):
    """Running and finished jobs"""

    bl_idname = "T2L_PT_jobs"
    bl_label = "Jobs"
    bl_parent_id = PARENT

    def draw_header_preset(self, _context: Any) -> None:
        """How many are running, visible while the panel is collapsed."""
        running = len(runtime.current().running)
        if running:
            self.layout.label(text=f"{running} running")

    def draw(self, context: Any) -> None:
        """Versions of the active strip, running jobs, ended jobs."""
        layout, width = self.layout, text_layout.line_length(context)
        state = runtime.current()
        there = layers.all_layers()
        draw_versions(layout, subject(context), there)
        for job in state.running:
            draw_running(layout.box(), job, width)
        ended = [job for job in reversed(state.jobs) if job.ended]
        placed = layers.placed_parts(there)
        for job in ended[:SHOWN]:
            draw_ended(layout.box(), job, width, placed)
        if not state.jobs:
            layout.label(text="No jobs yet", icon="INFO")


def draw_versions(layout: Any, strip: Any, there: list[Any]) -> None:
    """The layers made for a strip, for comparison: each can be hidden, or shown alone.

    there: all layers in the file.
    """
    if strip is None:
        return
    versions = layers.layers_of_strip(strip, there)
    if len({layer[layers.JOB] for layer in versions}) < 2:
        return
    column = layout.box().column(align=True)
    column.label(text="Versions on the timeline", icon="RENDERLAYERS")
    named: set[str] = set()
    for layer in versions:
        split = column.split(factor=0.8, align=True)
        row = split.row(align=True)
        # If it is muted, Blender shows the next icon instead: the closed eye.
        row.prop(layer, "mute", text="", icon="HIDE_OFF")
        row.label(text=f"{layer.channel}: {layer.name.removeprefix(strip.name).strip()}")
        job_id = str(layer[layers.JOB])
        if job_id in named:  # a version with two layers has one button, beside the first
            split.label(text="")
        else:
            split.operator("text2live.show_version", text="Solo").job_id = job_id
        named.add(job_id)


def draw_running(layout: Any, job: Job, width: int) -> None:
    """A job's title and cancel button, its progress, its preview and its newest note."""
    row = layout.row(align=True)
    row.label(text=job.title, icon="SHADERFX")
    row.operator("text2live.cancel", text="", icon="X").job_id = job.id
    draw_progress(layout, job.fraction, job.progress_text(), width)
    thumbs.show(layout, job.preview, 6.0)
    if job.note:
        text_layout.draw_paragraph(layout, job.note, width, "INFO")


def draw_ended(layout: Any, job: Job, width: int, placed: layers.Placed) -> None:
    """How a job ended, its thumbnail, and what can be done with it."""
    row = layout.row(align=True)
    row.label(text=f"{job.title}: {_outcome(job)}", icon=_icon(job))
    if job.settings is not None:
        row.operator("text2live.reuse", text="", icon="COPYDOWN").job_id = job.id
    row.operator("text2live.remove", text="", icon="TRASH").job_id = job.id
    if job.problem is not None:
        text_layout.draw_problem(layout, job.problem, width)
    else:
        for note in job.notes[-NOTES:]:
            text_layout.draw_paragraph(layout, note, width, "INFO")
    thumbs.show(layout, job.thumbnail, 4.0)
    draw_actions(layout, job, placed)


def draw_actions(layout: Any, job: Job, placed: layers.Placed) -> None:
    """What can be done with an ended job."""
    if not job.files:
        row = layout.row(align=True)
        if runtime.current().session.can_resume(job):
            row.operator("text2live.resume", icon="PLAY").job_id = job.id
        if job.phase != DONE and job.settings is not None:
            row.operator("text2live.retry", icon="FILE_REFRESH").job_id = job.id
        return
    missing = layers.missing_parts(job, placed)
    if not job.placed or missing:
        text = "Place Again" if job.placed else "Insert Layer"
        layout.operator("text2live.insert", text=text, icon="IMPORT").job_id = job.id
        if len(missing) == len(job.parts):
            return
    row = layout.row(align=True)
    if job.kind == "edit" and job.settings is not None:
        row.operator("text2live.refine", icon="FORWARD").job_id = job.id
    row.operator("text2live.compose", text="Compositor", icon="NODETREE").job_id = job.id


def _outcome(job: Job) -> str:
    if job.phase == CANCELLED:
        return "cancelled"
    return "failed" if job.problem is not None and not job.files else "done"


def _icon(job: Job) -> str:
    return {"cancelled": "CANCEL", "failed": "ERROR", "done": "CHECKMARK"}[_outcome(job)]


CLASSES = (T2L_PT_jobs,)
