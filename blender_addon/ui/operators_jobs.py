"""Buttons of the list of jobs: retry, remove, reuse, refine, and comparing versions."""

from __future__ import annotations

from typing import Any

import bpy

from ..blender import compat, handlers, runtime
from ..blender.timeline import layers
from ..core.jobs import Job
from ..wire import jobs
from .base import refuse
from .operators import JobOperator


def _asked() -> list[Job]:
    """Ended jobs of which it is known what was asked for."""
    return [job for job in runtime.current().jobs if job.ended and job.settings is not None]


class T2L_OT_retry(JobOperator, bpy.types.Operator):
    """Ask for it once more, exactly as before"""

    bl_idname = "text2live.retry"
    bl_label = "Retry"

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """A job has ended."""
        return bool(_asked())

    def execute(self, _context: Any) -> set[str]:
        """Start it again; the ended one leaves the list."""
        job = self.job(_asked())
        if job is None:
            return {"CANCELLED"}
        try:
            runtime.current().retry(job)
        except jobs.JobError as error:
            return refuse(self, error.problem)
        handlers.redraw()
        return {"FINISHED"}


class T2L_OT_remove(JobOperator, bpy.types.Operator):
    """Take it off this list and the backend's; a layer on the timeline and its files stay"""

    bl_idname = "text2live.remove"
    bl_label = "Remove from List"

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """A job has ended."""
        return any(job.ended for job in runtime.current().jobs)

    def execute(self, _context: Any) -> set[str]:
        """Remove it."""
        state = runtime.current()
        job = self.job([job for job in state.jobs if job.ended])
        if job is None:
            return {"CANCELLED"}
        state.remove(job)
        handlers.redraw()
        return {"FINISHED"}


class T2L_OT_reuse(JobOperator, bpy.types.Operator):
    """Set prompt, mask, quality and seed as they were for this job"""

    bl_idname = "text2live.reuse"
    bl_label = "Reuse Settings"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """A job has ended."""
        return bool(_asked())

    def execute(self, context: Any) -> set[str]:
        """Set them."""
        job = self.job(_asked())
        scene = compat.sequencer_scene(context)
        if job is None or job.settings is None or scene is None:
            return {"CANCELLED"}
        scene.text2live.apply(job.settings)
        return {"FINISHED"}


class T2L_OT_refine(JobOperator, bpy.types.Operator):
    """Set up a new edit that goes on from this one: fewer steps, a result close to it"""

    bl_idname = "text2live.refine"
    bl_label = "Refine"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """An edit is done."""
        return any(job.files for job in _asked())

    def execute(self, context: Any) -> set[str]:
        """Set it up; the artist changes the words and presses Make Layer."""
        job = self.job([job for job in _asked() if job.files and job.kind == "edit"])
        scene = compat.sequencer_scene(context)
        if job is None or job.settings is None or scene is None:
            return {"CANCELLED"}
        scene.text2live.apply(job.settings)
        scene.text2live.after, scene.text2live.after_title = job.id, job.title
        return {"FINISHED"}


class T2L_OT_start_afresh(bpy.types.Operator):
    """Do not go on from an earlier edit"""

    bl_idname = "text2live.start_afresh"
    bl_label = "Start Afresh"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> set[str]:
        """Forget the earlier edit."""
        settings = compat.sequencer_scene(context).text2live
        settings.after = settings.after_title = ""
        return {"FINISHED"}


class T2L_OT_show_version(JobOperator, bpy.types.Operator):
    """Show this version alone: the strip's other versions are muted"""

    bl_idname = "text2live.show_version"
    bl_label = "Show Only This Version"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, _context: Any) -> set[str]:
        """Mute the others."""
        chosen = layers.find_layer(self.job_id)
        if chosen is None:
            return {"CANCELLED"}
        for layer in layers.layers_of_strip(str(chosen[layers.LAYER_OF])):
            layer.mute = layer.get(layers.JOB) != self.job_id
        return {"FINISHED"}


CLASSES = (
    T2L_OT_retry,
    T2L_OT_remove,
    T2L_OT_reuse,
    T2L_OT_refine,
    T2L_OT_start_afresh,
    T2L_OT_show_version,
)
