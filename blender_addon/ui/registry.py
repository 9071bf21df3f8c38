"""Registers the user interface: settings, operators, overlays, panels and menus."""

from __future__ import annotations

import bpy

from . import (
    erased_overlay,
    mask_overlay,
    menus,
    operators,
    operators_connection,
    operators_jobs,
    operators_layer,
    operators_mask,
    operators_paint,
    operators_shot,
    panel,
    preferences,
    preview_overlay,
    properties,
    status_bar,
    thumbs,
)

_MODULES = (properties, preferences, thumbs, preview_overlay, mask_overlay, erased_overlay)
_ADDED_TO_BLENDER = (menus, status_bar)
_CLASSES = (
    *operators.CLASSES,
    *operators_connection.CLASSES,
    *operators_mask.CLASSES,
    *operators_shot.CLASSES,
    *operators_layer.CLASSES,
    *operators_paint.CLASSES,
    *operators_jobs.CLASSES,
    *status_bar.CLASSES,
    *menus.CLASSES,
    *panel.CLASSES,
)


def register() -> None:
    """Register everything; panels last, in the order in which they are shown."""
    for module in _MODULES:
        module.register()
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    for module in _ADDED_TO_BLENDER:
        module.register()


def unregister() -> None:
    """Unregister everything in reverse order."""
    for module in _ADDED_TO_BLENDER:
        module.unregister()
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
    for module in reversed(_MODULES):
        module.unregister()
