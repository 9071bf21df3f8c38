"""Operators of the shot's analysis: open its report."""

from __future__ import annotations

from typing import Any

import bpy

from ..blender import analyses, compat, image_editor
from .base import subject
from .operators import NeedsStrip
from .preferences import longest


class T2L_OT_open_report(NeedsStrip, bpy.types.Operator):
    """Open the analysis report: everything that was found, layer by layer, in one image"""

    bl_idname = "text2live.open_report"
    bl_label = "Open Report"
    bl_options = {"INTERNAL"}

    def execute(self, context: Any) -> set[str]:
        """Show it."""
        scene, strip = compat.sequencer_scene(context), subject(context)
        settings = scene.text2live.collect(longest(context), "atlas", strip)
        found = analyses.find(strip, settings)
        if found is None or "report" not in found.pictures:
            self.report({"WARNING"}, "The report is not on disk. Analyse the shot again.")
            return {"CANCELLED"}
        image = bpy.data.images.load(str(found.pictures["report"]), check_existing=True)
        image_editor.show(image, paint=False)
        return {"FINISHED"}


CLASSES = (T2L_OT_open_report,)
