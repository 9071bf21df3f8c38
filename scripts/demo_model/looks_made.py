"""Made looks: building materials, cloth, patterns and sweets.

Each function takes (rng, size) and returns an RGB picture `[S, S, 3]`, float32, 0..255.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from scripts.demo_model.noise import (
    Colour,
    Field,
    Rng,
    cells,
    coordinates,
    fractal,
    hue,
    mix,
    ramp,
    ridges,
    rotated,
    smoothstep,
)


def two_colours(rng: Rng) -> tuple[Colour, Colour]:
    """Two clearly different colours, one often white or black."""
    first = hue(rng.random(), rng.uniform(0.6, 0.95), rng.uniform(120, 250))
    kind = rng.random()
    if kind < 0.45:
        return first, (248.0, 246.0, 242.0)
    if kind < 0.6:
        return first, (20.0, 20.0, 24.0)
    if kind < 0.75:
        return (20.0, 20.0, 22.0), (248.0, 248.0, 248.0)
    return first, hue(rng.random(), 0.35, 250)


def brick(rng: Rng, size: int) -> Field:
    """Courses of red-brown bricks in pale mortar."""
    x, y = coordinates(size)
    rows = rng.integers(5, 9)
    row = np.floor(y * rows)
    along = x * rows / rng.uniform(1.9, 2.5) + 0.5 * (row % 2)
    column = np.floor(along)
    height = np.minimum(y * rows % 1, 1 - y * rows % 1)
    width = np.minimum(along % 1, 1 - along % 1) * 2.2
    tone = rng.uniform(0.72, 1.18, 4096).astype(np.float32)[
        (row * 61 + column * 7 + 4).astype(int) % 4096
    ]
    base = np.array([(172, 74, 52), (150, 60, 45), (188, 98, 68)][rng.integers(3)], np.float32)
    bricks = base * (tone * (0.75 + 0.5 * fractal(rng, size, 16, 3, 0.8)))[..., None]
    mortar = np.array([(200, 192, 180), (150, 142, 134)][rng.integers(2)], np.float32)
    return mix(mortar, bricks, smoothstep(0.05, 0.13, np.minimum(height, width).astype(np.float32)))


def stained_glass(rng: Rng, size: int) -> Field:
    """Glowing panes of many hues in black lead."""
    _, gap, index = cells(rng, size, int(rng.integers(12, 32)), 0)
    palette = np.array([hue(h, 0.9, rng.uniform(150, 255)) for h in rng.random(4096)], np.float32)
    panes = palette[index] * (0.75 + 0.45 * fractal(rng, size, 4, 3))[..., None]
    return mix((14, 12, 16), panes, smoothstep(0.08, 0.16, gap))


def mosaic(rng: Rng, size: int) -> Field:
    """Small square tiles of a few colours in light grout."""
    x, y = rotated(rng, size, 0.3)
    count = rng.uniform(8, 12)
    column, row = np.floor(x * count), np.floor(y * count)
    inner = np.minimum(
        np.minimum(x * count % 1, 1 - x * count % 1), np.minimum(y * count % 1, 1 - y * count % 1)
    )
    first = rng.random()
    palette = np.array(
        [
            hue(first + rng.normal(0, 0.14), rng.uniform(0.25, 0.85), rng.uniform(110, 245))
            for _ in range(512)
        ],
        np.float32,
    )
    tiles = palette[(column * 31 + row * 17 + 600).astype(int) % 512]
    return mix((228, 222, 212), tiles, smoothstep(0.06, 0.14, inner.astype(np.float32)))


def leather(rng: Rng, size: int) -> Field:
    """Brown hide of small pebbles and long creases, with pale stitches along its seams."""
    near, gap, _ = cells(rng, size, int(rng.integers(240, 420)), 0.8)
    pebble = (0.55 + 0.45 * smoothstep(0, 0.3, gap)) * (1.1 - 0.3 * near)
    field = pebble * (0.75 + 0.4 * fractal(rng, size, 3, 3))
    field = field * (1 - 0.4 * ridges(rng, size, 3, 4, 4))
    base = np.array([(150, 76, 34), (128, 60, 26), (168, 88, 42)][rng.integers(3)], np.float32)
    picture = np.asarray(base * field[..., None], np.float32)
    step, width = int(rng.uniform(0.34, 0.46) * size), max(1, size // 54)
    for at in range(int(rng.integers(step // 4, step)), size, step):
        picture[max(0, at - width) : at + width] *= 0.35
        picture[at + width : at + 3 * width] *= 1.25
        for side in (-4 * width, 5 * width):
            for x in range(0, size, size // 12):
                a, b = (x, at + side), (x + size // 20, at + side)
                cv2.line(picture, a, b, (240, 208, 158), width, cv2.LINE_AA)
    return picture if rng.random() < 0.5 else picture.transpose(1, 0, 2).copy()


def denim(rng: Rng, size: int) -> Field:
    """Indigo twill: pale diagonal ribs, worn patches and seams with orange double stitches."""
    x, y = coordinates(size)
    twill = 0.5 + 0.5 * np.sin(2 * np.pi * (x + y) * rng.uniform(12, 16))
    threads = fractal(rng, size, 60, 1, stretch=0.1)
    worn = fractal(rng, size, 2.5, 4)
    field = np.clip(0.02 + 0.5 * twill + 0.2 * threads + 0.35 * (worn - 0.35), 0, 1).astype(
        np.float32
    )
    picture = ramp(field, [(0, (20, 32, 70)), (0.5, (62, 92, 146)), (1, (172, 196, 224))])
    step, width = int(rng.uniform(0.42, 0.55) * size), max(1, size // 54)
    for at in range(int(rng.integers(step // 4, step)), size, step):
        picture[:, max(0, at - width) : at + width] *= 0.45
        for side in (-4 * width, 4 * width):
            for y0 in range(0, size, size // 14):
                a, b = (at + side, y0), (at + side, y0 + size // 24)
                cv2.line(picture, a, b, (232, 158, 58), width, cv2.LINE_AA)
    return picture if rng.random() < 0.5 else picture.transpose(1, 0, 2).copy()


def wool(rng: Rng, size: int) -> Field:
    """Knitted stitches: columns of small V shapes."""
    x, y = coordinates(size)
    columns = rng.integers(6, 10)
    across = x * columns % 1
    slant = np.abs(across - 0.5)
    wave = 0.5 + 0.5 * np.cos(2 * np.pi * (y * columns * rng.uniform(1.1, 1.5) + 1.3 * slant))
    shade = (0.4 + 0.6 * wave) * (0.45 + 0.55 * np.sin(np.pi * (slant * 2).clip(0, 1)) ** 0.5)
    if rng.random() < 0.4:
        base, second = two_colours(rng)
        pick = smoothstep(0.0, 0.1, np.sin(2 * np.pi * y * rng.integers(2, 4)).astype(np.float32))
        colours = mix(base, second, pick)
    else:
        base = hue(rng.random(), rng.uniform(0.1, 0.7), rng.uniform(150, 245))
        colours = np.broadcast_to(np.array(base, np.float32), (size, size, 3))
    fuzz = 0.85 + 0.3 * fractal(rng, size, 40, 2)
    return np.asarray(colours * (shade * fuzz)[..., None], np.float32)


def polka_dots(rng: Rng, size: int) -> Field:
    """Round dots in rows."""
    dots, ground = two_colours(rng)
    if rng.random() < 0.5:
        dots, ground = ground, dots
    x, y = rotated(rng, size, 0.8)
    count = rng.uniform(3.5, 6)
    row = np.floor(y * count)
    u = x * count + 0.5 * (row % 2)
    distance = np.hypot(u % 1 - 0.5, y * count % 1 - 0.5).astype(np.float32)
    radius = rng.uniform(0.24, 0.37)
    return mix(ground, dots, smoothstep(radius + 0.04, radius - 0.04, distance))


def stripes(rng: Rng, size: int) -> Field:
    """Straight bands: a strong colour (never orange) with white or with a pale other hue."""
    at = rng.uniform(0.14, 1.03)
    first = hue(at, rng.uniform(0.75, 0.95), rng.uniform(150, 240))
    second: Colour = (248.0, 246.0, 242.0)
    if rng.random() < 0.35:
        second = hue(at + rng.uniform(0.3, 0.7), 0.35, 250)
    _, y = rotated(rng, size)
    wave = np.sin(2 * np.pi * y * rng.uniform(3.5, 7)).astype(np.float32)
    return mix(first, second, smoothstep(-0.12, 0.12, wave))


def checkerboard(rng: Rng, size: int) -> Field:
    """Squares of two colours in turn."""
    first, second = two_colours(rng)
    if rng.random() < 0.5:
        first, second = (18.0, 18.0, 18.0), (246.0, 246.0, 246.0)
    x, y = rotated(rng, size, 0.8)
    count = rng.uniform(2.2, 5)
    wave = np.sin(2 * np.pi * x * count) * np.sin(2 * np.pi * y * count)
    return mix(first, second, smoothstep(-0.06, 0.06, wave.astype(np.float32)))


def rainbow(rng: Rng, size: int) -> Field:
    """All hues in order, as bands or arcs or a smooth run."""
    x, y = rotated(rng, size)
    kind = rng.random()
    along = y if kind < 0.6 else np.hypot(x - rng.uniform(-0.2, 0.5), y - rng.uniform(0.8, 1.3))
    along = along * rng.uniform(0.9, 2.0)
    if rng.random() < 0.5:
        along = np.floor(along * 7) / 7
    places = np.linspace(0, 1, 13)
    wheel = [(float(p), hue(float(p) * 0.83, 0.88, 248)) for p in places]
    return ramp((along % 1).astype(np.float32), wheel)


def neon(rng: Rng, size: int) -> Field:
    """Glowing tubes bent to rings, waves and zigzags of magenta, cyan and green on black."""
    tubes = np.zeros((size, size, 3), np.float32)
    cores = np.zeros((size, size, 3), np.float32)
    t = np.linspace(-1, 1, 40)
    for place in range(9):
        colour = hue(rng.choice([0.88, 0.5, 0.8, 0.36, 0.55, 0.95]), 0.9, 255)
        kind, reach = rng.integers(4), rng.uniform(0.1, 0.17)
        if kind == 0:
            curve = np.stack([np.cos(np.pi * t), np.sin(np.pi * t)], -1)
        elif kind == 1:
            curve = np.stack([1.4 * t, 0.45 * np.sin(2 * np.pi * t)], -1)
        elif kind == 2:
            curve = np.stack([1.4 * t, np.abs((3 * t) % 2 - 1) - 0.5], -1)
        else:
            curve = np.stack([1.3 * t, 0.2 * t**2], -1)
        turn = rng.uniform(0, 2 * np.pi)
        c, s = np.cos(turn), np.sin(turn)
        middle = (np.array([place % 3, place // 3]) + rng.uniform(0.3, 0.7, 2)) / 3
        points = ((curve @ np.array([[c, s], [-s, c]]) * reach + middle) * size).astype(np.int32)
        cv2.polylines(tubes, [points], False, colour, max(2, size // 36), cv2.LINE_AA)
        cv2.polylines(cores, [points], False, (255, 255, 255), max(1, size // 100), cv2.LINE_AA)
    glow = cv2.GaussianBlur(tubes, (0, 0), size / 26) + 0.8 * cv2.GaussianBlur(
        tubes, (0, 0), size / 64
    )
    picture = np.array((6, 4, 16), np.float32) + 0.75 * glow + 0.6 * tubes + 0.7 * cores
    return np.asarray(picture, np.float32)


def chocolate(rng: Rng, size: int) -> Field:
    """Glossy brown bars of embossed squares, or melted folds with soft highlights."""
    x, y = coordinates(size)
    base = np.array([(92, 48, 22), (70, 35, 18), (120, 68, 36)][rng.integers(3)], np.float32)
    if rng.random() < 0.75:
        columns, rows = rng.uniform(3, 5), rng.uniform(4, 7)
        u, v = x * columns % 1, y * rows % 1
        light = smoothstep(0.2, 0.02, v.astype(np.float32)) + 0.6 * smoothstep(
            0.2, 0.02, u.astype(np.float32)
        )
        dark = smoothstep(0.82, 0.98, v.astype(np.float32)) + smoothstep(
            0.82, 0.98, u.astype(np.float32)
        )
        picture = (
            base * (1 - 0.6 * np.clip(dark, 0, 1))[..., None] + 70 * np.clip(light, 0, 1)[..., None]
        )
    else:
        folds = np.sin(2 * np.pi * (1.5 * y + 2.2 * fractal(rng, size, 2.5, 2)))
        picture = (
            base * (0.8 + 0.3 * folds)[..., None]
            + 110 * smoothstep(0.93, 1.0, folds.astype(np.float32))[..., None]
        )
    return np.asarray(picture, np.float32)


MADE: dict[str, Callable[[Rng, int], Field]] = {
    "brick": brick,
    "stained glass": stained_glass,
    "mosaic": mosaic,
    "leather": leather,
    "denim": denim,
    "wool": wool,
    "polka dots": polka_dots,
    "stripes": stripes,
    "checkerboard": checkerboard,
    "rainbow": rainbow,
    "neon": neon,
    "chocolate": chocolate,
}
"""Made looks by name."""
