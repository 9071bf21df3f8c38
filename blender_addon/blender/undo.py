"""Undo steps for what the add-on does without a press of a button."""

from __future__ import annotations

import bpy


def step_before(message: str) -> None:
    """Keep the next step's undo from reverting what scripts did: their changes are in no step.

    In a window, whatever the artist does is a step already, and another one would be a Ctrl-Z that
    changes nothing. What the add-on itself noted meanwhile is restored after every undo.
    """
    if bpy.app.background:
        bpy.ops.ed.undo_push(message=message)


def step(message: str) -> None:
    """Add an undo step for what was just done."""
    bpy.ops.ed.undo_push(message=message)
