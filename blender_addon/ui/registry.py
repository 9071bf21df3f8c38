"""Registers every operator."""

from __future__ import annotations

import bpy

from . import (
    operators,
    operators_connection,
    operators_jobs,
    operators_layer,
    operators_paint,
    operators_shot,
)

_CLASSES = (
    *operators.CLASSES,
    *operators_connection.CLASSES,
    *operators_shot.CLASSES,
    *operators_layer.CLASSES,
    *operators_paint.CLASSES,
    *operators_jobs.CLASSES,
)


def register() -> None:
    """Register the operators."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    """Unregister the operators."""
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
