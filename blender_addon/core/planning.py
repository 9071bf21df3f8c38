"""Where a layer goes on the timeline: channel, frames and transform, as plain arithmetic."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..wire import jobs

MAX_CHANNEL = 128


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A strip on the timeline: its channel and frames [start, end)."""

    channel: int
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """What ties a job to the strip it was started on.

    start: first frame, frames: how many were read. content: the frame the strip's own first
    picture sat on; when the artist slides the strip, the layer follows by the difference.
    width, height: the strip's picture in pixels (the layer may have been made smaller).
    """

    scene: str
    strip_uid: str
    strip_name: str
    start: int
    frames: int
    content: float
    width: int
    height: int

    def to_plain(self) -> dict[str, Any]:
        """Plain values, for keeping beside the layer."""
        return dataclasses.asdict(self)

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Anchor:
        """Back from plain values; unknown keys of a later version are ignored."""
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{key: value for key, value in plain.items() if key in known})

    def first_frame(self, content_now: float) -> int:
        """Frame the layer starts on, given where the strip's first picture sits now."""
        return self.start + round(content_now - self.content)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A strip's transform and crop in Blender's units; crop is in the strip's own pixels."""

    offset_x: float = 0.0
    offset_y: float = 0.0
    scale_x: float = 1.0
    scale_y: float = 1.0
    rotation: float = 0.0
    origin: tuple[float, float] = (0.5, 0.5)
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    flip_x: bool = False
    flip_y: bool = False


def free_channel(taken: Iterable[Taken], start: int, end: int, above: int) -> int:
    """Lowest channel over `above` with nothing in [start, end); raises JobError when full.

    Blender itself accepts two strips on one channel at one time without a word.
    """
    busy = {t.channel for t in taken if t.start < end and t.end > start}
    for channel in range(above + 1, MAX_CHANNEL + 1):
        if channel not in busy:
            return channel
    raise jobs.JobError(
        "no_free_channel",
        f"Every channel above channel {above} is taken between frames {start} and {end - 1}.",
        "Free one channel above the strip, then press Insert Layer.",
    )


def fit(placement: Placement, source: tuple[int, int], layer: tuple[int, int]) -> Placement:
    """Placement of a layer of `layer` (W, H) pixels exactly over a `source` (W, H) picture."""
    grow_x, grow_y = source[0] / layer[0], source[1] / layer[1]
    left, right, bottom, top = placement.crop
    return dataclasses.replace(
        placement,
        scale_x=placement.scale_x * grow_x,
        scale_y=placement.scale_y * grow_y,
        crop=(
            round(left / grow_x),
            round(right / grow_x),
            round(bottom / grow_y),
            round(top / grow_y),
        ),
    )


def percentage(size: tuple[int, int], longest: int) -> int:
    """Render percentage (1..100) that keeps the long side within `longest`; 0 means no limit."""
    if longest <= 0 or max(size) <= longest:
        return 100
    return max(1, longest * 100 // max(size))


def to_picture(
    point: tuple[float, float], placement: Placement, picture: tuple[int, int]
) -> tuple[float, float]:
    """Where a point of the canvas lies in a strip's picture.

    point: pixels of the canvas, y upwards, from its middle. picture: (W, H). Gives pixels
    of the picture from its upper left corner, y downwards; outside of it, the point is too.
    """
    (width, height), (pivot_x, pivot_y) = picture, _pivot(placement, picture)
    x = point[0] - placement.offset_x + width / 2 - pivot_x
    y = point[1] - placement.offset_y + height / 2 - pivot_y
    cos, sin = math.cos(-placement.rotation), math.sin(-placement.rotation)
    x, y = x * cos - y * sin, x * sin + y * cos
    x, y = x / placement.scale_x + pivot_x, y / placement.scale_y + pivot_y
    x = width - x if placement.flip_x else x
    return x, (y if placement.flip_y else height - y)


def to_canvas(
    point: tuple[float, float], placement: Placement, picture: tuple[int, int]
) -> tuple[float, float]:
    """The way back: where a pixel of a strip's picture lies on the canvas, from its middle."""
    (width, height), (pivot_x, pivot_y) = picture, _pivot(placement, picture)
    x = width - point[0] if placement.flip_x else point[0]
    y = point[1] if placement.flip_y else height - point[1]
    x, y = (x - pivot_x) * placement.scale_x, (y - pivot_y) * placement.scale_y
    cos, sin = math.cos(placement.rotation), math.sin(placement.rotation)
    x, y = x * cos - y * sin, x * sin + y * cos
    return (
        x + placement.offset_x - width / 2 + pivot_x,
        y + placement.offset_y - height / 2 + pivot_y,
    )


def _pivot(placement: Placement, picture: tuple[int, int]) -> tuple[float, float]:
    return placement.origin[0] * picture[0], placement.origin[1] * picture[1]


def box_between(
    corners: Iterable[tuple[float, float]], picture: tuple[int, int]
) -> tuple[int, int, int, int]:
    """x, y, width, height of the box round points of a picture, cut off at its edges."""
    xs, ys = zip(*corners, strict=True)
    left, right = (round(min(max(x, 0), picture[0])) for x in (min(xs), max(xs)))
    top, bottom = (round(min(max(y, 0), picture[1])) for y in (min(ys), max(ys)))
    return left, top, right - left, bottom - top
