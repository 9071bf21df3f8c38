"""Add-on preferences: where the backend is. Kept on this machine, never in a .blend."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import IntProperty, StringProperty

from ..blender.backends import PACKAGE
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
    backend_python: StringProperty(  # type: ignore[valid-type]
        name="Python",
        description="The Python that Start Local Backend runs the backend with: that of the "
        "environment in which the backend and PyTorch are installed",
        subtype="FILE_PATH",
    )
    backend_folder: StringProperty(  # type: ignore[valid-type]
        name="Folder",
        description="The folder with the backend's source. Empty: it is installed in that Python",
        subtype="DIR_PATH",
    )
    backend_options: StringProperty(  # type: ignore[valid-type]
        name="Options",
        description="Further options of python -m backend.serve, for example: --device cpu "
        "--model ViT-B-32:openai",
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
        column.label(text="Backend to connect to")
        column.prop(self, "connection_file")
        if not self.connection_file:
            column.label(text=f"Empty: {default_connection_file()}", icon="INFO")
        column.prop(self, "address")
        column.separator()
        column.label(text="Start Local Backend")
        column.prop(self, "backend_python")
        column.prop(self, "backend_folder")
        column.prop(self, "backend_options")
        column.separator()
        column.label(text="Frames")
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
