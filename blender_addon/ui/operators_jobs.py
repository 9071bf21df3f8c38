"""Operators of the job list: retry, resume, remove, reuse, refine, and comparing versions."""

from __future__ import annotations

from typing import Any

import bpy

from ..blender import compat, runtime
from ..blender.timeline import layers
from ..core.jobs import Job
from .base import reports_problems, require, subject
from .operators import JobOperator


class OnEndedJob(JobOperator):
    """An operator on an ended job whose settings are known."""

    needs = "No job has ended yet"

    @classmethod
    def candidates(cls) -> list[Job]:
        """The ended jobs whose settings are known."""
        return [job for job in runtime.current().jobs if job.ended and job.settings is not None]


class T2L_OT_retry(OnEndedJob, bpy.types.Operator):
    """Run this job again with the same settings"""

    bl_idname = "text2live.retry"
    bl_label = "Retry"
    bl_options = {"INTERNAL"}

    def act(self, _context: Any, job: Job) -> None:
        """Start it again; the ended one leaves the list."""
        runtime.current().retry(job)


class T2L_OT_resume(JobOperator, bpy.types.Operator):
    """Let the backend run this job again with the frames that it already has"""

    bl_idname = "text2live.resume"
    bl_label = "Resume"
    bl_options = {"INTERNAL"}
    needs = "No job was interrupted by a fault of this backend"

    @classmethod
    def candidates(cls) -> list[Job]:
        """The jobs that failed by no fault of their own."""
        state = runtime.current()
        return [job for job in state.jobs if state.session.can_resume(job)]

    def act(self, _context: Any, job: Job) -> None:
        """Run it again under the same id."""
        runtime.current().session.resume(job)


class T2L_OT_remove(JobOperator, bpy.types.Operator):
    """Remove this job from the list. Its layer and files are kept"""

    bl_idname = "text2live.remove"
    bl_label = "Remove from List"
    bl_options = {"INTERNAL"}
    needs = "No job has ended yet"

    @classmethod
    def candidates(cls) -> list[Job]:
        """The ended jobs."""
        return [job for job in runtime.current().jobs if job.ended]

    def act(self, _context: Any, job: Job) -> None:
        """Remove it."""
        runtime.current().remove(job)


class T2L_OT_reuse(OnEndedJob, bpy.types.Operator):
    """Copy this job's prompt, mask, quality and seed to the panel"""

    bl_idname = "text2live.reuse"
    bl_label = "Reuse Settings"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    def act(self, context: Any, job: Job) -> set[str] | None:
        """Copy them."""
        scene = compat.sequencer_scene(context)
        if job.settings is None or scene is None:
            return {"CANCELLED"}
        scene.text2live.apply(job.settings, subject(context))
        return None


class T2L_OT_refine(OnEndedJob, bpy.types.Operator):
    """Set up a new edit that starts from this one: it takes fewer steps and stays close to it"""

    bl_idname = "text2live.refine"
    bl_label = "Refine"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}
    needs = "No edit is finished yet"

    @classmethod
    def candidates(cls) -> list[Job]:
        """The finished edits."""
        return [job for job in super().candidates() if job.files and job.kind == "edit"]

    def act(self, context: Any, job: Job) -> set[str] | None:
        """Set it up; the artist changes the prompt and presses Make Layer."""
        scene = compat.sequencer_scene(context)
        if job.settings is None or scene is None:
            return {"CANCELLED"}
        scene.text2live.apply(job.settings, subject(context))
        scene.text2live.after, scene.text2live.after_title = job.id, job.title
        return None


class T2L_OT_start_afresh(bpy.types.Operator):
    """Do not start from an earlier edit"""

    bl_idname = "text2live.start_afresh"
    bl_label = "Start From Scratch"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    def execute(self, context: Any) -> set[str]:
        """Clear the earlier edit."""
        settings = compat.sequencer_scene(context).text2live
        settings.after = settings.after_title = ""
        return {"FINISHED"}


class T2L_OT_show_version(JobOperator, bpy.types.Operator):
    """Show this version alone and mute the strip's other versions"""

    bl_idname = "text2live.show_version"
    bl_label = "Solo This Version"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """There are layers on the timeline."""
        return require(cls, layers.all_layers(), "There is no layer on the timeline")

    @reports_problems
    def execute(self, context: Any) -> set[str] | None:
        """Mute the others."""
        chosen = layers.find_layer(self.job_id, source=subject(context))
        source = layers.find_source_of(chosen) if chosen is not None else None
        if source is None:
            self.report({"WARNING"}, "This version is no longer on the timeline.")
            return {"CANCELLED"}
        for layer in layers.layers_of_strip(source):
            layer.mute = layer.get(layers.JOB) != self.job_id
        return None


CLASSES = (
    T2L_OT_retry,
    T2L_OT_resume,
    T2L_OT_remove,
    T2L_OT_reuse,
    T2L_OT_refine,
    T2L_OT_start_afresh,
    T2L_OT_show_version,
)
