"""Where Blender calls us: one timer, and the moments a file is loaded, saved or undone."""

from __future__ import annotations

import time
import traceback
from pathlib import Path
from typing import Any

import bpy
from bpy.app.handlers import persistent

from . import compat, runtime
from .extract import remove_leftovers

REDRAW_EVERY_S = 0.1
_drawing = {"wanted": False, "next": 0.0}


def on_timer() -> float:
    """Tick, and ask the sequencers to redraw when something changed, ten times a second at most.

    Drawing costs more than reading a small frame: without the limit it would set the pace.
    """
    state = runtime.current()
    try:
        changed = state.tick()
    except Exception:
        # An exception would end the timer for good and leave every job hanging.
        traceback.print_exc()
        changed = True
    _drawing["wanted"] |= changed
    if _drawing["wanted"] and time.monotonic() >= _drawing["next"]:
        _drawing.update(wanted=False, next=time.monotonic() + REDRAW_EVERY_S)
        redraw()
    return state.interval()


def redraw() -> None:
    """Have every sequencer drawn again."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "SEQUENCE_EDITOR":
                area.tag_redraw()


@persistent
def before_load(*_args: Any) -> None:
    """The file is about to be closed."""
    runtime.current().file_closing()


@persistent
def after_load(*_args: Any) -> None:
    """Another file is open."""
    remove_leftovers()
    runtime.current().file_opened()


@persistent
def before_save(*about: Any) -> None:
    """The file is about to be saved."""
    runtime.current().step_aside()
    target = compat.saved_as(about)
    if target:
        runtime.current().saving(Path(target))


@persistent
def after_save(*about: Any) -> None:
    """The file is saved."""
    if not bpy.data.is_saved:  # it was Blender's start-up file
        return
    state = runtime.current()
    state.saved()
    # Blender 3.4 does not say beforehand where: what is moved now is in the next save.
    state.saving(Path(bpy.data.filepath))


@persistent
def after_undo(*_args: Any) -> None:
    """A step was undone or redone; it may have brought a temporary scene back."""
    remove_leftovers()
    runtime.current().undone()


_HANDLERS = {
    "load_pre": before_load,
    "load_post": after_load,
    "save_pre": before_save,
    "save_post": after_save,
    "undo_post": after_undo,
    "redo_post": after_undo,
}


def register() -> None:
    """Start the timer and hook in."""
    for moment, handler in _HANDLERS.items():
        getattr(bpy.app.handlers, moment).append(handler)
    bpy.app.timers.register(on_timer, first_interval=0.2, persistent=True)


def unregister() -> None:
    """Stop the timer and unhook."""
    if bpy.app.timers.is_registered(on_timer):
        bpy.app.timers.unregister(on_timer)
    for moment, handler in _HANDLERS.items():
        hooked = getattr(bpy.app.handlers, moment)
        if handler in hooked:
            hooked.remove(handler)
