"""Which channel of the timeline a new layer gets, and making room for it below a title."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ..wire import jobs

MAX_CHANNEL = 128


@dataclass(frozen=True, kw_only=True)
class OccupiedSpan:
    """Channel and frames [start, end) of a strip on the timeline.

    on_top: it belongs above every layer, such as a title. locked: it must stay where it is.
    """

    channel: int
    start: int
    end: int
    on_top: bool = False
    locked: bool = False

    def overlaps(self, start: int, end: int) -> bool:
        """Whether it has a frame of [start, end)."""
        return self.start < end and self.end > start


def free_channel(
    occupied: Sequence[OccupiedSpan],
    start: int,
    end: int,
    above: int,
    closed: Collection[int] = (),
) -> int:
    """Lowest channel above `above` that is empty over [start, end); raises JobError if none is.

    closed: channels that are muted or locked. A channel below everything that belongs on top is
    preferred. Blender itself lets strips overlap on a channel without a warning.
    """
    there = [one for one in occupied if one.overlaps(start, end)]
    busy = {one.channel for one in there} | set(closed)
    free = [channel for channel in range(above + 1, MAX_CHANNEL + 1) if channel not in busy]
    if not free:
        raise jobs.JobError(
            "no_free_channel",
            f"Every channel above channel {above} is occupied, muted or locked between frames "
            f"{start} and {end - 1}.",
            "Free one channel above the strip, then press Insert Layer.",
        )
    return free[0]


def ceiling(occupied: Sequence[OccupiedSpan], start: int, end: int, above: int) -> int:
    """The lowest channel above `above` with something over [start, end) that belongs on top."""
    there = (one for one in occupied if one.on_top and one.overlaps(start, end))
    return min((one.channel for one in there if one.channel > above), default=MAX_CHANNEL + 1)


def lift(
    occupied: Sequence[OccupiedSpan], start: int, end: int, channel: int, closed: Collection[int]
) -> dict[int, int] | None:
    """New channels, by index, of the strips that must rise so that a channel becomes free.

    A strip that is in the way of another rises too, so their order stays. closed: channels that
    are muted or locked. None: something locked is in the way, or the channels end.
    """
    new: dict[int, int] = {}
    waiting = [
        index
        for index, one in enumerate(occupied)
        if one.channel == channel and one.overlaps(start, end)
    ]
    while waiting:
        index = waiting.pop()
        strip = occupied[index]
        at = new.get(index, strip.channel) + 1
        while at in closed:
            at += 1
        if strip.locked or strip.channel in closed or at > MAX_CHANNEL:
            return None
        new[index] = at
        waiting += [
            other
            for other, one in enumerate(occupied)
            if other != index
            and new.get(other, one.channel) == at
            and one.overlaps(strip.start, strip.end)
            and other not in waiting
        ]
    return new
