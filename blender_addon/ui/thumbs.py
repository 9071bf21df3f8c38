"""Images in panels: image files as icons, loaded once and dropped when no longer shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import bpy.utils.previews

from ..blender import runtime

KEPT = 64  # icons; more than the panels show at once
_loaded: dict[str, Any] = {}
_shown: dict[str, None] = {}  # keys in the order last shown


def icon(path: Path | None) -> int:
    """Blender's icon for an image file; 0 if there is no such file or it cannot be shown yet."""
    collection = _loaded.get("pictures")
    written = runtime.current().files.of(path) if path is not None else 0
    if collection is None or not written:
        return 0
    key = f"{path}|{written}"  # a file that was overwritten is another image
    if key not in collection:
        collection.load(key, str(path), "IMAGE")
    _shown.pop(key, None)
    _shown[key] = None
    while len(_shown) > KEPT:
        oldest = next(iter(_shown))
        del _shown[oldest], collection[oldest]
    return int(collection[key].icon_id)


def show(layout: Any, path: Path | None, scale: float) -> bool:
    """Draw an image file; False when it cannot be shown. scale: about lines of text."""
    number = icon(path)
    if number:
        layout.template_icon(icon_value=number, scale=scale)
    return bool(number)


def register() -> None:
    """Make the collection of icons."""
    _loaded["pictures"] = bpy.utils.previews.new()


def unregister() -> None:
    """Drop every icon."""
    bpy.utils.previews.remove(_loaded.pop("pictures"))
    _shown.clear()
