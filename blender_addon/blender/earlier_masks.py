"""Masks in files from before masks had key frames: they become a key frame of their strip."""

from __future__ import annotations

import traceback
from typing import Any

import bpy

from ..core import earlier_masks
from . import compat
from .mask_keys import keys_of, write_keys
from .timeline import layers

_MODES = {0: "box", 1: "image", 6: "key"}  # as numbers in the file
_CORNER, _SIZE, _IMAGE, _FILE = "mask_corner", "mask_size", "mask_image", "mask_file"


def upgrade_file() -> None:
    """Move the masks of all scenes to their strips, where that has not been done yet."""
    for scene in bpy.data.scenes:
        settings = getattr(scene, "text2live", None)
        own = settings is not None and compat.linked_from(scene) is None
        if own and scene.sequence_editor is not None:
            try:
                _upgrade(scene, settings)
            except Exception:  # the file's jobs and layers must still be followed
                traceback.print_exc()


def _upgrade(scene: Any, settings: Any) -> None:
    saved = _saved(settings)
    strip = _strip(scene, settings.mask_frame)
    if strip is None or keys_of(strip) or not any(name in saved for name in (_SIZE, _IMAGE, _FILE)):
        return
    image, path = saved.get(_IMAGE), str(saved.get(_FILE, ""))
    plain = {
        "mask_mode": _MODES.get(saved.get("mask_mode", 0)),
        "mask_frame": settings.mask_frame,
        "mask_box": [*saved.get(_CORNER, (0, 0)), *saved.get(_SIZE, (0, 0))],
        "mask_name": image.name if image is not None else "",
        "mask_path": bpy.path.abspath(path) if path else "",
    }
    key = earlier_masks.key_from(plain, compat.content_start(strip))
    if key is None:
        return
    write_keys(strip, [key])
    settings.mask_mode = "keys"
    for name in (_CORNER, _SIZE, _IMAGE, _FILE):
        saved.pop(name, None)


def _saved(settings: Any) -> Any:
    """What the file holds, by name; since 5.0 apart from custom properties."""
    if hasattr(settings, "bl_system_properties_get"):
        return settings.bl_system_properties_get() or {}
    return settings


def _strip(scene: Any, frame: int) -> Any:
    """The strip that a mask of a timeline frame is for: the active one, or the only one there."""

    def shows(strip: Any) -> bool:
        start, end = compat.span(strip)
        footage = strip.type in compat.SOURCE_TYPES and layers.JOB not in strip
        return footage and start <= frame < end

    editor = scene.sequence_editor
    if editor.active_strip is not None and shows(editor.active_strip):
        return editor.active_strip
    there = [strip for strip in compat.all_strips(editor) if shows(strip)]
    return there[0] if len(there) == 1 else None
