"""The calls from Blender: a timer, and handlers for loading, saving and undo."""

from __future__ import annotations

import time
import traceback
from pathlib import Path
from typing import Any

import bpy
from bpy.app.handlers import persistent

from . import compat, runtime
from .isolate import remove_leftovers

REDRAW_EVERY_S = 0.1


class _Redraw:
    """Whether a redraw is wanted, and when the next one may happen."""

    wanted = False
    next_at = 0.0


def on_timer() -> float:
    """Tick, and redraw the sequencers after a change, ten times a second at most.

    Drawing takes longer than reading a small frame: without the limit it would set the pace.
    """
    state = runtime.current()
    try:
        changed = state.tick()
    except Exception:
        # An exception would stop the timer for good and leave every job hanging.
        traceback.print_exc()
        changed = True
    notify(state.notices.poll(state.jobs))
    _Redraw.wanted |= changed
    if _Redraw.wanted and time.monotonic() >= _Redraw.next_at:
        _Redraw.wanted, _Redraw.next_at = False, time.monotonic() + REDRAW_EVERY_S
        redraw()
    return state.interval()


def notify(texts: list[str]) -> None:
    """Show notices as Blender's own reports; there is no window in background mode."""
    if bpy.app.background or bpy.context.window is None:
        return
    if texts:
        compat.redraw_status_bar(at_once=True)
    for text in texts:
        bpy.ops.text2live.notify("INVOKE_DEFAULT", text=text)


def redraw(*kinds: str) -> None:
    """Redraw the sidebars of the Sequencers and Image Editors, and the status bar.

    kinds: regions of the Sequencers to redraw too, for example PREVIEW, WINDOW.
    """
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            shown = {"SEQUENCE_EDITOR": {"UI", *kinds}, "IMAGE_EDITOR": {"UI"}}.get(area.type, ())
            for region in area.regions:
                if region.type in shown:
                    region.tag_redraw()
    compat.redraw_status_bar()


@persistent
def before_load(*_args: Any) -> None:
    """The file is about to be closed."""
    runtime.current().before_load()


@persistent
def after_load(*_args: Any) -> None:
    """Another file is open."""
    remove_leftovers()
    runtime.current().after_load()


@persistent
def before_save(*args: Any) -> None:
    """The file is about to be saved."""
    runtime.current().remove_temporary()
    target = compat.saved_as(args)
    if target:
        runtime.current().before_save(Path(target))


@persistent
def after_save(*_args: Any) -> None:
    """The file is saved."""
    state = runtime.current()
    state.after_save()
    if not bpy.data.is_saved:  # it was Blender's startup file, or a copy
        return
    # Blender 3.4 tells the path only now: layers copied here are part of the next save.
    state.before_save(Path(bpy.data.filepath))


@persistent
def after_undo(*_args: Any) -> None:
    """A step was undone or redone; it may have brought a temporary scene back."""
    remove_leftovers()
    runtime.current().after_undo()


_HANDLERS = {
    "load_pre": before_load,
    "load_post": after_load,
    "save_pre": before_save,
    "save_post": after_save,
    "undo_post": after_undo,
    "redo_post": after_undo,
}


def register() -> None:
    """Start the timer and add the handlers."""
    for event, handler in _HANDLERS.items():
        getattr(bpy.app.handlers, event).append(handler)
    bpy.app.timers.register(on_timer, first_interval=0.2, persistent=True)


def unregister() -> None:
    """Stop the timer and remove the handlers."""
    if bpy.app.timers.is_registered(on_timer):
        bpy.app.timers.unregister(on_timer)
    for event, handler in _HANDLERS.items():
        handlers = getattr(bpy.app.handlers, event)
        if handler in handlers:
            handlers.remove(handler)
