"""Procedural fields the textures are made of.

All fields are float32 arrays `[S, S]`; randomness comes only from the generator passed in, so a
texture is a function of its seed.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Rng = np.random.Generator
Colour = tuple[float, float, float]


def fractal(
    rng: Rng, size: int, cells: float = 4, octaves: int = 5, gain: float = 0.5, stretch: float = 1.0
) -> Field:
    """Sum of smoothed random grids, scaled to 0..1.

    `cells` is the number of bumps along a side in the coarsest octave; `stretch` > 1 makes the
    bumps that much longer along x.
    """
    total = np.zeros((size, size), np.float32)
    weight = 1.0
    for octave in range(octaves):
        rows = max(2, round(cells * 2**octave))
        columns = max(2, round(cells / stretch * 2**octave))
        if rows > size:
            break
        grid = rng.random((rows, columns), np.float32)
        total += weight * cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
        weight *= gain
    return unit(total)


def unit(field: Field) -> Field:
    """The field moved and scaled to 0..1."""
    low, high = float(field.min()), float(field.max())
    return ((field - low) / max(high - low, 1e-6)).astype(np.float32)


def ridges(
    rng: Rng, size: int, cells: float = 4, octaves: int = 4, sharpness: float = 1.0
) -> Field:
    """Thin bright lines (0..1) where a fractal field crosses its middle."""
    field = fractal(rng, size, cells, octaves)
    return np.clip(1 - np.abs(2 * field - 1) * 3 * sharpness, 0, 1).astype(np.float32)


def coordinates(size: int) -> tuple[Field, Field]:
    """Column and row positions in 0..1, each `[S, S]`."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y = np.meshgrid(axis, axis)
    return np.asarray(x, np.float32), np.asarray(y, np.float32)


def cells(
    rng: Rng, size: int, count: int, warp: float = 0.0
) -> tuple[Field, Field, NDArray[np.intp]]:
    """Voronoi cells of about `count` jittered points.

    Returns the distance to the nearest point, the gap to the second nearest (0 on cell borders),
    both in units of the mean cell size, and the index of the nearest point.
    """
    side = max(2, round(count**0.5))
    grid = np.stack(np.meshgrid(np.arange(-1, side + 1), np.arange(-1, side + 1)), -1)
    points = (grid.reshape(-1, 2) + rng.random(((side + 2) ** 2, 2)) * 0.9 + 0.05).astype(
        np.float32
    )
    x, y = coordinates(size)
    x, y = x * side, y * side
    if warp:
        x = x + warp * (fractal(rng, size, 6, 3) - 0.5)
        y = y + warp * (fractal(rng, size, 6, 3) - 0.5)
    # Only the 5 x 5 grid neighbours of a pixel's own grid square can be its nearest points.
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    near = np.full((size, size), 9.0, np.float32)
    second = near.copy()
    index = np.zeros((size, size), np.intp)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            which = np.clip(row + dy + 1, 0, side + 1) * (side + 2) + np.clip(
                column + dx + 1, 0, side + 1
            )
            px, py = points[which, 0], points[which, 1]
            distance = np.sqrt((x - px) ** 2 + (y - py) ** 2)
            closer = distance < near
            second = np.where(
                closer, near, np.minimum(second, np.where(which == index, second, distance))
            )
            near = np.where(closer, distance, near)
            index = np.where(closer, which, index)
    return near.astype(np.float32), (second - near).astype(np.float32), index


def ramp(field: Field, stops: Sequence[tuple[float, Colour]]) -> Field:
    """Colours `[S, S, 3]` (0..255) of a 0..1 field along a list of (position, colour) stops."""
    places = [place for place, _ in stops]
    channels = [np.interp(field, places, [colour[c] for _, colour in stops]) for c in range(3)]
    return np.stack(channels, -1).astype(np.float32)


def mix(a: Field | Colour, b: Field | Colour, share: Field) -> Field:
    """`a` where share is 0, `b` where it is 1; either may be one colour."""
    return (
        np.asarray(a, np.float32) * (1 - share[..., None])
        + np.asarray(b, np.float32) * share[..., None]
    ).astype(np.float32)


def smoothstep(low: float, high: float, field: Field) -> Field:
    """0 below `low`, 1 above `high`, smooth between (also for low > high, mirrored)."""
    t = np.clip((field - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def rotated(rng: Rng, size: int, spread: float = np.pi) -> tuple[Field, Field]:
    """`coordinates` turned by a random angle within ±spread about the centre, still about 0..1."""
    x, y = coordinates(size)
    angle = rng.uniform(-spread, spread)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    turned = c * (x - 0.5) - s * (y - 0.5) + 0.5, s * (x - 0.5) + c * (y - 0.5) + 0.5
    return np.asarray(turned[0], np.float32), np.asarray(turned[1], np.float32)


def hue(h: float, s: float = 0.9, v: float = 230) -> Colour:
    """RGB (0..255) of a hue in turns, saturation 0..1 and value 0..255."""
    k = (np.array([5.0, 3.0, 1.0]) + 6 * (h % 1.0)) % 6
    rgb = v - v * s * np.clip(np.minimum(k, 4 - k), 0, 1)
    return float(rgb[0]), float(rgb[1]), float(rgb[2])
