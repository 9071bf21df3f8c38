"""Operators of the shot: draw a box in the preview, paint a mask, open the analysis report."""

from __future__ import annotations

from typing import Any

import bpy

from ..blender import analyses, compat, handlers, image_editor, image_jobs
from ..blender.extract import check_source, source_size
from ..blender.image_jobs import ImageJob
from ..blender.timeline import layers
from ..core.planning import bounding_box, canvas_to_image
from ..wire import jobs
from . import box_overlay
from .base import reports_problems, subject
from .open_image import ImageSetter, OpenImageOperator
from .operators import NeedsStrip
from .preferences import longest


class T2L_OT_draw_box(NeedsStrip, bpy.types.Operator):
    """Drag a box around the object in the preview, on the current frame"""

    bl_idname = "text2live.draw_box"
    bl_label = "Draw Box"
    bl_options = {"REGISTER", "UNDO"}

    @reports_problems
    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Wait for the drag; Esc cancels."""
        self._region = box_overlay.preview_region(context)
        strip = subject(context)
        check_source(strip)
        self._size = source_size(strip)
        if self._region is None:
            raise jobs.JobError(
                "no_preview",
                "No preview is open to draw the box in.",
                "Set a Sequencer's view to Preview, or enter the box's corner and size.",
            )
        self._start: tuple[float, float] | None = None
        context.window.cursor_modal_set("CROSSHAIR")
        context.workspace.status_text_set_internal("Drag a box around the object; Esc: cancel")
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any) -> set[str]:
        """Follow the mouse from press to release."""
        here = (event.mouse_x - self._region.x, event.mouse_y - self._region.y)
        if event.type in {"ESC", "RIGHTMOUSE"}:
            return self._end(context, "CANCELLED")
        if event.type == "LEFTMOUSE" and event.value == "PRESS":
            inside = 0 <= here[0] < self._region.width and 0 <= here[1] < self._region.height
            if not inside:
                return {"PASS_THROUGH"}
            self._start = here
            return {"RUNNING_MODAL"}
        if self._start is None:
            return {"PASS_THROUGH"}
        if event.type == "MOUSEMOVE":
            box_overlay.show_drag((*self._start, *here))
            self._region.tag_redraw()
        elif event.type == "LEFTMOUSE" and event.value == "RELEASE":
            set_box(context, box_overlay.canvas_points(context, self._region, self._start, here))
            return self._end(context, "FINISHED")
        return {"RUNNING_MODAL"}

    def _end(self, context: Any, outcome: str) -> set[str]:
        box_overlay.show_drag(None)
        context.window.cursor_modal_restore()
        context.workspace.status_text_set_internal(None)
        handlers.redraw("PREVIEW")
        return {outcome}


def set_box(context: Any, corners: list[tuple[float, float]]) -> None:
    """Set the object's box on this frame. corners: canvas points in pixels from its centre."""
    scene, strip = compat.sequencer_scene(context), subject(context)
    size = source_size(strip)
    placement = layers.get_placement(strip)
    points = [canvas_to_image(corner, placement, size) for corner in corners]
    x, y, width, height = bounding_box(points, size)
    settings = scene.text2live
    settings.mask_corner, settings.mask_size = (x, y), (width, height)
    settings.mask_frame = scene.frame_current
    settings.mask_mode = "box"


class T2L_OT_paint_mask(OpenImageOperator, bpy.types.Operator):
    """Open a copy of the current frame. Paint over the object in a colour that stands out"""

    bl_idname = "text2live.paint_mask"
    bl_label = "Paint Mask on This Frame"

    def open(self, context: Any) -> tuple[ImageJob, ImageSetter]:
        """A copy of the frame, which becomes the mask."""
        scene, strip = compat.sequencer_scene(context), subject(context)
        frame, size = scene.frame_current, longest(context)

        def set_image(settings: Any, image: Any) -> None:
            settings.mask_mode, settings.mask_image = "image", image
            settings.mask_frame = frame

        opened = image_jobs.open_frame(scene, strip, frame, size, "mask", image_jobs.OPAQUE)
        return opened, set_image


class T2L_OT_open_report(NeedsStrip, bpy.types.Operator):
    """Open the analysis report: everything that was found, layer by layer, in one image"""

    bl_idname = "text2live.open_report"
    bl_label = "Open Report"
    bl_options = {"INTERNAL"}

    def execute(self, context: Any) -> set[str]:
        """Show it."""
        scene, strip = compat.sequencer_scene(context), subject(context)
        found = analyses.find(strip, scene.text2live.collect(longest(context), "atlas"))
        if found is None or "report" not in found.pictures:
            self.report({"WARNING"}, "The report is not on disk. Analyse the shot again.")
            return {"CANCELLED"}
        image = bpy.data.images.load(str(found.pictures["report"]), check_existing=True)
        image_editor.show(image, paint=False)
        return {"FINISHED"}


CLASSES = (T2L_OT_draw_box, T2L_OT_paint_mask, T2L_OT_open_report)
