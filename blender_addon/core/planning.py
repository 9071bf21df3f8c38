"""Arithmetic of the timeline: a layer's frames and transform, canvas coordinates."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """What ties a job to the strip it was started on.

    start: first frame that was read; frames: how many. content: the timeline frame on which the
    strip's content started; if the artist moves the strip, the layer follows by the difference.
    width, height: the strip's frame size in pixels (the layer may be smaller).
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
        """Plain values for the record beside the layer."""
        return dataclasses.asdict(self)

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Anchor:
        """From plain values; ignores keys of later versions."""
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{key: value for key, value in plain.items() if key in known})

    def first_frame(self, content_now: float) -> int:
        """Frame the layer starts on, given the frame on which the strip's content starts now."""
        return self.start + round(content_now - self.content)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A strip's transform, crop and flips in Blender's units; crop is in the strip's own pixels."""

    offset_x: float = 0.0
    offset_y: float = 0.0
    scale_x: float = 1.0
    scale_y: float = 1.0
    rotation: float = 0.0
    origin: tuple[float, float] = (0.5, 0.5)
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    flip_x: bool = False
    flip_y: bool = False


def fit(placement: Placement, source: tuple[int, int], layer: tuple[int, int]) -> Placement:
    """Placement of a layer of `layer` (W, H) pixels exactly over a `source` of (W, H) pixels."""
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


def render_percentage(size: tuple[int, int], longest: int) -> int:
    """Render percentage (1..100) that keeps the long side within `longest`; 0 means no limit."""
    if longest <= 0 or max(size) <= longest:
        return 100
    return max(1, longest * 100 // max(size))


def canvas_to_image(
    point: tuple[float, float], placement: Placement, image: tuple[int, int]
) -> tuple[float, float]:
    """Convert a point of the canvas to a pixel position in a strip's image.

    point: pixels from the canvas' centre, y up. image: (W, H). Returns pixels from the image's
    upper left corner, y down; may lie outside the image.
    """
    (width, height), (pivot_x, pivot_y) = image, _pivot(placement, image)
    x = point[0] - placement.offset_x + width / 2 - pivot_x
    y = point[1] - placement.offset_y + height / 2 - pivot_y
    cos, sin = math.cos(-placement.rotation), math.sin(-placement.rotation)
    x, y = x * cos - y * sin, x * sin + y * cos
    x, y = x / placement.scale_x + pivot_x, y / placement.scale_y + pivot_y
    x = width - x if placement.flip_x else x
    return x, (y if placement.flip_y else height - y)


def image_to_canvas(
    point: tuple[float, float], placement: Placement, image: tuple[int, int]
) -> tuple[float, float]:
    """The inverse: from a pixel position in a strip's image to the canvas, from its centre."""
    (width, height), (pivot_x, pivot_y) = image, _pivot(placement, image)
    x = width - point[0] if placement.flip_x else point[0]
    y = point[1] if placement.flip_y else height - point[1]
    x, y = (x - pivot_x) * placement.scale_x, (y - pivot_y) * placement.scale_y
    cos, sin = math.cos(placement.rotation), math.sin(placement.rotation)
    x, y = x * cos - y * sin, x * sin + y * cos
    return (
        x + placement.offset_x - width / 2 + pivot_x,
        y + placement.offset_y - height / 2 + pivot_y,
    )


def _pivot(placement: Placement, image: tuple[int, int]) -> tuple[float, float]:
    return placement.origin[0] * image[0], placement.origin[1] * image[1]


def bounding_box(
    corners: Iterable[tuple[float, float]], image: tuple[int, int]
) -> tuple[int, int, int, int]:
    """x, y, width, height of the box around points of an image, clipped to the image."""
    xs, ys = zip(*corners, strict=True)
    left, right = (round(min(max(x, 0), image[0])) for x in (min(xs), max(xs)))
    top, bottom = (round(min(max(y, 0), image[1])) for y in (min(ys), max(ys)))
    return left, top, right - left, bottom - top
