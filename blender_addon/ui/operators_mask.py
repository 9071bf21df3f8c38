"""Operators of the mask's key frames: draw a box or strokes, paint, choose a file, remove."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import IntProperty, IntVectorProperty, StringProperty

from ..blender import compat, handlers, image_editor, image_jobs, mask_previews
from ..blender.image_jobs import ImageJob
from ..blender.mask_keys import content_frame, keys_of, timeline_frame, write_keys
from ..blender.sources import check_covers, check_source, source_size
from ..blender.timeline import layers
from ..core.doubt import doubtful_runs, neighbour
from ..core.mask_keys import MaskKey, Point, Stroke, with_key, with_stroke
from ..core.planning import bounding_box, canvas_to_image
from ..wire import jobs
from . import mask_overlay
from .base import reports_problems, require, subject
from .open_image import ImageSetter, OpenImageOperator
from .operators import NeedsStrip
from .preferences import longest


def set_keys(context: Any, keys: tuple[MaskKey, ...]) -> None:
    """Give the active strip's mask these key frames, and find the object by them."""
    write_keys(subject(context), keys)
    compat.sequencer_scene(context).text2live.mask_mode = "keys"
    handlers.redraw("PREVIEW", "WINDOW")


def current_frame(context: Any) -> int:
    """The frame of the active strip's content at the current frame; raises JobError outside."""
    strip, frame = subject(context), compat.sequencer_scene(context).frame_current
    check_covers(strip, frame)
    return content_frame(strip, frame)


class DrawsInPreview(NeedsStrip):
    """A modal operator that draws in the preview with the left mouse button.

    The region is looked up at every event: an area may be closed or maximised meanwhile.
    """

    keys_text = ""
    draws_box = False

    @reports_problems
    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Wait for the mouse; Esc cancels."""
        check_source(subject(context))
        current_frame(context)
        if mask_overlay.preview_region(context) is None:
            raise jobs.JobError(
                "no_preview",
                "No preview is open to draw in.",
                "Set a Sequencer's view to Preview or Sequencer & Preview.",
            )
        if mask_overlay.drawing.active:
            raise jobs.JobError(
                "already_drawing", "A box or strokes are being drawn.", "Finish with Esc first."
            )
        mask_overlay.drawing.begin(self.draws_box)
        context.window.cursor_modal_set("CROSSHAIR")
        context.workspace.status_text_set_internal(self.keys_text)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any) -> set[str]:
        """Follow the mouse from press to release."""
        drawing, mouse = mask_overlay.drawing, (event.mouse_x, event.mouse_y)
        region = mask_overlay.preview_region(context, drawing.place if drawing.points else mouse)
        if event.type in {"ESC", "RIGHTMOUSE", "RET", "NUMPAD_ENTER"} or region is None:
            return self._end(context, {"CANCELLED"})
        here = (event.mouse_x - region.x, event.mouse_y - region.y)
        if event.type == "LEFTMOUSE" and event.value == "PRESS":
            if not mask_overlay.contains(region, mouse):
                return {"PASS_THROUGH"}
            drawing.points, drawing.inside = [self._first(context, region, here)], not event.ctrl
            drawing.place = (region.x, region.y)
            region.tag_redraw()
            return {"RUNNING_MODAL"}
        if not drawing.points:
            return {"PASS_THROUGH"}
        if event.type == "MOUSEMOVE":
            drawing.points.append(here)
            region.tag_redraw()
        elif event.type == "LEFTMOUSE" and event.value == "RELEASE":
            points = mask_overlay.canvas_points(context, region, [*drawing.points, here])
            drawing.points = []
            return self._drawn(context, points, drawing.inside)
        return {"RUNNING_MODAL"}

    def _first(self, _context: Any, _region: Any, here: Point) -> Point:
        """Where the drawing begins when the button is pressed at a point of the region."""
        return here

    def _drawn(self, context: Any, points: list[Point], inside: bool) -> set[str]:
        """The mouse was released. points: of the canvas, in pixels from its centre."""
        raise NotImplementedError

    def _end(self, context: Any, outcome: set[str]) -> set[str]:
        mask_overlay.drawing.end()
        context.window.cursor_modal_restore()
        context.workspace.status_text_set_internal(None)
        handlers.redraw("PREVIEW")
        return outcome


def to_image(strip: Any, points: list[Point]) -> list[Point]:
    """Points of the canvas as pixels of a strip's frame, y down."""
    placement, size = layers.get_placement(strip), source_size(strip)
    return [canvas_to_image(point, placement, size) for point in points]


