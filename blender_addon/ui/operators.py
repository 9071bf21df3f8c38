"""Operators of a job: make a layer, analyse, cancel, insert, add compositor nodes."""

from __future__ import annotations

import dataclasses
from typing import Any

import bpy
from bpy.props import FloatProperty, IntProperty, StringProperty

from ..blender import compat, compositor, runtime, scripting
from ..blender.sources import check_source
from ..blender.timeline import layers
from ..core.jobs import Job
from ..core.settings import Kind
from .base import reports_problems, require, subject
from .preferences import longest
from .text_layout import form

PROMPTS = 6  # of a batch


def begin(context: Any, kind: Kind = "edit", image: str = "") -> Job:
    """Start a job on the active strip with the scene's settings; raises JobError.

    image: name of the painted image, for a job of kind paint.
    """
    scene, strip = compat.sequencer_scene(context), subject(context)
    check_source(strip)
    settings = scene.text2live.collect(longest(context), kind, strip)
    scene.text2live.show_mask = kind == "mask"  # the tint must not hide the layer
    return runtime.current().start(scene, strip, settings, image)


class NeedsStrip:
    """An operator on the active strip."""

    @classmethod
    def poll(cls: Any, context: Any) -> bool:
        """A movie or image strip is active."""
        strip = subject(context)
        usable = strip is not None and strip.type in compat.SOURCE_TYPES
        return require(cls, usable, "Make a movie or image strip active first")


class StartsJob(NeedsStrip):
    """An operator that starts a job on the active strip."""

    kind: Kind = "edit"

    timeout: FloatProperty(  # type: ignore[valid-type]
        name="Timeout",
        description="Seconds a script waits for the job to end; 0: no limit",
        min=0.0,
        options={"SKIP_SAVE"},
    )

    def begin(self, context: Any) -> Job:
        """Start the job; raises JobError."""
        return begin(context, self.kind)

    @reports_problems
    def invoke(self, context: Any, _event: Any) -> None:
        """Start and return at once; the timer continues the job."""
        self.begin(context)

    @reports_problems
    def execute(self, context: Any) -> set[str]:
        """Start and wait for the job to end (for scripts)."""
        job = self.begin(context)
        scripting.wait_for_job(runtime.current(), job, self.timeout)
        return {"FINISHED"} if job.placed else {"CANCELLED"}


class T2L_OT_edit(StartsJob, bpy.types.Operator):
    """Send the active strip's frames to the backend and place the finished layer above the strip"""

    bl_idname = "text2live.edit"
    bl_label = "Make Layer"


