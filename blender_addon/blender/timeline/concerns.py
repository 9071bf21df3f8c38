"""What a layer will not follow exactly on a strip, in sentences for the artist, before the work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...wire import jobs
from .. import compat, curves
from . import channels, follow, layers

_OVER = ("REPLACE", "ALPHA_OVER", "CROSS", "GAMMA_CROSS")
_UNEVEN = {"CURVES": "Curves", "WHITE_BALANCE": "White Balance", "TONEMAP": "Tone Map"}
_META = "For an exact result, put the strip and its layer into a meta strip (Ctrl G)"


def concerns(strip: Any) -> list[str]:
    """Sentences about a strip whose layer will not look exactly right, worst first."""
    return [
        *_effects(strip),
        *_above(strip),
        *_hidden(strip),
        *_brightness(strip),
        *_drivers(strip),
        *_modifiers(strip),
    ]


def transparent_footage(strip: str) -> str:
    """The sentence about a strip whose frames are transparent in places."""
    return (
        f"{strip} is transparent in places. Its frames were read over black, and the layer also "
        "shows where the strip is transparent: mask it there."
    )


def _effects(strip: Any) -> Iterator[str]:
    for effect in follow.effects_on(strip):
        if effect.type in follow.TRANSITIONS:
            start, end = compat.span(effect)
            yield (
                f"{strip.name} takes part in the transition {effect.name} on frames {start} to "
                f"{end - 1}. Its layer fades there, which is close but not exact. {_META}, and "
                "apply the transition to that."
            )
        elif effect.input_count != 1:
            yield (
                f"{effect.name} mixes {strip.name} with another strip. The layer lies above the "
                "mix and is not changed by it."
            )
        elif effect.type not in ("SPEED", "TRANSFORM"):
            yield (
                f"The layer gets a copy of the effect {effect.name}, which treats the layer's "
                f"edges differently. {_META}, and apply the effect to that."
            )


def _above(strip: Any) -> Iterator[str]:
    """Strips that the layer will cover or that choose what is shown."""
    owner = channels.owner_of(strip)
    start, end = compat.span(strip)
    on_it = follow.effects_on(strip)
    on_it += [one for effect in on_it for one in follow.inputs_of(effect)]
    above = [
        other
        for other in compat.strips(owner)
        if other.channel > strip.channel
        and follow.overlap(other, strip)
        and follow.is_visible(other)
        and other not in on_it
        and layers.JOB not in other
    ]
    for other in follow.multicams_over(strip):
        yield (
            f"The multicam strip {other.name} shows one channel at a time. The layer lies above it "
            "and shows on every angle: put it into a meta strip with the shot (Ctrl G)."
        )
    pictures = [other for other in above if other.type not in (*channels.ON_TOP, "MULTICAM")]
    try:
        free = channels.free_over(owner, start, end, strip.channel)
    except jobs.JobError as error:
        yield f"{error.problem.message} {error.problem.hint}"
        return
    for other in above:
        fixed = other.lock or owner.channels[other.channel].lock
        if other.type in channels.ON_TOP and fixed and other.channel < free:
            yield f"{other.name} is locked. The layer will lie above it: unlock it first."
    for other in pictures:
        if other.channel < free:
            yield f"{other.name} lies directly above {strip.name}. The layer will cover it."


def _hidden(strip: Any) -> Iterator[str]:
    if not follow.is_visible(strip):
        what = "is muted" if strip.mute else f"lies on the muted channel {strip.channel}"
        yield f"{strip.name} {what}. Its layer will show on its own."


def _brightness(strip: Any) -> Iterator[str]:
    if follow.fades_exactly(strip):
        return
    if strip.blend_type not in _OVER:
        blend = strip.bl_rna.properties["blend_type"].enum_items[strip.blend_type].name
        yield (
            f"{strip.name} has the blend mode {blend}. Its layer lies over the result. {_META}, "
            "and give that the blend mode."
        )
    elif follow.is_used(strip, "blend_alpha"):
        yield (
            f"{strip.name} is half transparent over other strips. Its layer has the same opacity, "
            f"which is close but not exact. {_META}, and fade that."
        )


def _drivers(strip: Any) -> Iterator[str]:
    driven = sorted({path for (path, _), one in curves.curves_of(strip).items() if one.driver})
    if driven:
        yield (
            f"{', '.join(driven)} of {strip.name} has a driver, which the layer does not follow. "
            "Replace it with keyframes."
        )


def _modifiers(strip: Any) -> Iterator[str]:
    uneven = [_UNEVEN[one.type] for one in strip.modifiers if not one.mute and one.type in _UNEVEN]
    if uneven:
        yield (
            f"The layer gets the modifiers of {strip.name}. {' and '.join(uneven)} may tint its "
            "soft edges: use an adjustment layer above both instead."
        )