class T2L_OT_draw_box(DrawsInPreview, bpy.types.Operator):
    """Drag a box around the object in the preview, as a key frame of the mask"""

    bl_idname = "text2live.draw_box"
    bl_label = "Draw Box"
    bl_options = {"REGISTER", "UNDO"}
    keys_text = "Drag a box around the object, or a corner of the box. Esc: cancel"
    draws_box = True

    box: IntVectorProperty(  # type: ignore[valid-type]
        name="Box",
        description="Left, top, width and height in pixels of the strip's frame",
        size=4,
        min=0,
        options={"SKIP_SAVE"},
    )

    @reports_problems
    def execute(self, context: Any) -> None:
        """Set the box on the current frame."""
        x, y, width, height = map(float, self.box)
        key = MaskKey(frame=current_frame(context), kind="box", box=(x, y, width, height))
        set_keys(context, with_key(keys_of(subject(context)), key))

    def _first(self, context: Any, region: Any, here: Point) -> Point:
        """The corner across from the one that is dragged, or the first corner of a new box."""
        strip = subject(context)
        return mask_overlay.opposite_corner(context, strip, region, here) or here

    def _drawn(self, context: Any, points: list[Point], _inside: bool) -> set[str]:
        strip = subject(context)
        corners = to_image(strip, [points[0], points[-1]])
        self.box = bounding_box(_corners(*corners), source_size(strip))
        self._end(context, {"FINISHED"})
        if min(self.box[2:]) < 1:
            self.report({"WARNING"}, "The box is empty. Drag from one corner to the other.")
            return {"CANCELLED"}
        outcome: set[str] = self.execute(context)
        return outcome


def _corners(first: Point, last: Point) -> list[Point]:
    return [(x, y) for x in (first[0], last[0]) for y in (first[1], last[1])]


class T2L_OT_draw_strokes(DrawsInPreview, bpy.types.Operator):
    """Draw on the object in the preview; with Ctrl on the background. A click is a short stroke"""

    bl_idname = "text2live.draw_strokes"
    bl_label = "Draw Strokes"
    bl_options = {"REGISTER", "UNDO"}
    keys_text = "Draw on the object. Ctrl: on the background. Enter or Esc: finish"

    def _drawn(self, context: Any, points: list[Point], inside: bool) -> set[str]:
        strip = subject(context)
        radius = compat.sequencer_scene(context).text2live.mask_brush / 2
        try:
            frame = current_frame(context)
        except jobs.JobError as error:
            self.report({"WARNING"}, error.problem.message)
            return {"RUNNING_MODAL"}
        stroke = Stroke(inside, radius, _thinned(to_image(strip, points), radius / 2))
        set_keys(context, with_stroke(keys_of(strip), frame, stroke))
        mask_overlay.drawing.finished += 1
        return {"RUNNING_MODAL"}

    def _end(self, context: Any, outcome: set[str]) -> set[str]:
        drawn = mask_overlay.drawing.finished
        return super()._end(context, {"FINISHED"} if drawn else outcome)

    @reports_problems
    def execute(self, _context: Any) -> None:
        """Strokes need a mouse; scripts write them with blender.mask_keys."""
        raise jobs.JobError(
            "needs_a_mouse", "Strokes are drawn with the mouse.", "Press Draw Strokes."
        )


def _thinned(points: list[Point], apart: float) -> tuple[Point, ...]:
    """Points at least so far apart, rounded to a tenth; the first and last are kept."""
    kept = [points[0]]
    for x, y in points[1:]:
        if (x - kept[-1][0]) ** 2 + (y - kept[-1][1]) ** 2 >= max(1.0, apart) ** 2:
            kept.append((x, y))
    if points[-1] != kept[-1]:
        kept.append(points[-1])
    return tuple((round(x, 1), round(y, 1)) for x, y in kept)


class T2L_OT_paint_mask(OpenImageOperator, bpy.types.Operator):
    """Open a copy of the current frame. Paint over the object in a colour that stands out"""

    bl_idname = "text2live.paint_mask"
    bl_label = "Paint Mask"

    def open(self, context: Any) -> tuple[ImageJob, ImageSetter]:
        """A copy of the frame, which becomes a key frame."""
        scene, strip = compat.sequencer_scene(context), subject(context)
        frame, strip_name = current_frame(context), strip.name

        def set_image(settings: Any, image: Any) -> None:
            image.use_fake_user = True  # the key frame knows it by name only
            there = compat.all_strips(scene.sequence_editor).get(strip_name)
            if there is not None:
                key = MaskKey(frame=frame, kind="image", name=image.name)
                write_keys(there, with_key(keys_of(there), key))
            settings.mask_mode = "keys"

        opened = image_jobs.open_frame(
            scene, strip, scene.frame_current, longest(context), "mask", image_jobs.OPAQUE
        )
        return opened, set_image


