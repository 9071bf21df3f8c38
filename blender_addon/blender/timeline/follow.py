"""A layer follows its strip: place, fades, colours and their keyframes; and what it cannot follow.

A layer lies over its strip, so the two must look alike wherever the edit changed nothing. Colours
and transforms are simply copied. A fade is not: two half-visible strips cover more than one. Where
nothing lies below, a fade to black is the same as darker colours, and the layer gets those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ...core.planning import fit
from .. import compat, curves
from ..sources import source_size
from . import channels, copying, layers

FADE = "Text2LIVE Fade"  # name of the modifier that darkens a layer after its strip's modifiers
TRANSITIONS = ("CROSS", "GAMMA_CROSS", "WIPE")
_COPIED = ("color_saturation", "multiply_alpha", "use_linear_modifiers")
_SCALES = {"transform.scale_x": 0, "transform.scale_y": 1}
_CROPS = {"crop.min_x": 0, "crop.max_x": 0, "crop.min_y": 1, "crop.max_y": 1}
_MOVED = ("transform.offset_", "transform.rotation", "transform.origin")
_OTHER = ("color_saturation", "use_flip_", "modifiers[")


def follow(source: Any, layer: Any, grow: tuple[float, float]) -> None:
    """Give a new layer its strip's colours, fades and keyframes. Its place is copied already.

    grow: width and height of the strip's frames relative to the layer's.
    """
    for name in _COPIED:
        if hasattr(source, name):  # Blender 3.4 does not have all of them
            setattr(layer, name, getattr(source, name))
    copying.copy_modifiers(source, layer)
    _copy_curves(source, layer, grow)
    _follow_brightness(source, layer)
    _follow_effects(source, layer)
    _follow_transitions(source, layer)


def follow_again(source: Any, layer: Any) -> None:
    """Give a layer its strip's place, colours, fades, effects and keyframes in place of its own."""
    siblings = compat.siblings(layer.id_data, layer)
    for effect in effects_on(layer):
        siblings.remove(effect)
    compat.remove_modifiers(layer)
    curves.remove_all(layer)
    layer.blend_alpha = layer.color_multiply = 1.0
    width, height = source_size(source)
    size = tuple(layer[layers.SIZE])
    layers.copy_placement(source, layer)
    layers.set_placement(layer, fit(layers.get_placement(layer), (width, height), size))
    follow(source, layer, (width / size[0], height / size[1]))


def _copy_curves(source: Any, layer: Any, grow: tuple[float, float]) -> None:
    for (path, _index), curve in curves.curves_of(source).items():
        if curve.driver is not None:
            continue
        if path in _SCALES:
            factor = grow[_SCALES[path]]
        elif path in _CROPS:
            factor = 1 / grow[_CROPS[path]]
        elif path.startswith((*_MOVED, *_OTHER)):
            factor = 1.0
        else:
            continue
        curves.copy_curve(curve, source, layer, _times(factor))


def _times(factor: float) -> curves.Change:
    return lambda value: value * factor


def _follow_brightness(source: Any, layer: Any) -> None:
    """Multiply the layer's colours by the strip's multiplier, and fade with its opacity."""
    if not fades_exactly(source):
        _product(layer, "color_multiply", source, ("color_multiply",))
        _product(layer, "blend_alpha", source, ("blend_alpha",))
    elif source.blend_type != "REPLACE" and any(not one.mute for one in source.modifiers):
        # Opacity comes after the modifiers, the multiplier before them.
        _product(layer, "color_multiply", source, ("color_multiply",))
        if is_used(source, "blend_alpha"):
            compat.new_modifier(layer, FADE, "COLOR_BALANCE").name = FADE
            _product(layer, f'modifiers["{FADE}"].color_multiply', source, ("blend_alpha",))
    else:
        _product(layer, "color_multiply", source, ("color_multiply", "blend_alpha"))


def _product(layer: Any, path: str, source: Any, factors: tuple[str, ...]) -> None:
    """Set a property of the layer to the product of the strip's properties, keyframes included."""
    known = curves.curves_of(source)
    moving = {name: known[name, 0] for name in factors if (name, 0) in known}
    moving = {name: curve for name, curve in moving.items() if curve.driver is None}
    still = 1.0
    for name in factors:
        still *= 1.0 if name in moving else getattr(source, name)
    if len(moving) > 1:
        frames = range(*compat.span(layer))
        values = dict.fromkeys(frames, still)
        for curve in moving.values():
            values = {frame: value * curve.evaluate(frame) for frame, value in values.items()}
        curves.fill(curves.new_curve(layer, path), values)
    elif moving:
        (curve,) = moving.values()
        curves.copy_curve(curve, source, layer, _times(still), path)
    else:
        owner, _dot, name = path.rpartition(".")
        setattr(layer.path_resolve(owner) if owner else layer, name, still)


