"""Blender's status bar: the running job with its progress and cancel button, or the last notice."""

from __future__ import annotations

from typing import Any

import bpy

from ..blender import compat, runtime


class T2L_OT_notify(bpy.types.Operator):
    """Show in the status bar that a job has ended"""

    bl_idname = "text2live.notify"
    bl_label = "Text2LIVE Notice"
    bl_options = {"INTERNAL"}

    text: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Text", description="What to show", options={"SKIP_SAVE", "HIDDEN"}
    )

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Wait for the next event: Blender only shows reports of operators that it runs itself."""
        manager = context.window_manager
        self._timer = manager.event_timer_add(0.05, window=context.window)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any) -> set[str]:
        """Report the text once."""
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        context.window_manager.event_timer_remove(self._timer)
        self.report({"WARNING" if " failed. " in self.text else "INFO"}, self.text)
        return {"FINISHED"}


def draw(header: Any, _context: Any) -> None:
    """The first running job, or the last notice for a while."""
    state = runtime.current()
    running = state.running
    row = header.layout.row(align=True)
    if running:
        job = running[0]
        more = f" (+{len(running) - 1})" if len(running) > 1 else ""
        compat.show_progress(row, job.fraction, f"{job.title}{more}: {job.progress_text()}")
        row.operator("text2live.cancel", text="", icon="X").job_id = job.id
    elif state.notices.text:
        row.label(text=state.notices.text, icon="INFO")


def register() -> None:
    """Add to the status bar."""
    bpy.types.STATUSBAR_HT_header.append(draw)


def unregister() -> None:
    """Remove it again."""
    bpy.types.STATUSBAR_HT_header.remove(draw)


CLASSES = (T2L_OT_notify,)
