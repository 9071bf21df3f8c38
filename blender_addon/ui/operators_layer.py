"""Operators of a layer strip: make it again, show an earlier version, bake it."""

from __future__ import annotations

from typing import Any

import bpy

from ..blender import baking, compat, runtime, scripting
from ..blender.timeline import follow, layers, versions
from .base import reports_problems, require
from .preferences import longest


class OnLayer:
    """An operator on the active layer strip."""

    @classmethod
    def poll(cls: Any, context: Any) -> bool:
        """A layer strip is active."""
        strip = compat.active_strip(context)
        is_layer = strip is not None and layers.JOB in strip
        return require(cls, is_layer, "Make a layer strip active first")

    @reports_problems
    def execute(self, context: Any) -> None:
        """Use it on the active layer."""
        self.act(context, compat.sequencer_scene(context), compat.active_strip(context))

    def act(self, context: Any, scene: Any, layer: Any) -> None:
        """Use it on a layer strip; raises JobError."""
        raise NotImplementedError


class T2L_OT_make_again(OnLayer, bpy.types.Operator):
    """Make this layer again with the panel's settings. Its strip and keyframes are kept"""

    bl_idname = "text2live.make_again"
    bl_label = "Make Again Here"

    def act(self, context: Any, scene: Any, layer: Any) -> None:
        """Start an edit of the layer's source whose result this strip will show."""
        source = layers.source_of_layer(scene, layer)
        settings = scene.text2live.collect(longest(context), strip=source)
        job = runtime.current().start(scene, source, settings)
        job.replaces, job.in_place_of = str(layer[layers.JOB]), str(layer.get(layers.PART, ""))
        job.replaces_strip = layer.name


class T2L_OT_match_strip(OnLayer, bpy.types.Operator):
    """Copy the strip's place, colours, fades, effects and keyframes to this layer again"""

    bl_idname = "text2live.match_strip"
    bl_label = "Match Strip"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, _context: Any, scene: Any, layer: Any) -> None:
        """Use it after the strip was changed."""
        follow.follow_again(layers.source_of_layer(scene, layer), layer)


class T2L_OT_show_earlier(OnLayer, bpy.types.Operator):
    """Show the previous version of this layer; press again to go further back"""

    bl_idname = "text2live.show_earlier"
    bl_label = "Earlier Version"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, _context: Any, _scene: Any, layer: Any) -> None:
        """Change what the strip shows."""
        versions.show_earlier(layer)


class T2L_OT_bake(OnLayer, bpy.types.Operator):
    """Write the layer to one lossless movie (FFV1) in the background and replace its strip"""

    bl_idname = "text2live.bake"
    bl_label = "Bake to Movie"

    @reports_problems
    def invoke(self, context: Any, _event: Any) -> None:
        """Start and return at once; the timer continues."""
        state = runtime.current()
        state.problem = None
        state.bakes.begin(compat.active_strip(context))

    def act(self, _context: Any, _scene: Any, layer: Any) -> None:
        """Bake and wait for the end (for scripts)."""
        state = runtime.current()
        scripting.wait_for_bake(state, state.bakes.begin(layer))


class T2L_OT_unbake(OnLayer, bpy.types.Operator):
    """Replace the movie of a baked layer with its frames. The movie stays on disk"""

    bl_idname = "text2live.unbake"
    bl_label = "Un-Bake"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls: Any, context: Any) -> bool:
        """A baked layer strip is active."""
        strip = compat.active_strip(context)
        baked = strip is not None and layers.JOB in strip and strip.type == "MOVIE"
        return require(cls, baked, "Make a baked layer strip active first")

    def act(self, _context: Any, _scene: Any, layer: Any) -> None:
        """Show the frames again."""
        baking.unbake(layer)


class T2L_OT_cancel_bake(OnLayer, bpy.types.Operator):
    """Stop baking. The layer stays as it is"""

    bl_idname = "text2live.cancel_bake"
    bl_label = "Cancel Baking"
    bl_options = {"INTERNAL"}

    def act(self, _context: Any, _scene: Any, layer: Any) -> None:
        """Stop it, if it is still under way."""
        bakes = runtime.current().bakes
        bake = bakes.of(layer)
        if bake is not None:
            bakes.cancel(bake)


CLASSES = (
    T2L_OT_make_again,
    T2L_OT_match_strip,
    T2L_OT_show_earlier,
    T2L_OT_bake,
    T2L_OT_cancel_bake,
    T2L_OT_unbake,
)
