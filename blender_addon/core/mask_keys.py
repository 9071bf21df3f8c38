"""Key frames of a mask: a box, strokes or an image that show where the object is on one frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..wire import jobs

KeyKind = Literal["box", "strokes", "image", "file"]
LABELS = {"box": "Box", "strokes": "Strokes", "image": "Painted", "file": "Image File"}
OBJECT, BACKGROUND = 255, 64  # of a strokes image, see protocol.jobs.StrokeKey

Point = tuple[float, float]


@dataclass(frozen=True)
class Stroke:
    """A line drawn on the object, or on the background if not inside; one point: a click.

    points: x, y in pixels of the strip's frame, y down. radius: half its width in those pixels.
    """

    inside: bool
    radius: float
    points: tuple[Point, ...]


@dataclass(frozen=True, kw_only=True)
class MaskKey:
    """A key frame.

    frame: counted from the first frame of the strip's content, so that it stays with the footage
    when the strip is moved, trimmed or split. box: x, y of its upper left corner, width, height in
    pixels of the strip's frame, y down. name: of an image in the file. path: of an image on disk.
    """

    frame: int
    kind: KeyKind
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    strokes: tuple[Stroke, ...] = ()
    name: str = ""
    path: str = ""

    def to_plain(self) -> dict[str, Any]:
        """Plain values without those that its kind does not use."""
        used = {"box": "box", "strokes": "strokes", "image": "name", "file": "path"}[self.kind]
        whole = dataclasses.asdict(self)
        return {"frame": self.frame, "kind": self.kind, used: whole[used]}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> MaskKey:
        """From plain values; raises KeyError, TypeError, ValueError."""
        values = {"frame": int(plain["frame"]), "kind": plain["kind"]}
        if values["kind"] not in LABELS:
            raise ValueError(f"a key frame of kind {plain['kind']!r}")
        if "box" in plain:
            values["box"] = tuple(map(float, plain["box"]))
        if "strokes" in plain:
            values["strokes"] = tuple(_stroke(one) for one in plain["strokes"])
        values |= {name: str(plain[name]) for name in ("name", "path") if name in plain}
        return cls(**values)


def _stroke(plain: dict[str, Any]) -> Stroke:
    points = tuple((float(x), float(y)) for x, y in plain["points"])
    return Stroke(bool(plain["inside"]), float(plain["radius"]), points)


def with_key(keys: Iterable[MaskKey], key: MaskKey) -> tuple[MaskKey, ...]:
    """The key frames with one more; it takes the place of another on its frame. In order."""
    others = [one for one in keys if one.frame != key.frame]
    return tuple(sorted([*others, key], key=lambda one: one.frame))


def with_stroke(keys: Iterable[MaskKey], frame: int, stroke: Stroke) -> tuple[MaskKey, ...]:
    """The key frames with one more stroke on a frame, added to the strokes that are there."""
    known = list(keys)
    there = [one.strokes for one in known if one.frame == frame and one.kind == "strokes"]
    before = there[0] if there else ()
    return with_key(known, MaskKey(frame=frame, kind="strokes", strokes=(*before, stroke)))


def keys_within(keys: Iterable[MaskKey], first: int, frames: int) -> list[tuple[int, MaskKey]]:
    """The key frames on a strip's visible frames, with their frame of the clip.

    first: the frame of the content that the clip starts with. frames: the clip's length.
    """
    return [(key.frame - first, key) for key in keys if 0 <= key.frame - first < frames]


def check_key(key: MaskKey, frame: int) -> None:
    """Raise JobError for a key frame that cannot be used. frame: where it is on the timeline."""
    if key.kind == "box" and min(key.box[2:]) < 1:
        raise jobs.JobError(
            "no_box", f"The box on frame {frame} is empty.", "Draw it again, or remove it."
        )
    if key.kind == "image" and not key.name:
        raise jobs.JobError(
            "no_mask_image",
            f"The key frame on frame {frame} has no painted image.",
            "Press Paint Mask on that frame, or remove the key frame.",
        )
    if key.kind == "file" and not Path(key.path).is_file():
        raise jobs.JobError(
            "mask_missing",
            f"The mask of frame {frame} does not exist: {key.path}.",
            "Put the file back, or remove the key frame.",
        )


def draw_strokes(
    strokes: Iterable[Stroke], size: tuple[int, int], scale: tuple[float, float] = (1.0, 1.0)
) -> NDArray[np.uint8]:
    """Strokes as an image, uint8 [H,W,1]: 0, OBJECT or BACKGROUND; later strokes lie on top.

    size: (W, H) of the image. scale: its size relative to the strip's own frame, x and y.
    """
    width, height = size
    image = np.zeros((height, width, 1), np.uint8)
    for stroke in strokes:
        radius = max(0.75, stroke.radius * (scale[0] + scale[1]) / 2)
        points = [(x * scale[0], y * scale[1]) for x, y in stroke.points]
        level = OBJECT if stroke.inside else BACKGROUND
        for start, end in zip(points, points[1:] or points, strict=False):
            _draw_line(image, start, end, radius, level)
    return image


def _draw_line(
    image: NDArray[np.uint8], start: Point, end: Point, radius: float, level: int
) -> None:
    height, width = image.shape[:2]
    left, right = sorted((start[0], end[0]))
    top, bottom = sorted((start[1], end[1]))
    x0, x1 = max(0, int(left - radius)), min(width, int(right + radius) + 2)
    y0, y1 = max(0, int(top - radius)), min(height, int(bottom + radius) + 2)
    if x0 >= x1 or y0 >= y1:
        return
    x = np.arange(x0, x1)[None, :] + 0.5 - start[0]
    y = np.arange(y0, y1)[:, None] + 0.5 - start[1]
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = dx * dx + dy * dy
    along = np.clip((x * dx + y * dy) / length, 0, 1) if length else np.zeros((1, 1))
    near = (x - along * dx) ** 2 + (y - along * dy) ** 2 <= radius * radius
    image[y0:y1, x0:x1, 0][near] = level
