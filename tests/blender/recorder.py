"""A fake layout that records what is drawn, and a function that draws every panel into it."""

from __future__ import annotations

import types
from typing import Any

import bpy

from blender_addon.ui import panel
from scripts.blender import studio


class Recorder:
    """Records the lines drawn in boxes, rows and columns; checks icons and tooltips."""

    def __init__(self, lines: list[str] | None = None) -> None:
        self.lines: list[str] = [] if lines is None else lines

    def label(self, *, text: str = "", icon: str = "NONE") -> None:
        assert icon in bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items
        self.lines.append(text)

    def prop(self, owner: Any, name: str, *, icon: str = "NONE", **_options: Any) -> None:
        assert icon in bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items
        assert owner.bl_rna.properties[name].description
        self.lines.append(f"[{owner.bl_rna.properties[name].name}]")

    def split(self, *, factor: float, align: bool = False) -> Recorder:
        assert 0 < factor < 1
        return Recorder(self.lines)

    def prop_search(self, owner: Any, name: str, where: Any, names: str, text: str) -> None:
        assert names in where.bl_rna.properties
        self.prop(owner, name)

    def operator(self, name: str, *, text: str | None = None, icon: str = "NONE") -> Any:
        assert icon in bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items
        group, operator = name.split(".")
        kind = getattr(getattr(bpy.ops, group), operator).get_rna_type()
        assert kind.description
        self.lines.append(f"<{kind.name if text is None else text or name}>")
        return types.SimpleNamespace()

    def progress(self, *, factor: float, type: str, text: str) -> None:
        self.lines.append(f"{text} {factor:.0%}")

    def template_icon(self, *, icon_value: int, scale: float) -> None:
        assert icon_value
        self.lines.append(f"(picture {scale:g})")

    def menu(self, name: str, **_options: Any) -> None:
        assert hasattr(bpy.types, name)

    def separator(self) -> None:
        pass

    def row(self, align: bool = False) -> Recorder:
        return Recorder(self.lines)

    column = row

    def box(self) -> Recorder:
        return Recorder(self.lines)

    def __contains__(self, text: str) -> bool:
        return text in " ".join(self.lines)


def drawn(scene: Any, *names: str) -> Recorder:
    """What the panels show, with headers. names: only these panels; default: all."""
    recorder = Recorder()
    with studio.sequencer(scene, "UI"):
        for room in panel.CLASSES:
            asked = getattr(room, "poll", lambda _context: True)
            if (names and room.__name__ not in names) or not asked(bpy.context):
                continue
            canvas = types.SimpleNamespace(layout=recorder)
            if hasattr(room, "draw_header_preset"):
                room.draw_header_preset(canvas, bpy.context)
            room.draw(canvas, bpy.context)
    return recorder