class T2L_OT_add_mask_file(NeedsStrip, bpy.types.Operator):
    """Use an image as the mask of the current frame: the object white on black"""

    bl_idname = "text2live.add_mask_file"
    bl_label = "Mask From File"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(  # type: ignore[valid-type]
        name="Image", description="The mask's file", subtype="FILE_PATH", options={"SKIP_SAVE"}
    )
    filter_image: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Images", description="Show images only", default=True, options={"HIDDEN"}
    )

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Choose the file."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    @reports_problems
    def execute(self, context: Any) -> None:
        """Add the key frame."""
        path = bpy.path.abspath(self.filepath)
        key = MaskKey(frame=current_frame(context), kind="file", path=path)
        set_keys(context, with_key(keys_of(subject(context)), key))


class OnKey(NeedsStrip):
    """An operator on a key frame of the active strip's mask."""

    frame: IntProperty(  # type: ignore[valid-type]
        name="Frame",
        description="Frame of the key frame, counted from the start of the strip's content",
        options={"SKIP_SAVE", "HIDDEN"},
    )


class T2L_OT_remove_key(OnKey, bpy.types.Operator):
    """Remove this key frame of the mask"""

    bl_idname = "text2live.remove_key"
    bl_label = "Remove Key Frame"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    @classmethod
    def poll(cls: Any, context: Any) -> bool:
        """The active strip has a key frame."""
        known = keys_of(subject(context))
        return require(cls, known, "The active strip's mask has no key frame")

    @reports_problems
    def execute(self, context: Any) -> None:
        """Remove it; a painted image stays in the file."""
        strip = subject(context)
        write_keys(strip, [key for key in keys_of(strip) if key.frame != self.frame])
        handlers.redraw("PREVIEW", "WINDOW")


class T2L_OT_go_to_frame(OnKey, bpy.types.Operator):
    """Go to this frame; the image of a painted key frame is opened too"""

    bl_idname = "text2live.go_to_frame"
    bl_label = "Go to Frame"
    bl_options = {"INTERNAL"}

    def execute(self, context: Any) -> set[str]:
        """Go there."""
        strip = subject(context)
        compat.sequencer_scene(context).frame_set(timeline_frame(strip, self.frame))
        for key in keys_of(strip):
            image = bpy.data.images.get(key.name) if key.frame == self.frame else None
            if image is not None:
                image_editor.show(image, paint=True)
        return {"FINISHED"}


class T2L_OT_doubtful_frame(NeedsStrip, bpy.types.Operator):
    """Go to the next or previous frame on which the previewed mask is doubtful"""

    bl_idname = "text2live.doubtful_frame"
    bl_label = "Doubtful Frame"
    bl_options = {"INTERNAL"}

    backwards: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Backwards", description="Go to the previous one", options={"SKIP_SAVE", "HIDDEN"}
    )

    @classmethod
    def poll(cls: Any, context: Any) -> bool:
        """The active strip has a preview with doubtful frames."""
        found = mask_previews.find(subject(context))
        doubtful = found is not None and doubtful_runs(found.confidence)
        return require(cls, doubtful, "The mask preview has no doubtful frame")

    def execute(self, context: Any) -> set[str]:
        """Go there."""
        strip, scene = subject(context), compat.sequencer_scene(context)
        found = mask_previews.find(strip)
        assert found is not None
        runs = doubtful_runs(found.confidence)
        frames = [found.frame(strip, index) for run in runs for index in range(run[0], run[1] + 1)]
        frame = neighbour(frames, scene.frame_current, -1 if self.backwards else 1)
        if frame is None:
            self.report({"INFO"}, "There is no further doubtful frame in this direction.")
            return {"CANCELLED"}
        scene.frame_set(frame)
        return {"FINISHED"}


CLASSES = (
    T2L_OT_doubtful_frame,
    T2L_OT_draw_box,
    T2L_OT_draw_strokes,
    T2L_OT_paint_mask,
    T2L_OT_add_mask_file,
    T2L_OT_remove_key,
    T2L_OT_go_to_frame,
)