def _follow_effects(source: Any, layer: Any) -> None:
    """Put copies of the strip's one-input effects on its layer: Speed, Transform, Blur, Glow."""
    owner = channels.owner_of(layer)
    for effect in effects_on(source):
        if effect.input_count != 1:
            continue
        above = max(layer.channel, effect.channel)
        channel = channels.free_over(owner, *compat.span(layer), above)
        name = f"{layer.name} {effect.name}"[:60]
        copy = compat.new_effect(owner, effect.type, layer, name, channel)
        copying.copy_effect(effect, copy)
        copy.blend_type = "ALPHA_OVER"
        for (path, _index), curve in curves.curves_of(effect).items():
            if curve.driver is None and path != "blend_alpha":
                curves.copy_curve(curve, effect, copy)
        _follow_brightness(effect, copy)
        _follow_effects(effect, copy)
        _follow_transitions(effect, copy)


def _follow_transitions(source: Any, layer: Any) -> None:
    """Fade a layer where its strip crosses to another one."""
    shares = [(one, share) for one in effects_on(source) for share in (_share(one, source),)]
    fades = [(one, share) for one, share in shares if share is not None]
    if not fades:
        return
    curve, still = curves.curves_of(layer).get(("blend_alpha", 0)), layer.blend_alpha
    frames = range(*compat.span(layer))
    values = {frame: curve.evaluate(frame) if curve else still for frame in frames}
    for effect, share in fades:
        for frame in range(*compat.span(effect)):
            if frame in values:
                values[frame] *= share(frame)
    curves.fill(curves.new_curve(layer, "blend_alpha"), values)


def _share(effect: Any, source: Any) -> Callable[[int], float] | None:
    """How much of a strip a transition shows on a frame, 0..1; None if it is no transition."""
    if effect.type not in TRANSITIONS:
        return None
    start, end = compat.span(effect)
    fader = curves.curves_of(effect).get(("effect_fader", 0))

    def share(frame: int) -> float:
        if effect.use_default_fade:
            second = (frame - start) / max(1, end - start)
        else:
            second = fader.evaluate(frame) if fader else effect.effect_fader
        return float(second if effect.input_2 == source else 1 - second)

    return share


def is_used(strip: Any, name: str) -> bool:
    """Whether a property that is 1 by default has another value or keyframes."""
    return getattr(strip, name) != 1.0 or (name, 0) in curves.curves_of(strip)


def fades_exactly(source: Any) -> bool:
    """Whether darker colours on a layer are the same as its strip's fade."""
    return source.blend_type == "REPLACE" or not any(strips_below(source))


def strips_below(strip: Any) -> Iterator[Any]:
    """Visible strips below a strip, or below a meta it lies in, over any of its frames."""
    for level in [*compat.parents(strip), strip]:
        used = inputs_of(level)
        for other in compat.siblings(strip.id_data, level):
            if (
                other.channel < level.channel
                and is_visible(other)
                and overlap(other, level)
                and other not in used
            ):
                yield other


def inputs_of(effect: Any) -> list[Any]:
    """The strips that an effect strip shows in place of themselves."""
    count = getattr(effect, "input_count", 0)
    return [getattr(effect, name) for name in ("input_1", "input_2")[:count]]


def multicams_over(strip: Any) -> list[Any]:
    """Multicam strips above a strip, which choose the channel that is shown."""
    return [
        other
        for other in compat.siblings(strip.id_data, strip)
        if other.type == "MULTICAM" and other.channel > strip.channel and overlap(other, strip)
    ]


def overlap(one: Any, other: Any) -> int:
    """Number of frames on which both strips lie."""
    (start, end), (first, last) = compat.span(one), compat.span(other)
    return max(0, min(end, last) - max(start, first))


def is_visible(strip: Any) -> bool:
    """Whether a strip has pictures, and neither it nor its channel is muted."""
    owner = strip.parent_meta() or strip.id_data.sequence_editor
    return strip.type != "SOUND" and not strip.mute and not owner.channels[strip.channel].mute


def effects_on(strip: Any) -> list[Any]:
    """The effect strips that take a strip for their input."""
    names = ("input_1", "input_2")
    return [
        other
        for other in compat.siblings(strip.id_data, strip)
        if any(getattr(other, name, None) == strip for name in names)
    ]
