"""Buttons of painting: open an atlas or a frame as an image, and lay the paint over the shot."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import EnumProperty

from ..blender import analyses, compat, image_jobs
from ..blender.extract import check_source
from ..blender.image_jobs import ImageJob
from ..core.jobs import Job
from ..core.settings import LAYER_WORDS
from ..wire import jobs
from .base import subject
from .opening import Chooser, OpenImageOperator
from .operators import OnStrip, begin
from .preferences import longest
from .properties import PAINT_LAYERS


class T2L_OT_open_atlas(OpenImageOperator, bpy.types.Operator):
    """Open the layer's atlas of the analysed shot as an image to paint on"""

    bl_idname = "text2live.open_atlas"
    bl_label = "Open Atlas"

    layer: EnumProperty(  # type: ignore[valid-type]
        name="Layer", description="The layer whose atlas is opened", items=PAINT_LAYERS
    )

    def open(self, context: Any) -> tuple[ImageJob, Chooser]:
        """The atlas, for Map to Shot; one that was opened before comes back as it was left."""
        scene, strip, layer = compat.sequencer_scene(context), subject(context), self.layer
        plain = scene.text2live.collect(longest(context), "paint")
        found = analyses.find(strip, plain)
        picture = found.pictures.get(f"{layer}_atlas") if found else None
        if picture is None:
            raise _raised(_not_analysed(layer))

        def choose(settings: Any, image: Any) -> None:
            settings.paint_image, settings.paint_layer = image, layer
            settings.paint_onto = "atlas"

        name = f"{strip.name} {LAYER_WORDS[layer]} atlas"
        return image_jobs.open_atlas(picture, name, analyses.fingerprint(strip, plain)), choose


class T2L_OT_paint_frame(OpenImageOperator, bpy.types.Operator):
    """Open a copy of the current frame to paint on; what you paint is carried to all the others"""

    bl_idname = "text2live.paint_frame"
    bl_label = "Paint on This Frame"

    def open(self, context: Any) -> tuple[ImageJob, Chooser]:
        """A copy of the frame, for Map to Shot."""
        scene = compat.sequencer_scene(context)
        frame = scene.frame_current

        def choose(settings: Any, image: Any) -> None:
            settings.paint_image, settings.paint_onto = image, "frame"
            settings.paint_frame = frame

        opened = image_jobs.open_frame(scene, subject(context), frame, longest(context), "paint")
        return opened, choose


class T2L_OT_map_paint(OnStrip, bpy.types.Operator):
    """Lay what is painted over every frame of the shot, as a new layer: no training, in seconds"""

    bl_idname = "text2live.map_paint"
    bl_label = "Map to Shot"

    def begin(self, context: Any) -> Job:
        """Start the job; raises JobError."""
        scene, strip = compat.sequencer_scene(context), subject(context)
        check_source(strip)
        settings = scene.text2live
        image = settings.paint_image
        if image is None:
            raise jobs.JobError(
                "no_paint_image",
                "No image is chosen.",
                "Open an atlas or a frame to paint on, or choose a picture with transparency.",
            )
        if settings.paint_onto == "atlas":
            plain = settings.collect(longest(context), "paint")
            if analyses.find(strip, plain) is None:
                raise _raised(_not_analysed(settings.paint_layer))
            if image.get(
                image_jobs.ANALYSIS, analyses.fingerprint(strip, plain)
            ) != analyses.fingerprint(strip, plain):
                raise jobs.JobError(
                    "other_atlas",
                    f"The image {image.name} is the atlas of another analysis.",
                    "Open the atlas again, or set the object and the quality as they were then.",
                )
        return begin(context, "paint", image.name)


def _not_analysed(layer: str) -> jobs.Problem:
    return jobs.Problem(
        code="not_analysed",
        message=f"The shot has no {LAYER_WORDS[layer]} atlas yet under these settings.",
        hint="Press Analyse Shot first.",
    )


def _raised(problem: jobs.Problem) -> jobs.JobError:
    return jobs.JobError(problem.code, problem.message, problem.hint)


CLASSES = (T2L_OT_open_atlas, T2L_OT_paint_frame, T2L_OT_map_paint)
