"""A temporary copy of the scene that shows one strip alone, and rendering it unnoticed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import bpy

from . import compat
from .render_settings import render_exactly
from .sources import StripId

COPY_NAME = ".text2live_frames"
TEMPORARY = "text2live_temporary"  # custom property of temporary scenes
LATER = "text2live_later"  # custom property: frames by which the strip was moved in the copy
_HANDLERS = ("render_", "frame_change_", "composite_", "depsgraph_update_")


def isolated_copy(scene: Any, strip: StripId, size: tuple[int, int]) -> Any:
    """A copy of the scene that shows one strip alone, untransformed. size: (W, H) to render at.

    It contains nothing of the 3D scene. A strip that begins before frame 0, where no render can
    start, is moved in the copy: frame N of the timeline is frame N + copy[LATER].
    """
    copy = scene.copy()
    copy.name = COPY_NAME
    copy[TEMPORARY] = True
    # The copy shares the artist's keyframes, which would transform the strip again.
    copy.animation_data_clear()
    _remove_3d(copy)
    wanted = strip.find(copy)
    name, outermost = wanted.name, [*compat.parents(wanted), wanted][0].name
    path = [meta.name for meta in compat.parents(wanted)] + [name]
    first, last = compat.span(wanted)
    owner = copy.sequence_editor
    for step in path:
        channels = owner.channels
        _keep_only(compat.strips(owner), step)
        owner = compat.strips(owner)[step]
        channels[owner.channel].mute = False
        _reset_strip(owner)
        if step != name:
            start, end = compat.span(owner)
            compat.set_span(owner, min(start, first), max(end, last))
    copy[LATER] = max(0, -first)
    if copy[LATER]:
        compat.slide(compat.strips(copy.sequence_editor)[outermost], copy[LATER])
    render_exactly(copy, size)
    return copy


def _remove_3d(scene: Any) -> None:
    """Leave nothing that Blender could render instead of the strip."""
    scene.camera = scene.world = scene.background_set = None
    for child in list(scene.collection.children):
        scene.collection.children.unlink(child)
    for thing in list(scene.collection.objects):
        scene.collection.objects.unlink(thing)


def _keep_only(collection: Any, name: str) -> None:
    # By name: removing a strip also removes the effects that use it.
    for other in [strip.name for strip in collection if strip.name != name]:
        strip = collection.get(other)
        if strip is not None:
            collection.remove(strip)


def _reset_strip(strip: Any) -> None:
    """Show a strip opaque, untransformed and without colour changes."""
    strip.mute = False
    strip.blend_type = "REPLACE"
    strip.blend_alpha = strip.color_saturation = strip.color_multiply = 1.0
    move = strip.transform
    move.offset_x = move.offset_y = move.rotation = 0
    move.scale_x = move.scale_y = 1
    strip.crop.min_x = strip.crop.max_x = strip.crop.min_y = strip.crop.max_y = 0
    strip.use_flip_x = strip.use_flip_y = False
    for modifier in strip.modifiers:
        modifier.mute = True


def render_frame(copy: Any) -> None:
    """Render a scene's single frame to disk: the part of reading that is Blender's own."""
    with _quiet_handlers():
        bpy.ops.render.render(animation=True, scene=copy.name)


@contextlib.contextmanager
def _quiet_handlers() -> Iterator[None]:
    """Keep every add-on's render handlers from running: reading a frame is no render of theirs."""
    every = {name: getattr(bpy.app.handlers, name) for name in dir(bpy.app.handlers)}
    lists = [one for name, one in every.items() if name.startswith(_HANDLERS)]
    kept = [list(one) for one in lists]
    for one in lists:
        one.clear()
    try:
        yield
    finally:
        for one, handlers in zip(lists, kept, strict=True):
            one[:] = handlers


def remove_leftovers() -> None:
    """Remove temporary scenes that an undo step or a file brought back."""
    for scene in [s for s in bpy.data.scenes if TEMPORARY in s]:
        if len(bpy.data.scenes) > 1:
            bpy.data.scenes.remove(scene)
