"""Pictures in panels: files on disk as icons, loaded once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import bpy.utils.previews

_loaded: dict[str, Any] = {}


def icon(path: Path | None) -> int:
    """Blender's icon for a picture file; 0 where there is no such file, or nothing can be shown."""
    collection = _loaded.get("pictures")
    if collection is None or path is None or not path.exists():
        return 0
    # A file that was written anew under its name is another picture.
    key = f"{path}|{path.stat().st_mtime_ns}"
    if key not in collection:
        collection.load(key, str(path), "IMAGE")
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
