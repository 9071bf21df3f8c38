"""Add-on preferences: where the backend is. Kept on this machine, never in a .blend."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import IntProperty, StringProperty

from ..blender.runtime import PACKAGE
from ..core.connection import default_connection_file


class T2L_AP_preferences(bpy.types.AddonPreferences):
    """Where the backend is, and how large frames are sent."""

    bl_idname = PACKAGE

    connection_file: StringProperty(  # type: ignore[valid-type]
        name="Connection File",
        description="connection.json the backend wrote, with its address and keys. "
        "Empty: the backend of this machine",
        subtype="FILE_PATH",
    )
    address: StringProperty(  # type: ignore[valid-type]
        name="Address",
        description="host:port, when the backend is reached in another way than its file says, "
        "for example through a tunnel. Empty: as in the file",
    )
    longest: IntProperty(  # type: ignore[valid-type]
        name="Largest Side",
        description="Frames with a longer side are reduced before they are sent; the layer is "
        "scaled up again. 0: send every pixel",
        default=0,
        min=0,
        max=4096,
    )

    def draw(self, _context: Any) -> None:
        """The preferences page."""
        column = self.layout.column()
        column.prop(self, "connection_file")
        if not self.connection_file:
            column.label(text=f"Empty: {default_connection_file()}", icon="INFO")
        column.prop(self, "address")
        column.prop(self, "longest")


def longest(context: Any) -> int:
    """The largest side frames are sent with; 0: no limit."""
    entry = context.preferences.addons.get(PACKAGE)
    return int(entry.preferences.longest) if entry and entry.preferences else 0


def register() -> None:
    """Make the page known."""
    bpy.utils.register_class(T2L_AP_preferences)


def unregister() -> None:
    """Take the page away."""
    bpy.utils.unregister_class(T2L_AP_preferences)
