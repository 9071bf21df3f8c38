"""Operators of the connection: connect, disconnect, the local backend, online access."""

from __future__ import annotations

from typing import Any

import bpy

from ..blender import compat, runtime
from ..blender.backends import PACKAGE
from ..wire import jobs
from .base import reports_problems, require


class T2L_OT_connect(bpy.types.Operator):
    """Connect to the backend chosen in the add-on's preferences"""

    bl_idname = "text2live.connect"
    bl_label = "Connect to Backend"

    @reports_problems
    def execute(self, _context: Any) -> None:
        """Start connecting and return; the panel shows the result."""
        runtime.current().connect()


class T2L_OT_disconnect(bpy.types.Operator):
    """Disconnect. The backend keeps working on its jobs; connect again to follow them"""

    bl_idname = "text2live.disconnect"
    bl_label = "Disconnect from Backend"

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """There is a connection."""
        return require(cls, runtime.current().session.connected, "There is no connection")

    @reports_problems
    def execute(self, _context: Any) -> None:
        """Close the connection."""
        runtime.current().session.disconnect()


class T2L_OT_allow_online(bpy.types.Operator):
    """Turn on Allow Online Access in Blender's preferences (System > Network), and connect"""

    bl_idname = "text2live.allow_online"
    bl_label = "Allow Online Access"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """This Blender has the setting."""
        known = hasattr(context.preferences.system, "use_online_access")
        return require(cls, known, "This Blender has no such setting: it is always online")

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Ask first: the setting is for all of Blender."""
        message = "This allows every add-on in Blender to access the internet."
        return compat.confirm(context, self, event, "Allow Online Access?", message)

    @reports_problems
    def execute(self, context: Any) -> None:
        """Turn it on and connect."""
        if getattr(bpy.app, "online_access_override", False):
            raise jobs.JobError(
                "offline_mode",
                "Blender was started in offline mode, which cannot be changed while it runs.",
                "Restart Blender without the option --offline-mode.",
            )
        context.preferences.system.use_online_access = True
        runtime.current().connect()


class T2L_OT_start_local(bpy.types.Operator):
    """Start a backend on this machine with the Python chosen in the preferences, and connect"""

    bl_idname = "text2live.start_local"
    bl_label = "Start Local Backend"

    @reports_problems
    def execute(self, _context: Any) -> None:
        """Start it and return; the panel shows when it is ready."""
        runtime.current().connector.start_local()


class T2L_OT_stop_local(bpy.types.Operator):
    """Stop the backend that was started here. It resumes unfinished jobs at the next start"""

    bl_idname = "text2live.stop_local"
    bl_label = "Stop Local Backend"

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """It is running."""
        local = runtime.current().connector.local
        running = local is not None and local.running
        return require(cls, running, "No backend was started here")

    @reports_problems
    def execute(self, _context: Any) -> None:
        """Stop it."""
        runtime.current().connector.stop_local()


class T2L_OT_preferences(bpy.types.Operator):
    """Open the add-on's preferences"""

    bl_idname = "text2live.preferences"
    bl_label = "Open Preferences"
    bl_options = {"INTERNAL"}

    def execute(self, _context: Any) -> set[str]:
        """Show the page."""
        bpy.ops.preferences.addon_show(module=PACKAGE)
        return {"FINISHED"}


class T2L_OT_dismiss(bpy.types.Operator):
    """Remove this message from the panel"""

    bl_idname = "text2live.dismiss"
    bl_label = "Dismiss"
    bl_options = {"INTERNAL"}

    @reports_problems
    def execute(self, _context: Any) -> None:
        """Remove it."""
        runtime.current().problem = None


CLASSES = (
    T2L_OT_connect,
    T2L_OT_disconnect,
    T2L_OT_allow_online,
    T2L_OT_start_local,
    T2L_OT_stop_local,
    T2L_OT_preferences,
    T2L_OT_dismiss,
)
