"""Pictures in panels: files on disk as icons, loaded once and let go when long not shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import bpy.utils.previews

KEPT = 64  # more than the panels show at once
_loaded: dict[str, Any] = {}
_shown: dict[str, None] = {}  # the icon shown last comes last


def icon(path: Path | None) -> int:
    """Blender's icon for a picture file; 0 where there is no such file, or nothing can be shown."""
    collection = _loaded.get("pictures")
    if collection is None or path is None or not path.exists():
        return 0
    # A file that was written anew under its name is another picture.
    key = f"{path}|{path.stat().st_mtime_ns}"
    if key not in collection:
        collection.load(key, str(path), "IMAGE")
    _shown.pop(key, None)
    _shown[key] = None
    while len(_shown) > KEPT:
        oldest = next(iter(_shown))
        del _shown[oldest], collection[oldest]
    return int(collection[key].icon_id)


def show(layout: Any, path: Path | None, scale: float) -> bool:
    """Draw a picture file; False when it cannot be shown. scale: in lines of text, about."""
    number = icon(path)
    if number:
        layout.template_icon(icon_value=number, scale=scale)
    return bool(number)


def register() -> None:
    """Make room for pictures."""
    _loaded["pictures"] = bpy.utils.previews.new()


def unregister() -> None:
    """Let go of every picture."""
    bpy.utils.previews.remove(_loaded.pop("pictures"))
    _shown.clear()
