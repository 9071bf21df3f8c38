"""The Text2LIVE submenu of the Sequencer's Strip menu and context menu."""

from __future__ import annotations

from typing import Any

import bpy

from ..blender import compat
from ..blender.timeline import layers


class T2L_MT_strip(bpy.types.Menu):
    """Text2LIVE on the active strip"""

    bl_idname = "T2L_MT_strip"
    bl_label = "Text2LIVE"

    def draw(self, context: Any) -> None:
        """What can be done with the active strip; for a layer, what can be done with that first."""
        layout, strip = self.layout, compat.active_strip(context)
        layout.operator_context = "INVOKE_DEFAULT"
        if strip is not None and layers.JOB in strip:
            for name in (
                "make_again",
                "show_earlier",
                "unbake" if strip.type == "MOVIE" else "bake",
            ):
                layout.operator(f"text2live.{name}")
            layout.separator()
        for name in ("edit", "batch", "analyse", "preview_mask"):
            layout.operator(f"text2live.{name}")
        layout.separator()
        for name in ("draw_box", "draw_strokes", "paint_mask", "add_mask_file"):
            layout.operator(f"text2live.{name}")
        layout.separator()
        for name in ("paint_frame", "map_paint"):
            layout.operator(f"text2live.{name}")


def draw_entry(menu: Any, _context: Any) -> None:
    """The entry in Blender's own menus."""
    menu.layout.separator()
    menu.layout.menu(T2L_MT_strip.bl_idname)


def register() -> None:
    """Add the entry."""
    for menu in (bpy.types.SEQUENCER_MT_strip, bpy.types.SEQUENCER_MT_context_menu):
        menu.append(draw_entry)


def unregister() -> None:
    """Remove it."""
    for menu in (bpy.types.SEQUENCER_MT_strip, bpy.types.SEQUENCER_MT_context_menu):
        menu.remove(draw_entry)


CLASSES = (T2L_MT_strip,)
