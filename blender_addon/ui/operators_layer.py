"""Buttons of a layer's own strip: make it anew, show an earlier version, bake it."""

from __future__ import annotations

from typing import Any

import bpy

from ..blender import compat, handlers, runtime, scripting
from ..blender.timeline import layers, versions
from ..wire import jobs
from .base import refuse
from .preferences import longest


class OnLayer:
    """An operator on the active strip, which is a layer."""

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A layer's strip is active."""
        strip = compat.active_strip(context)
        if strip is None or layers.JOB not in strip:
            cls.poll_message_set("Make the strip of a layer active first")
            return False
        return True

    def execute(self, context: Any) -> set[str]:
        """Do it; what stands in the way is said."""
        scene, layer = compat.sequencer_scene(context), compat.active_strip(context)
        try:
            self.act(context, scene, layer)
        except jobs.JobError as error:
            return refuse(self, error.problem)
        handlers.redraw()
        return {"FINISHED"}


class T2L_OT_make_again(OnLayer, bpy.types.Operator):
    """Make this layer anew with the settings of the panel. Its strip and its keyframes stay"""

    bl_idname = "text2live.make_again"
    bl_label = "Make Again Here"

    def act(self, context: Any, scene: Any, layer: Any) -> None:
        """Begin an edit of the layer's source whose result this strip will show."""
        source = layers.source_of_layer(scene, layer)
        settings = scene.text2live.collect(longest(context))
        job = runtime.current().start(scene, source, settings)
        job.replaces, job.in_place_of = str(layer[layers.JOB]), str(layer.get(layers.PART, ""))


class T2L_OT_show_earlier(OnLayer, bpy.types.Operator):
    """Show the version that this strip showed before; press again for the one before that"""

    bl_idname = "text2live.show_earlier"
    bl_label = "Earlier Version"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, _context: Any, _scene: Any, layer: Any) -> None:
        """Change what the strip shows."""
        versions.show_earlier(layer)


class T2L_OT_bake(OnLayer, bpy.types.Operator):
    """Write the layer into one lossless movie (FFV1) that takes its place. Blender stays free"""

    bl_idname = "text2live.bake"
    bl_label = "Bake to Movie"

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Begin and return at once; the timer carries it on."""
        state = runtime.current()
        state.problem = None
        try:
            state.bakes.begin(compat.active_strip(context))
        except jobs.JobError as error:
            return refuse(self, error.problem)
        handlers.redraw()
        return {"FINISHED"}

    def act(self, _context: Any, _scene: Any, layer: Any) -> None:
        """Bake and wait for the end (for scripts)."""
        state = runtime.current()
        scripting.wait_for_bake(state, state.bakes.begin(layer))


class T2L_OT_cancel_bake(OnLayer, bpy.types.Operator):
    """Stop baking; the layer stays as it is"""

    bl_idname = "text2live.cancel_bake"
    bl_label = "Cancel Baking"

    def act(self, _context: Any, _scene: Any, layer: Any) -> None:
        """Stop it, if it is still under way."""
        bakes = runtime.current().bakes
        bake = bakes.of(layer)
        if bake is not None:
            bakes.cancel(bake)


CLASSES = (T2L_OT_make_again, T2L_OT_show_earlier, T2L_OT_bake, T2L_OT_cancel_bake)
