"""The channel of a layer: visible and unlocked, above its strip, below titles and adjustments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...core.channels import OccupiedSpan, ceiling, free_channel, lift
from .. import compat

ON_TOP = ("TEXT", "ADJUSTMENT")


def owner_of(strip: Any) -> Any:
    """What holds a strip: the sequence editor, or its meta."""
    return strip.parent_meta() or strip.id_data.sequence_editor


def free_over(owner: Any, start: int, end: int, above: int, ignored: Iterable[Any] = ()) -> int:
    """The lowest free, visible and unlocked channel above another; raises JobError.

    start, end: the frames it must be free over. ignored: strips that make way.
    """
    spans = [span for _strip, span in _occupied(owner, ignored)]
    return free_channel(spans, start, end, above, _closed(owner))


def below_titles(owner: Any, start: int, end: int, above: int, ignored: Iterable[Any] = ()) -> int:
    """A channel as free_over(), but below titles and adjustment layers where that is possible.

    If there is no channel left below them, they rise by one, with whatever lies in their way.
    """
    there = _occupied(owner, ignored)
    spans, closed = [span for _strip, span in there], _closed(owner)
    limit = ceiling(spans, start, end, above)
    channel = free_channel(spans, start, end, above, closed)
    if channel < limit:
        return channel
    new = lift(spans, start, end, limit, closed)
    if new is None or limit in closed:
        return channel
    for index in sorted(new, key=lambda one: -new[one]):
        there[index][0].channel = new[index]
    return limit


def _occupied(owner: Any, ignored: Iterable[Any]) -> list[tuple[Any, OccupiedSpan]]:
    names = {strip.name for strip in ignored}
    return [
        (
            strip,
            OccupiedSpan(
                channel=strip.channel,
                start=start,
                end=end,
                on_top=strip.type in ON_TOP,
                locked=strip.lock,
            ),
        )
        for strip in compat.strips(owner)
        for start, end in (compat.span(strip),)
        if strip.name not in names
    ]


def _closed(owner: Any) -> set[int]:
    """The channels that are muted or locked."""
    return {
        number
        for number, channel in enumerate(owner.channels)
        if number and (channel.mute or channel.lock)
    }
