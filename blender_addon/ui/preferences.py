"""Add-on preferences: the backend and its connection. Kept on this machine, never in a .blend."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import IntProperty, StringProperty

from ..blender.backends import PACKAGE
from ..core.connection import default_connection_file


class T2L_AP_preferences(bpy.types.AddonPreferences):
    """The backend to use, and the size of the frames to send."""

    bl_idname = PACKAGE

    connection_file: StringProperty(  # type: ignore[valid-type]
        name="Connection File",
        description="The file connection.json that the backend wrote, with its address and keys. "
        "Empty: the backend on this machine",
        subtype="FILE_PATH",
    )
    address: StringProperty(  # type: ignore[valid-type]
        name="Address",
        description="Address of the backend as host:port, if it differs from the one in the "
        "connection file, for example behind a tunnel. Empty: as in the file",
    )
    backend_python: StringProperty(  # type: ignore[valid-type]
        name="Python",
        description="The Python that Start Local Backend runs: the one of the environment in which "
        "the backend and PyTorch are installed",
        subtype="FILE_PATH",
    )
    backend_folder: StringProperty(  # type: ignore[valid-type]
        name="Folder",
        description="Folder with the backend's source. Empty: it is installed in that Python",
        subtype="DIR_PATH",
    )
    backend_options: StringProperty(  # type: ignore[valid-type]
        name="Options",
        description="More options for python -m backend.serve, for example: --device cpu "
        "--model ViT-B-32:openai",
    )
    longest: IntProperty(  # type: ignore[valid-type]
        name="Largest Side",
        description="Larger frames are scaled down before they are sent, and the layer is scaled "
        "up again. 0: send frames at full size",
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
            column.label(text=f"Default: {default_connection_file()}", icon="INFO")
        column.prop(self, "address")
        column.separator()
        column.label(text="Local backend")
        column.prop(self, "backend_python")
        column.prop(self, "backend_folder")
        column.prop(self, "backend_options")
        column.separator()
        column.label(text="Frames")
        column.prop(self, "longest")


def longest(context: Any) -> int:
    """The largest side of the frames to send; 0: no limit."""
    entry = context.preferences.addons.get(PACKAGE)
    return int(entry.preferences.longest) if entry and entry.preferences else 0


def register() -> None:
    """Register the page."""
    bpy.utils.register_class(T2L_AP_preferences)


def unregister() -> None:
    """Unregister the page."""
    bpy.utils.unregister_class(T2L_AP_preferences)