class T2L_OT_batch(NeedsStrip, bpy.types.Operator):
    """Make several layers in one go: up to six prompts, each in one or more variants"""

    bl_idname = "text2live.batch"
    bl_label = "Make Several Layers"

    variants: IntProperty(  # type: ignore[valid-type]
        name="Variants of Each", description="Results per prompt", default=1, min=1, max=16
    )
    __annotations__ |= {
        f"prompt_{number}": StringProperty(
            name=f"Prompt {number}",
            description="What the edited shot shows. Empty: not used",
            options={"SKIP_SAVE"},
        )
        for number in range(1, PROMPTS + 1)
    }

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Ask for the prompts and the number of variants."""
        self.prompt_1 = compat.sequencer_scene(context).text2live.prompt
        return set(context.window_manager.invoke_props_dialog(self, width=400))

    def draw(self, _context: Any) -> None:
        """The prompts, the variants, and how many layers that makes."""
        column = form(self.layout)
        for number in range(1, PROMPTS + 1):
            column.prop(self, f"prompt_{number}")
        column.prop(self, "variants")
        count = len(_prompts(self)) * self.variants
        self.layout.label(text=f"Makes {count} layer{'s' * (count != 1)}", icon="INFO")

    @reports_problems
    def execute(self, context: Any) -> None:
        """Start the jobs and return; the frames are read once."""
        scene, strip = compat.sequencer_scene(context), subject(context)
        check_source(strip)
        settings = scene.text2live.collect(longest(context), strip=strip)
        for prompt in _prompts(self) or [""]:
            for number in range(self.variants):
                variant = settings.variant + number
                one = dataclasses.replace(settings, prompt=prompt, variant=variant)
                runtime.current().start(scene, strip, one)


def _prompts(batch: Any) -> list[str]:
    texts = [getattr(batch, f"prompt_{number}").strip() for number in range(1, PROMPTS + 1)]
    return [text for text in texts if text]


class T2L_OT_analyse(StartsJob, bpy.types.Operator):
    """Separate the shot into its layers once: further edits and paint reuse the analysis"""

    bl_idname = "text2live.analyse"
    bl_label = "Analyse Shot"
    kind = "atlas"


class T2L_OT_preview_mask(StartsJob, bpy.types.Operator):
    """Find the object on every frame and show it over the footage. Nothing is painted"""

    bl_idname = "text2live.preview_mask"
    bl_label = "Preview Mask"
    kind = "mask"


class JobOperator:
    """An operator on one job: the one with `job_id`, or the newest candidate.

    needs: what its button says while there is no such job.
    """

    needs = "There is no such job"

    job_id: StringProperty(  # type: ignore[valid-type]
        name="Job",
        description="Id of the job; empty: the newest",
        options={"SKIP_SAVE", "HIDDEN"},
    )

    @classmethod
    def candidates(cls) -> list[Job]:
        """The jobs it can be used on, oldest first."""
        raise NotImplementedError

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """There is a job to use it on."""
        return require(cls, cls.candidates(), cls.needs)

    def act(self, context: Any, job: Job) -> set[str] | None:
        """Use it on a job; returns the outcome unless it has finished. Raises JobError."""
        raise NotImplementedError

    @reports_problems
    def execute(self: Any, context: Any) -> set[str] | None:
        """Find the job and use it on that."""
        found = [job for job in self.candidates() if not self.job_id or job.id == self.job_id]
        if not found:
            self.report({"WARNING"}, f"{self.needs}. The list of jobs has changed.")
            return {"CANCELLED"}
        outcome: set[str] | None = self.act(context, found[-1])
        return outcome


class OnFinishedLayer(JobOperator):
    """An operator on a job whose layer is finished."""

    needs = "No layer is finished yet"

    @classmethod
    def candidates(cls) -> list[Job]:
        """The jobs that have made a layer."""
        return [job for job in runtime.current().jobs if job.files]


class T2L_OT_cancel(JobOperator, bpy.types.Operator):
    """Cancel the job, here and at the backend"""

    bl_idname = "text2live.cancel"
    bl_label = "Cancel Job"
    bl_options = {"INTERNAL"}
    needs = "No job is running"

    @classmethod
    def candidates(cls) -> list[Job]:
        """The running jobs."""
        return runtime.current().running

    def act(self, _context: Any, job: Job) -> None:
        """Cancel it."""
        runtime.current().cancel(job)


class T2L_OT_insert(OnFinishedLayer, bpy.types.Operator):
    """Place a finished layer above its strip (again)"""

    bl_idname = "text2live.insert"
    bl_label = "Insert Layer"
    bl_options = {"INTERNAL"}

    def act(self, _context: Any, job: Job) -> None:
        """Place its layers."""
        state = runtime.current()
        with state.session.threads_paused():
            state.place_again(job)


class T2L_OT_compose(OnFinishedLayer, bpy.types.Operator):
    """Add or update compositor nodes that put the layer over its source as the Sequencer does"""

    bl_idname = "text2live.compose"
    bl_label = "Add Compositor Nodes"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, _context: Any, job: Job) -> None:
        """Add the nodes to the compositor of the strip's scene."""
        scene, strip = layers.source_of_job(job)
        check_source(strip)
        start = job.anchor.first_frame(compat.content_start(strip))
        compositor.layers_over(scene, strip, job, start)
        ignored = compositor.ignored_settings(strip, job)
        if ignored:
            text = f"Nodes added. The compositor ignores {', '.join(ignored)}: add nodes for that"
            self.report({"WARNING"}, text)
        else:
            text = "Nodes added. To render them, turn off Sequencer in Output > Post Processing"
            self.report({"INFO"}, text)


CLASSES = (
    T2L_OT_edit,
    T2L_OT_batch,
    T2L_OT_analyse,
    T2L_OT_preview_mask,
    T2L_OT_cancel,
    T2L_OT_insert,
    T2L_OT_compose,
)
