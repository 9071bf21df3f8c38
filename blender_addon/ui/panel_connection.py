"""The Connection panel: its state, the reason, and the button that changes it."""

from __future__ import annotations

from typing import Any

import bpy

from ..blender import backends, runtime
from ..core.connection import ONLINE_OFF, ConnectionStatus
from ..core.local_backend import LocalBackend
from . import text_layout
from .base import PARENT, InSequencer
from .panel_now import BUTTON

_FIXED_IN_PREFERENCES = ("wrong_key", "not_allowed", "not_a_backend", "bad_address", "no_answer")

WIDE = 34  # characters of a sidebar whose headers have room for the state in words
OTHERS_SHOWN = 3  # jobs of other users that are named


class T2L_PT_connection(InSequencer, bpy.types.Panel):
    """The backend that does the work"""

    bl_idname = "T2L_PT_connection"
    bl_label = "Connection"
    bl_parent_id = PARENT

    def draw_header_preset(self, context: Any) -> None:
        """The state, visible while the panel is collapsed; in a narrow sidebar its icon."""
        status = runtime.current().session.status
        wide = text_layout.line_length(context) >= WIDE
        self.layout.label(text=status.short if wide else "", icon=status.icon)

    def draw(self, context: Any) -> None:
        """The connection, and the local backend."""
        state = runtime.current()
        width = text_layout.line_length(context)
        draw_state(self.layout, state.session.status, width)
        draw_local(self.layout, state.connector.local, state.session.status, width)


def draw_state(layout: Any, status: ConnectionStatus, width: int) -> None:
    """The state and its button; then the backend's details, or why there is no connection."""
    row = layout.row(align=True)
    text_layout.draw_paragraph(row, status.line, width - BUTTON, status.icon)
    if status.state == "off":
        row.operator("text2live.connect", text="Connect")
    else:
        row.operator("text2live.disconnect", text="", icon="X")
    if status.state == "ready":
        column = layout.column(align=True)
        column.scale_y = 0.8
        for text in (status.backend, status.memory, status.disk, status.queue):
            if text:
                text_layout.draw_paragraph(column, text, width, "BLANK1")
        if status.disk_warning:
            text_layout.draw_paragraph(column, status.disk_warning, width, "ERROR")
        for text in status.others[:OTHERS_SHOWN]:
            text_layout.draw_paragraph(column, f"Other user: {text}", width, "USER")
        if len(status.others) > OTHERS_SHOWN:
            column.label(text=f"and {len(status.others) - OTHERS_SHOWN} more", icon="BLANK1")
    elif status.problem is not None:
        box = layout.box()
        text_layout.draw_problem(box, status.problem, width)
        if status.problem.code == ONLINE_OFF:
            box.operator("text2live.allow_online", icon="URL")
        elif status.problem.code in _FIXED_IN_PREFERENCES:
            box.operator("text2live.preferences", icon="PREFERENCES")


def draw_local(
    layout: Any, local: LocalBackend | None, status: ConnectionStatus, width: int
) -> None:
    """The state of the local backend, or the button that starts it."""
    if local is not None and local.running:
        row = layout.split(factor=0.75, align=True)
        text = {
            "starting": "Starting backend",
            "ready": "Local backend",
            "stopping": "Stopping backend",
        }[local.state]
        row.label(text=text, icon="SORTTIME" if local.state != "ready" else "CHECKMARK")
        if local.state != "stopping":
            row.operator("text2live.stop_local", text="Stop")
        return
    if local is not None and local.problem is not None:
        text_layout.draw_problem(layout.box(), local.problem, width)
    if status.state not in ("ready", "connecting"):
        wanted = backends.preferences()
        if wanted is not None and wanted.backend_python:
            layout.operator("text2live.start_local", icon="PLAY")
        else:
            layout.operator(
                "text2live.preferences", text="Set Up a Local Backend", icon="PREFERENCES"
            )
            needs = "Needs Python 3.11 or newer with PyTorch (about 6 GB)."
            text_layout.draw_paragraph(layout, needs, width)


CLASSES = (T2L_PT_connection,)
