"""The mask in the Shot panel: its key frames, its preview, and what to do about doubtful frames."""

from __future__ import annotations

from typing import Any

from ..blender import compat, mask_previews, runtime
from ..blender.mask_keys import keys_of, timeline_frame
from ..core.doubt import doubtful_runs, most_helpful, verdict
from ..core.mask_keys import LABELS
from . import text_layout
from .preferences import longest
from .text_layout import form

KEYS_SHOWN = 12
RUNS_SHOWN = 6
RUNS_IN_ROW = 3


def draw_keys(layout: Any, settings: Any, strip: Any, width: int) -> None:
    """The buttons that add a key frame on the current frame, and the list of key frames."""
    row = layout.row(align=True)
    row.operator("text2live.draw_box", text="Box", icon="SELECT_SET")
    row.operator("text2live.draw_strokes", text="Strokes", icon="GREASEPENCIL")
    row = layout.row(align=True)
    row.operator("text2live.paint_mask", text="Paint", icon="BRUSH_DATA")
    row.operator("text2live.add_mask_file", text="File", icon="FILE_IMAGE")
    form(layout).prop(settings, "mask_brush")
    keys = keys_of(strip)
    if not keys:
        text = "No key frame yet: go to a frame that shows the object, and draw a box around it."
        text_layout.draw_paragraph(layout, text, width, "INFO")
    column = layout.column(align=True)
    for key in keys[:KEYS_SHOWN]:
        row = column.row(align=True)
        start, end = compat.span(strip)
        frame = timeline_frame(strip, key.frame)
        text = f"Frame {frame}: {LABELS[key.kind]}"
        if not start <= frame < end:
            text += " (outside)"
        icon = "KEYFRAME_HLT" if frame == strip.id_data.frame_current else "KEYFRAME"
        row.operator("text2live.go_to_frame", text=text, icon=icon).frame = key.frame
        row.operator("text2live.remove_key", text="", icon="X").frame = key.frame
    if len(keys) > KEYS_SHOWN:
        column.label(text=f"and {len(keys) - KEYS_SHOWN} more")


def draw_preview(layout: Any, context: Any, strip: Any, width: int) -> None:
    """The button that previews the mask; then how good it is, and where to look."""
    settings = compat.sequencer_scene(context).text2live
    if settings.mask_mode == "none":
        return
    if any(job.kind == "mask" for job in runtime.current().running):
        return  # shown at the top, with its progress
    row = layout.row(align=True)
    row.operator("text2live.preview_mask", icon="OVERLAY")
    found = mask_previews.find(strip)
    if found is None:
        return
    row.prop(settings, "show_mask", text="", icon="HIDE_OFF" if settings.show_mask else "HIDE_ON")
    wanted = settings.collect(longest(context), "mask", strip)
    if mask_previews.fingerprint(strip, wanted) != found.fingerprint:
        text = "The mask has changed since this preview: preview it again."
        text_layout.draw_paragraph(layout, text, width, "FILE_REFRESH")
    good, text = verdict(found.confidence, found.frame(strip, 0))
    text_layout.draw_paragraph(layout, text, width, "CHECKMARK" if good else "ERROR")
    if not good:
        draw_doubtful(layout, strip, found)


def draw_doubtful(layout: Any, strip: Any, found: mask_previews.MaskPreview) -> None:
    """Buttons that go to doubtful frames, and to the one where a key frame helps most."""
    column = layout.column(align=True)
    helps = most_helpful(found.confidence)
    if helps is not None:
        frame = found.frame(strip, helps)
        text = f"Add a Key Frame on {frame}"
        column.operator("text2live.go_to_frame", text=text, icon="KEYFRAME_HLT").frame = (
            found.first + helps
        )
    runs = doubtful_runs(found.confidence)
    row = column.row(align=True)
    row.operator("text2live.doubtful_frame", text="", icon="PREV_KEYFRAME").backwards = True
    for number, (first, last) in enumerate(runs[:RUNS_SHOWN]):
        if number and number % RUNS_IN_ROW == 0:
            row = column.row(align=True)
        start, end = found.frame(strip, first), found.frame(strip, last)
        worst = min(range(first, last + 1), key=lambda index: found.confidence[index])
        text = f"{start}" if start == end else f"{start}-{end}"
        row.operator("text2live.go_to_frame", text=text).frame = found.first + worst
    row.operator("text2live.doubtful_frame", text="", icon="NEXT_KEYFRAME").backwards = False
    if len(runs) > RUNS_SHOWN:
        column.label(text=f"and {len(runs) - RUNS_SHOWN} more, see the strip")
