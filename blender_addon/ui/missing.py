"""What is shown in place of the add-on when Blender's Python lacks a package. Needs bpy alone."""

from __future__ import annotations

import importlib.util
from typing import Any

import bpy

PACKAGE = __package__.rpartition(".")[0]
NEEDED = {"numpy": "python3-numpy", "zmq": "python3-zmq", "msgspec": "python3-msgspec"}
"""The packages the add-on imports, and what Debian and Ubuntu call them."""


def missing_packages() -> list[str]:
    """The needed packages that cannot be imported."""
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]


def sentences(missing: list[str]) -> list[str]:
    """What is missing, and what to do."""
    debian = " ".join(NEEDED[name] for name in missing)
    return [
        f"Text2LIVE needs {' and '.join(missing)}, which this Blender's Python does not have.",
        f"Blender from Debian or Ubuntu: run  sudo apt install {debian}  and restart Blender.",
        "Or use Blender from blender.org, which brings everything along.",
    ]


class T2L_AP_missing(bpy.types.AddonPreferences):
    """Says in the preferences which package is missing."""

    bl_idname = PACKAGE

    def draw(self, _context: Any) -> None:
        """What is missing, and what to do."""
        for index, line in enumerate(sentences(missing_packages())):
            self.layout.label(text=line, icon="BLANK1" if index else "ERROR")


def register(missing: list[str]) -> None:
    """Show what is missing in the preferences and in the console."""
    print("\n".join(sentences(missing)))
    bpy.utils.register_class(T2L_AP_missing)


def unregister() -> bool:
    """Remove it; False if the add-on itself was registered."""
    if not getattr(T2L_AP_missing, "is_registered", False):
        return False
    bpy.utils.unregister_class(T2L_AP_missing)
    return True
