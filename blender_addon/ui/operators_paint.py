"""Operators of painting: open an atlas or a frame as an image, and map the paint to the shot."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import EnumProperty

from ..blender import analyses, compat, image_jobs
from ..blender.image_jobs import ImageJob
from ..blender.sources import check_source
from ..core.jobs import Job
from ..core.settings import LAYER_WORDS
from ..wire import jobs
from .base import subject
from .open_image import ImageSetter, OpenImageOperator
from .operators import StartsJob, begin
from .preferences import longest
from .properties import PAINT_LAYERS


class T2L_OT_open_atlas(OpenImageOperator, bpy.types.Operator):
    """Open this layer's atlas as an image to paint on"""

    bl_idname = "text2live.open_atlas"
    bl_label = "Open Atlas"

    layer: EnumProperty(  # type: ignore[valid-type]
        name="Layer", description="The layer whose atlas to open", items=PAINT_LAYERS
    )

    def open(self, context: Any) -> tuple[ImageJob, ImageSetter]:
        """The atlas, for Map to Shot; one that is open already is shown as it is."""
        scene, strip, layer = compat.sequencer_scene(context), subject(context), self.layer
        settings = scene.text2live.collect(longest(context), "paint", strip)
        found = analyses.find(strip, settings)
        atlas = found.pictures.get(f"{layer}_atlas") if found else None
        if atlas is None:
            raise _not_analysed(layer)

        def set_image(settings: Any, image: Any) -> None:
            settings.paint_image, settings.paint_layer = image, layer
            settings.paint_onto = "atlas"

        name = f"{strip.name} {LAYER_WORDS[layer]} atlas"
        fingerprint = analyses.fingerprint(strip, settings)
        return image_jobs.open_atlas(atlas, name, fingerprint), set_image


class T2L_OT_paint_frame(OpenImageOperator, bpy.types.Operator):
    """Open a copy of the current frame to paint on. The paint is carried to all other frames"""

    bl_idname = "text2live.paint_frame"
    bl_label = "Paint on This Frame"

    def open(self, context: Any) -> tuple[ImageJob, ImageSetter]:
        """A copy of the frame, for Map to Shot."""
        scene = compat.sequencer_scene(context)
        frame = scene.frame_current

        def set_image(settings: Any, image: Any) -> None:
            settings.paint_image, settings.paint_onto = image, "frame"
            settings.paint_frame = frame

        size = longest(context)
        return image_jobs.open_frame(scene, subject(context), frame, size, "paint"), set_image


class T2L_OT_map_paint(StartsJob, bpy.types.Operator):
    """Carry the paint to every frame of the shot as a new layer. Takes seconds, no training"""

    bl_idname = "text2live.map_paint"
    bl_label = "Map to Shot"

    def begin(self, context: Any) -> Job:
        """Start the job; raises JobError."""
        scene, strip = compat.sequencer_scene(context), subject(context)
        check_source(strip)
        image = scene.text2live.paint_image
        if image is None:
            raise jobs.JobError(
                "no_paint_image",
                "No image is chosen.",
                "Open an atlas or a frame to paint on, or choose an image with transparency.",
            )
        if scene.text2live.paint_onto == "atlas":
            _check_atlas(context, scene.text2live, strip, image)
        return begin(context, "paint", image.name)


def _check_atlas(context: Any, panel_settings: Any, strip: Any, image: Any) -> None:
    """Raise JobError if the shot is not analysed or the image belongs to another analysis."""
    settings = panel_settings.collect(longest(context), "paint", strip)
    if analyses.find(strip, settings) is None:
        raise _not_analysed(panel_settings.paint_layer)
    fingerprint = analyses.fingerprint(strip, settings)
    if image.get(image_jobs.ANALYSIS, fingerprint) != fingerprint:
        raise jobs.JobError(
            "other_atlas",
            f"The image {image.name} is the atlas of another analysis.",
            "Open the atlas again, or restore the object and quality it was made with.",
        )


def _not_analysed(layer: str) -> jobs.JobError:
    return jobs.JobError(
        "not_analysed",
        f"With these settings the shot has no {LAYER_WORDS[layer]} atlas yet.",
        "Press Analyse Shot first.",
    )


CLASSES = (T2L_OT_open_atlas, T2L_OT_paint_frame, T2L_OT_map_paint)
