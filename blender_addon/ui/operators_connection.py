"""Buttons of the connection: connect, disconnect, the local backend, what Blender forbids."""

from __future__ import annotations

from typing import Any

import bpy

from ..blender import handlers, runtime
from ..blender.backends import PACKAGE
from ..wire import jobs
from .base import refuse


class T2L_OT_connect(bpy.types.Operator):
    """Connect to the backend named in the add-on's preferences"""

    bl_idname = "text2live.connect"
    bl_label = "Connect"

    def execute(self, _context: Any) -> set[str]:
        """Start connecting and return; the panel says how it went."""
        try:
            runtime.current().connect()
        except jobs.JobError as error:
            return refuse(self, error.problem)
        handlers.redraw()
        return {"FINISHED"}


class T2L_OT_disconnect(bpy.types.Operator):
    """Disconnect; the backend goes on with its jobs and they are picked up at the next connect"""

    bl_idname = "text2live.disconnect"
    bl_label = "Disconnect"

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """There is a connection."""
        return runtime.current().session.connected

    def execute(self, _context: Any) -> set[str]:
        """Close the connection."""
        runtime.current().session.disconnect()
        handlers.redraw()
        return {"FINISHED"}


class T2L_OT_allow_online(bpy.types.Operator):
    """Turn on Allow Online Access in Blender's preferences (System > Network), and connect"""

    bl_idname = "text2live.allow_online"
    bl_label = "Allow Online Access"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """This Blender has the switch."""
        return hasattr(context.preferences.system, "use_online_access")

    def execute(self, context: Any) -> set[str]:
        """Turn it on."""
        if getattr(bpy.app, "online_access_override", False):
            problem = jobs.Problem(
                code="offline_mode",
                message="Blender was started in offline mode, which cannot be changed here.",
                hint="Start it without the option --offline-mode.",
            )
            return refuse(self, problem)
        context.preferences.system.use_online_access = True
        try:
            runtime.current().connect()
        except jobs.JobError as error:
            return refuse(self, error.problem)
        handlers.redraw()
        return {"FINISHED"}


class T2L_OT_start_local(bpy.types.Operator):
    """Start a backend on this machine with the Python chosen in the preferences, and connect"""

    bl_idname = "text2live.start_local"
    bl_label = "Start Local Backend"

    def execute(self, _context: Any) -> set[str]:
        """Start it and return; the panel says when it is ready."""
        try:
            runtime.current().connector.start_local()
        except jobs.JobError as error:
            return refuse(self, error.problem)
        handlers.redraw()
        return {"FINISHED"}


class T2L_OT_stop_local(bpy.types.Operator):
    """Stop the backend that was started from here; unfinished jobs go on at its next start"""

    bl_idname = "text2live.stop_local"
    bl_label = "Stop Local Backend"

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """There is one."""
        local = runtime.current().connector.local
        return local is not None and local.running

    def execute(self, _context: Any) -> set[str]:
        """Stop it."""
        runtime.current().connector.stop_local()
        handlers.redraw()
        return {"FINISHED"}


class T2L_OT_preferences(bpy.types.Operator):
    """Open the add-on's preferences"""

    bl_idname = "text2live.preferences"
    bl_label = "Open the Preferences"

    def execute(self, _context: Any) -> set[str]:
        """Show the page."""
        bpy.ops.preferences.addon_show(module=PACKAGE)
        return {"FINISHED"}


class T2L_OT_dismiss(bpy.types.Operator):
    """Take this message away"""

    bl_idname = "text2live.dismiss"
    bl_label = "Understood"

    def execute(self, _context: Any) -> set[str]:
        """Forget it."""
        runtime.current().problem = None
        handlers.redraw()
        return {"FINISHED"}


CLASSES = (
    T2L_OT_connect,
    T2L_OT_disconnect,
    T2L_OT_allow_online,
    T2L_OT_start_local,
    T2L_OT_stop_local,
    T2L_OT_preferences,
    T2L_OT_dismiss,
)
