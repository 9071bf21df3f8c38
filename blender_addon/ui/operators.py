"""What the artist can press first: edit, analyse, cancel, insert, compose."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import FloatProperty, StringProperty

from ..blender import compat, compositor, handlers, runtime, scripting
from ..blender.extract import check_source
from ..blender.timeline import layers
from ..core.jobs import Job
from ..core.settings import Kind
from ..wire import jobs
from .base import refuse, subject
from .preferences import longest


def begin(context: Any, kind: Kind = "edit", image: str = "") -> Job:
    """Start a job on the active strip with the scene's settings; raises JobError.

    image: name of the image that was painted on, of kind paint.
    """
    scene, strip = compat.sequencer_scene(context), subject(context)
    check_source(strip)
    settings = scene.text2live.collect(longest(context), kind)
    return runtime.current().start(scene, strip, settings, image)


class NeedsStrip:
    """An operator on the active strip."""

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A movie or image strip is active."""
        strip = subject(context)
        if strip is None or strip.type not in compat.SOURCE_TYPES:
            cls.poll_message_set("Make a movie or image strip active first")
            return False
        return True


class OnStrip(NeedsStrip):
    """An operator that begins a job on the active strip."""

    kind = "edit"  # a request.Kind

    timeout: FloatProperty(  # type: ignore[valid-type]
        name="Timeout",
        description="Seconds a script waits for the end; 0: as long as it takes",
        min=0.0,
        options={"SKIP_SAVE"},
    )

    def begin(self, context: Any) -> Job:
        """Start the job; raises JobError."""
        return begin(context, self.kind)

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Start and return at once; the timer carries the job on."""
        try:
            self.begin(context)
        except jobs.JobError as error:
            return refuse(self, error.problem)
        handlers.redraw()
        return {"FINISHED"}

    def execute(self, context: Any) -> set[str]:
        """Start and wait for the end (for scripts)."""
        try:
            job = self.begin(context)
            scripting.wait_for_job(runtime.current(), job, self.timeout)
        except jobs.JobError as error:
            return refuse(self, error.problem)
        return {"FINISHED"} if job.placed else {"CANCELLED"}


class T2L_OT_edit(OnStrip, bpy.types.Operator):
    """Read the active strip's frames, have the backend make a layer, and put it above the strip"""

    bl_idname = "text2live.edit"
    bl_label = "Make Layer"


class T2L_OT_analyse(OnStrip, bpy.types.Operator):
    """Have the backend take the shot apart into its layers once: edits and paint are quick then"""

    bl_idname = "text2live.analyse"
    bl_label = "Analyse Shot"
    kind = "atlas"


class JobOperator:
    """An operator about one job, by default the newest it can be used on."""

    job_id: StringProperty(  # type: ignore[valid-type]
        name="Job",
        description="Id of the job; empty: the newest",
        options={"SKIP_SAVE", "HIDDEN"},
    )

    def job(self, candidates: list[Job]) -> Job | None:
        """The job meant, or None."""
        named = [job for job in candidates if not self.job_id or job.id == self.job_id]
        return named[-1] if named else None


class T2L_OT_cancel(JobOperator, bpy.types.Operator):
    """Stop the edit, here and at the backend"""

    bl_idname = "text2live.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """Something is running."""
        return bool(runtime.current().running)

    def execute(self, _context: Any) -> set[str]:
        """Cancel."""
        state = runtime.current()
        job = self.job(state.running)
        if job is None:
            return {"CANCELLED"}
        state.cancel(job)
        handlers.redraw()
        return {"FINISHED"}


class T2L_OT_insert(JobOperator, bpy.types.Operator):
    """Put a finished layer above its strip (again)"""

    bl_idname = "text2live.insert"
    bl_label = "Insert Layer"

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """A finished layer is there."""
        return any(job.files for job in runtime.current().jobs)

    def execute(self, _context: Any) -> set[str]:
        """Insert."""
        state = runtime.current()
        job = self.job([job for job in state.jobs if job.files])
        if job is None:
            return {"CANCELLED"}
        try:
            with state.session.standing_still():
                state.place_again(job)
        except jobs.JobError as error:
            return refuse(self, error.problem)
        handlers.redraw()
        return {"FINISHED"}


class T2L_OT_compose(JobOperator, bpy.types.Operator):
    """Build or update a node group that puts the layer over its source as the Sequencer does"""

    bl_idname = "text2live.compose"
    bl_label = "Add Compositor Nodes"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """A finished layer is there."""
        return any(job.files for job in runtime.current().jobs)

    def execute(self, _context: Any) -> set[str]:
        """Add the nodes to the compositor of the strip's scene."""
        job = self.job([job for job in runtime.current().jobs if job.files])
        if job is None:
            return {"CANCELLED"}
        try:
            scene, strip = layers.source_of_job(job)
            check_source(strip)
            start = job.anchor.first_frame(compat.content_start(strip))
            compositor.layers_over(scene, strip, job, start)
        except jobs.JobError as error:
            return refuse(self, error.problem)
        left_out = compositor.left_out(strip, job)
        if left_out:
            said = f"Nodes ready. They take the footage as it is, without {', '.join(left_out)}"
            self.report({"WARNING"}, said)
        else:
            said = "Nodes ready. A render shows them when Sequencer is off in Output"
            self.report({"INFO"}, said)
        return {"FINISHED"}


CLASSES = (T2L_OT_edit, T2L_OT_analyse, T2L_OT_cancel, T2L_OT_insert, T2L_OT_compose)
