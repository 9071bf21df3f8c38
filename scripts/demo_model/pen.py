"""Polygons that things are made of.

A thing is drawn in a unit square, y down: `solid` polygons make the mask, `holes` are cut out of
it, `dark` polygons are shaded parts (windows, tyres, eyes) and `light` ones lit parts.
"""

from __future__ import annotations

from dataclasses import dataclass

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


def points(text: str) -> Outline:
    """Points written as "x,y x,y ...", in hundredths of the unit square."""
    pairs = np.array([pair.split(",") for pair in text.split()], np.float32)
    return np.asarray(pairs / 100, np.float32)


def spline(p: Outline, closed: bool) -> Outline:
    """A smooth line (Hermite) through points; one named twice is a corner, its slope is 0.

    An open line comes without its last point.
    """
    before = np.roll(p, 1, 0) if closed else np.concatenate([p[:1], p[:-1]])
    after = np.roll(p, -1, 0) if closed else np.concatenate([p[1:], p[-1:]])
    corner = (before == p).all(1) | (after == p).all(1)
    slope = np.where(corner[:, None], 0, (after - before) / 2)
    if not closed:
        slope[[0, -1]] = (p[1] - p[0]) / 2, (p[-1] - p[-2]) / 2
    t = np.linspace(0, 1, 6, endpoint=False, dtype=np.float32)[None, :, None]
    a, c, u, v = (q[:, None] for q in (p, after, slope, np.roll(slope, -1, 0)))
    line = (
        (2 * t**3 - 3 * t**2 + 1) * a
        + (t**3 - 2 * t**2 + t) * u
        + (3 * t**2 - 2 * t**3) * c
        + (t**3 - t**2) * v
    )
    return np.asarray((line if closed else line[:-1]).reshape(-1, 2), np.float32)


def poly(text: str) -> Outline:
    """A polygon with straight sides."""
    return points(text)


def curve(text: str) -> Outline:
    """A closed smooth outline through the points; a point named twice is a corner."""
    return spline(points(text), closed=True)


def oval(x: float, y: float, rx: float, ry: float | None = None, turn: float = 0.0) -> Outline:
    """An ellipse, in hundredths; `turn` in radians."""
    angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    u, v = rx * np.cos(angle), (rx if ry is None else ry) * np.sin(angle)
    c, s = np.cos(turn), np.sin(turn)
    return (np.stack([x + c * u - s * v, y + s * u + c * v], -1) / 100).astype(np.float32)


def bar(x0: float, y0: float, x1: float, y1: float) -> Outline:
    """An upright rectangle, in hundredths."""
    return np.array(((x0, y0), (x1, y0), (x1, y1), (x0, y1)), np.float32) / np.float32(100)


def hoop(x: float, y: float, radius: float, width: float) -> tuple[Outline, ...]:
    """A circular band as two halves, in hundredths; `radius` is the outer one."""
    halves = []
    for start in (0.0, np.pi):
        angle = np.linspace(start - 0.05, start + np.pi + 0.05, 24)
        way = np.stack([np.cos(angle), np.sin(angle)], -1)
        both = np.concatenate([radius * way, (radius - width) * way[::-1]])
        halves.append(((both + np.array((x, y))) / 100).astype(np.float32))
    return tuple(halves)


def stroke(width: float, text: str, end: float | None = None) -> tuple[Outline, ...]:
    """A round-ended smooth line through the points; its width runs from `width` to `end`."""
    p = points(text)
    way = np.concatenate([spline(p, closed=False), p[-1:]]) if len(p) > 2 else p
    widths = np.linspace(width, width if end is None else end, len(way)) / 200
    slope = np.gradient(way, axis=0)
    slope /= np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-6)
    side = np.stack([-slope[:, 1], slope[:, 0]], -1) * widths[:, None]
    band = np.concatenate([way + side, (way - side)[::-1]]).astype(np.float32)
    tips = [
        oval(100 * float(way[k, 0]), 100 * float(way[k, 1]), 100 * float(widths[k]))
        for k in (0, -1)
    ]
    return (band, *tips)


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
