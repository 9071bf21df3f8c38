"""Polygons that things are made of.

A thing is drawn in a unit square, y down: `solid` polygons make the mask, `holes` are cut out of
it, `dark` polygons are shaded parts (windows, tyres, eyes) and `light` ones lit parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Outline = NDArray[np.float32]


@dataclass(frozen=True)
class Shape:
    """Polygons `[N, 2]` of one thing in the unit square."""

    solid: tuple[Outline, ...]
    holes: tuple[Outline, ...] = ()
    dark: tuple[Outline, ...] = ()
    light: tuple[Outline, ...] = ()
    turns: float = 0.25
    """Largest tilt in radians a drawing may give it."""


def poly(*points: tuple[float, float]) -> Outline:
    """A polygon with straight sides."""
    return np.array(points, np.float32)


def curve(*points: tuple[float, float]) -> Outline:
    """A closed smooth outline (Catmull-Rom) through the points."""
    p = np.array(points, np.float32)
    before, after, beyond = np.roll(p, 1, 0), np.roll(p, -1, 0), np.roll(p, -2, 0)
    t = np.linspace(0, 1, 6, endpoint=False, dtype=np.float32)[None, :, None]
    a, b, c, d = (q[:, None] for q in (before, p, after, beyond))
    spline = 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    return np.asarray(spline.reshape(-1, 2), np.float32)


def oval(x: float, y: float, rx: float, ry: float | None = None, turn: float = 0.0) -> Outline:
    """An ellipse; `turn` in radians."""
    angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    u, v = rx * np.cos(angle), (rx if ry is None else ry) * np.sin(angle)
    c, s = np.cos(turn), np.sin(turn)
    return np.stack([x + c * u - s * v, y + s * u + c * v], -1).astype(np.float32)


def bar(x0: float, y0: float, x1: float, y1: float) -> Outline:
    """An upright rectangle."""
    return poly((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def stroke(width: float, *points: tuple[float, float]) -> tuple[Outline, ...]:
    """A line of round-ended segments, as polygons."""
    parts = []
    for (ax, ay), (bx, by) in pairwise(points):
        length, turn = float(np.hypot(bx - ax, by - ay)), float(np.arctan2(by - ay, bx - ax))
        parts.append(oval((ax + bx) / 2, (ay + by) / 2, length / 2 + width / 2, width / 2, turn))
    return tuple(parts)


def star_outline(tips: int = 5, inner: float = 0.42) -> Outline:
    angle = np.arange(2 * tips) * np.pi / tips - np.pi / 2
    radius = np.where(np.arange(2 * tips) % 2, inner, 1.0) * 0.5
    return np.stack([0.5 + radius * np.cos(angle), 0.5 + radius * np.sin(angle)], -1).astype(
        np.float32
    )


def heart_outline() -> Outline:
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([0.5 + x / 34, 0.47 + y / 34], -1).astype(np.float32)
