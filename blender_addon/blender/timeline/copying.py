"""Copying modifiers and effects to a layer. Blender's operators for it need an open Sequencer."""

from __future__ import annotations

from typing import Any

from .. import compat

_SKIPPED = {"rna_type", "name", "type", "is_active"}
_OWN = {  # of an effect strip itself, not of what it does to its input
    "input_1",
    "input_2",
    "proxy",
    "use_proxy",
    "use_reverse_frames",
    "strobe",
}


def copy_modifiers(source: Any, target: Any) -> None:
    """Give a strip copies of another strip's modifiers, in the same order and with their names."""
    for old in source.modifiers:
        new = compat.new_modifier(target, old.name, old.type)
        new.name = old.name
        _copy_properties(old, new)


def copy_effect(old: Any, new: Any) -> None:
    """Give a new effect strip the settings, the place and the colours of another one."""
    base = {prop.identifier for prop in compat.strip_type().bl_rna.properties}
    _copy_properties(old, new, base | _OWN)
    for name in ("effect_fader", "use_default_fade"):
        setattr(new, name, getattr(old, name))
    copy_modifiers(old, new)


def _copy_properties(old: Any, new: Any, without: set[str] = _SKIPPED) -> None:
    for prop in compat.lasting_properties(old):
        name = prop.identifier
        if name in without or name in _SKIPPED:
            continue
        value = getattr(old, name)
        if prop.type == "POINTER" and prop.is_readonly:
            if value is not None and value.bl_rna.identifier == "CurveMapping":
                _copy_curve_mapping(value, getattr(new, name))
            elif value is not None:
                _copy_properties(value, getattr(new, name))
        elif not prop.is_readonly and prop.type != "COLLECTION":
            setattr(new, name, value)


def _copy_curve_mapping(old: Any, new: Any) -> None:
    for name in (
        "use_clip",
        "clip_min_x",
        "clip_min_y",
        "clip_max_x",
        "clip_max_y",
        "extend",
        "black_level",
        "white_level",
        "tone",
    ):
        setattr(new, name, getattr(old, name))
    for curve, copied in zip(old.curves, new.curves, strict=True):
        while len(copied.points) > 2 and len(copied.points) > len(curve.points):
            copied.points.remove(copied.points[-1])
        while len(copied.points) < len(curve.points):
            copied.points.new(0.0, 0.0)
        for one, other in zip(curve.points, copied.points, strict=True):
            other.location, other.handle_type = one.location, one.handle_type
    new.update()
