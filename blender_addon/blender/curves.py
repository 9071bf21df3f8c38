"""Animation curves of strips: finding them, and copying them from one strip to another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy

from . import compat

Change = Callable[[float], float]
_POINT = ("interpolation", "easing", "amplitude", "back", "period")
_HANDLES = ("handle_left_type", "handle_right_type", "handle_left", "handle_right")


def curves_of(strip: Any) -> dict[tuple[str, int], Any]:
    """The curves and drivers that move a strip, by property path and array index."""
    start = _prefix(strip)
    return {
        (one.data_path.partition(start)[2], one.array_index): one
        for one in compat.curves(strip.id_data)
        if start in one.data_path and not one.mute and (one.driver or not one.is_empty)
    }


def copy_curve(source: Any, old: Any, new: Any, change: Change = float, path: str = "") -> None:
    """Animate a strip as a curve of another strip does.

    change: from the old strip's values to the new one's; it must be linear. path: the property of
    the new strip, if it is not the same. Keyframes stay keyframes; a curve with modifiers is copied
    frame by frame.
    """
    span = compat.span(new)
    curve = new_curve(new, path or source.data_path.partition(_prefix(old))[2], source.array_index)
    copy_keys(source, curve, span, change)


def remove_all(strip: Any) -> None:
    """Remove every curve and driver of a strip."""
    for one in curves_of(strip).values():
        compat.remove_curve(strip.id_data, one)


def new_curve(strip: Any, path: str, index: int = 0) -> Any:
    """A curve for a property of a strip, with one keyframe; replaces the curve it had."""
    scene, start = strip.id_data, _prefix(strip)
    for one in compat.curves(scene):
        if one.data_path.endswith(start + path) and one.array_index == index:
            compat.remove_curve(scene, one)
    owner, _dot, name = path.rpartition(".")
    base = strip.path_resolve(owner) if owner else strip
    array = getattr(base.bl_rna.properties[name], "is_array", False)
    base.keyframe_insert(name, index=index if array else -1, frame=compat.span(strip)[0])
    return curves_of(strip)[path, index]


def copy_keys(source: Any, curve: Any, span: tuple[int, int], change: Change = float) -> None:
    """Copy keyframes to a curve with one keyframe; see copy_curve(). span: frames [start, end)."""
    points = list(source.keyframe_points)
    if not points or any(not one.mute for one in source.modifiers):
        fill(curve, {frame: change(source.evaluate(frame)) for frame in range(*span)})
        return
    curve.keyframe_points.add(len(points) - 1)
    for old, new in zip(points, curve.keyframe_points, strict=True):
        new.co = (old.co[0], change(old.co[1]))
        for name in _POINT:
            setattr(new, name, getattr(old, name))
        new.amplitude = change(old.amplitude) - change(0.0)
        for name in _HANDLES:
            value = getattr(old, name)
            setattr(new, name, value if isinstance(value, str) else (value[0], change(value[1])))
    curve.extrapolation, curve.auto_smoothing = source.extrapolation, source.auto_smoothing
    curve.update()


def fill(curve: Any, values: dict[int, float]) -> None:
    """Give a curve with one keyframe a value for every frame."""
    curve.keyframe_points.add(len(values) - 1)
    for point, place in zip(curve.keyframe_points, values.items(), strict=True):
        point.co, point.interpolation = place, "LINEAR"
    curve.update()


def _prefix(strip: Any) -> str:
    """How data paths into a strip begin, whatever this Blender calls the list of strips."""
    return f'_all["{bpy.utils.escape_identifier(strip.name)}"].'
