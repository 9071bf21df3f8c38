"""Natural looks: metals, minerals, weather, water and fire.

Each function takes (rng, size) and returns an RGB picture `[S, S, 3]`, float32, 0..255.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from scripts.demo_clip.noise import (
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
    unit,
)


def metal(rng: Rng, size: int, dark: Colour, middle: Colour, light: Colour, glint: Colour) -> Field:
    """Polished or hammered metal: bands of reflected dark and light, with glints."""
    _x, y = rotated(rng, size)
    bumps = fractal(rng, size, rng.uniform(2, 7), rng.integers(1, 4))
    bands = 0.5 + 0.5 * np.sin(2 * np.pi * (rng.uniform(1, 3) * y + rng.uniform(0.8, 2.2) * bumps))
    brushed = fractal(rng, size, 60, 1, stretch=20) - 0.5
    field = np.clip(bands + 0.15 * brushed + rng.uniform(-0.1, 0.1), 0, 1).astype(np.float32)
    return ramp(field, [(0, dark), (0.45, middle), (0.8, light), (0.95, glint), (1, glint)])


def gold(rng: Rng, size: int) -> Field:
    return metal(rng, size, (85, 48, 5), (205, 150, 30), (250, 208, 85), (255, 250, 205))


def silver(rng: Rng, size: int) -> Field:
    return metal(rng, size, (45, 48, 55), (140, 145, 152), (205, 210, 216), (255, 255, 255))


def copper(rng: Rng, size: int) -> Field:
    return metal(rng, size, (65, 22, 10), (180, 88, 50), (232, 145, 105), (255, 222, 200))


def rust(rng: Rng, size: int) -> Field:
    """Flaking orange-brown iron oxide with dark pits and bits of grey metal."""
    field = fractal(rng, size, rng.uniform(5, 10), 6, 0.75)
    picture = ramp(
        field,
        [
            (0, (45, 22, 14)),
            (0.35, (105, 48, 20)),
            (0.55, (170, 78, 28)),
            (0.75, (205, 112, 50)),
            (1, (140, 90, 70)),
        ],
    )
    bare = smoothstep(0.68, 0.74, fractal(rng, size, 4, 5))
    picture = mix(picture, (105, 105, 108), bare * rng.uniform(0, 0.8))
    return np.asarray(picture * (0.75 + 0.5 * rng.random((size, size, 1), np.float32)), np.float32)


def wood(rng: Rng, size: int) -> Field:
    """Planks with long grain, and often a knot."""
    x, y = coordinates(size)
    if rng.random() < 0.5:
        x, y = y, x
    planks = int(rng.integers(1, 6))
    plank = np.floor(y * planks)
    grain = fractal(rng, size, 5, 3, stretch=5)
    if x[0, 1] == x[0, 0]:
        grain = grain.T.copy()
    knot = np.exp(-(((x - rng.random()) * 3) ** 2 + ((y - rng.random()) * 7) ** 2) * 4)
    rings = 0.5 + 0.5 * np.sin(
        2 * np.pi * (y * rng.uniform(8, 16) + 3 * grain + 2.5 * knot + plank * 0.37)
    )
    tone = rng.random(planks + 1).astype(np.float32)[plank.astype(int)]
    light = np.array([(205, 155, 100), (170, 115, 65), (130, 80, 42)][rng.integers(3)], np.float32)
    picture = light * (0.62 + 0.38 * rings + 0.15 * (tone - 0.5))[..., None]
    if planks > 1:
        seam = np.minimum(y * planks % 1, 1 - y * planks % 1) / planks
        picture *= smoothstep(0, 0.012, seam.astype(np.float32))[..., None] * 0.75 + 0.25
    return np.asarray(picture, np.float32)


def marble(rng: Rng, size: int) -> Field:
    """Pale polished stone with grey veins."""
    veins = np.maximum(ridges(rng, size, rng.uniform(2, 4), 5, 4), 0.7 * ridges(rng, size, 5, 5, 5))
    cloud = fractal(rng, size, 3, 5)
    base = ramp(cloud, [(0, (205, 205, 210)), (0.5, (236, 235, 233)), (1, (252, 250, 248))])
    vein = [(95, 98, 108), (120, 105, 85), (70, 72, 78)][rng.integers(3)]
    return mix(base, vein, veins * 0.85)


def stone(rng: Rng, size: int) -> Field:
    """Cobbles with dark gaps, or one rough grey rock face."""
    rough = fractal(rng, size, 10, 5, 0.8)
    if rng.random() < 0.65:
        near, gap, index = cells(rng, size, int(rng.integers(14, 50)), 0.4)
        tone = rng.uniform(95, 175, 4096).astype(np.float32)[index]
        field = (
            tone
            * (1.1 - 0.45 * near)
            * (0.8 + 0.4 * rough)
            * (0.25 + 0.75 * smoothstep(0.02, 0.2, gap))
        )
    else:
        field = 70 + 110 * rough * (0.6 + 0.6 * fractal(rng, size, 3, 3))
        field = field * (1 - 0.6 * ridges(rng, size, 3, 5, 8))
    tint = np.array(
        [(1, 0.98, 0.94), (0.97, 0.99, 1.02), (1.03, 0.97, 0.88)][rng.integers(3)], np.float32
    )
    return np.asarray(field[..., None] * tint, np.float32)


def water(rng: Rng, size: int) -> Field:
    """Blue water with a net of light or with waves."""
    _x, y = coordinates(size)
    depth = fractal(rng, size, 3, 3)
    base = ramp(depth, [(0, (8, 62, 120)), (0.5, (18, 112, 170)), (1, (70, 178, 208))])
    if rng.random() < 0.6:
        _, gap, _ = cells(rng, size, int(rng.integers(20, 60)), 1.2)
        light = smoothstep(0.22, 0.0, gap)
    else:
        wave = np.sin(
            2 * np.pi * (y * rng.uniform(6, 12) + 1.5 * fractal(rng, size, 4, 3, stretch=2))
        )
        light = smoothstep(0.6, 1.0, wave.astype(np.float32))
    return mix(base, (205, 240, 250), light * rng.uniform(0.45, 0.85))


def ice(rng: Rng, size: int) -> Field:
    """Pale blue frozen surface with white cracks and flat shards."""
    _, gap, index = cells(rng, size, int(rng.integers(8, 26)), 0.3)
    tone = rng.random(4096).astype(np.float32)[index]
    base = ramp(
        np.clip(0.6 * tone + 0.4 * fractal(rng, size, 4, 4), 0, 1),
        [(0, (95, 165, 205)), (0.5, (160, 215, 238)), (1, (222, 245, 253))],
    )
    cracks = np.maximum(smoothstep(0.07, 0.0, gap), 0.8 * ridges(rng, size, 3, 4, 9))
    return mix(base, (250, 254, 255), cracks)


def snow(rng: Rng, size: int) -> Field:
    """White powder with soft blue hollows and sparkles."""
    soft = fractal(rng, size, rng.uniform(3, 8), 5)
    picture = ramp(
        soft,
        [
            (0, (178, 196, 224)),
            (0.4, (226, 234, 246)),
            (0.75, (250, 252, 255)),
            (1, (255, 255, 255)),
        ],
    )
    grain = rng.random((size, size), np.float32)
    picture = picture - 16 * cv2.GaussianBlur(grain, (3, 3), 0)[..., None]
    picture[grain > 0.985] = 255
    return np.asarray(picture, np.float32)


def lava(rng: Rng, size: int) -> Field:
    """Dark crust split by glowing orange and yellow cracks."""
    _near, gap, _ = cells(rng, size, int(rng.integers(10, 40)), 1.0)
    heat = np.clip(1 - gap * rng.uniform(1.6, 3.2) + 0.45 * (fractal(rng, size, 5, 5) - 0.45), 0, 1)
    crust = fractal(rng, size, 14, 4, 0.8)
    picture = ramp(
        heat.astype(np.float32),
        [
            (0, (22, 12, 10)),
            (0.35, (60, 14, 6)),
            (0.55, (200, 40, 2)),
            (0.78, (255, 120, 5)),
            (0.93, (255, 215, 60)),
            (1, (255, 250, 180)),
        ],
    )
    return picture * (0.7 + 0.4 * crust)[..., None]


def fire(rng: Rng, size: int) -> Field:
    """Flames: bright yellow tongues licking up through orange and red into black."""
    _, y = coordinates(size)
    tongues = fractal(rng, size, 5, 4, 0.6, stretch=0.45)
    field = np.clip(
        tongues * 1.25 + rng.uniform(0.2, 0.7) * (y - 0.5) + rng.uniform(-0.2, 0.1), 0, 1
    )
    return ramp(
        field.astype(np.float32),
        [
            (0, (12, 2, 0)),
            (0.3, (120, 14, 0)),
            (0.5, (228, 70, 0)),
            (0.7, (255, 150, 10)),
            (0.87, (255, 225, 80)),
            (1, (255, 252, 215)),
        ],
    )


def clouds(rng: Rng, size: int) -> Field:
    """White heaps of cloud in a blue sky."""
    field = fractal(rng, size, rng.uniform(2.5, 5), 5, 0.55)
    sky = ramp(coordinates(size)[1], [(0, (70, 140, 220)), (1, (150, 200, 242))])
    body = ramp(unit(fractal(rng, size, 5, 4)), [(0, (205, 212, 224)), (1, (255, 255, 255))])
    return mix(sky, body, smoothstep(0.42, 0.62, field))


def crystal(rng: Rng, size: int) -> Field:
    """Cut gem: flat facets of one hue from dark to white, bright edges."""
    _, gap, index = cells(rng, size, int(rng.integers(14, 60)), 0)
    h = rng.choice([0.78, 0.83, 0.5, 0.92, 0.72])
    tone = rng.random(4096).astype(np.float32)[index]
    x, _y = rotated(rng, size)
    tone = np.clip(tone + 0.35 * np.sin(9 * x + tone * 20), 0, 1)
    base = ramp(
        tone,
        [
            (0, hue(h, 0.9, 70)),
            (0.4, hue(h, 0.75, 170)),
            (0.75, hue(h, 0.4, 240)),
            (1, (255, 255, 255)),
        ],
    )
    return mix(base, (255, 250, 255), smoothstep(0.06, 0.0, gap) * 0.8)


def stars(rng: Rng, size: int) -> Field:
    """Night sky: stars of many sizes over dark blue with a glowing band."""
    band = fractal(rng, size, 3, 5)
    picture = ramp(
        band, [(0, (4, 5, 22)), (0.55, (14, 20, 62)), (0.8, (48, 36, 105)), (1, (110, 70, 150))]
    )
    for _ in range(int(rng.integers(60, 130))):
        x, y = rng.integers(0, size, 2)
        r = rng.random()
        cv2.circle(
            picture,
            (int(x), int(y)),
            1 + int(r > 0.85) + int(r > 0.96),
            (255, 250, 225 + 30 * r),
            -1,
            cv2.LINE_AA,
        )
    return picture


def sand(rng: Rng, size: int) -> Field:
    """Grainy beige ripples."""
    _x, y = rotated(rng, size, 0.4)
    ripple = np.sin(2 * np.pi * (y * rng.uniform(6, 12) + 1.5 * fractal(rng, size, 3, 3)))
    grain = rng.random((size, size), np.float32) - 0.5
    field = np.clip(0.5 + 0.25 * ripple * rng.uniform(0.3, 1) + 0.35 * grain, 0, 1)
    return ramp(
        field.astype(np.float32),
        [(0, (165, 125, 75)), (0.5, (218, 185, 130)), (1, (248, 226, 182))],
    )


NATURAL: dict[str, Callable[[Rng, int], Field]] = {
    "gold": gold,
    "silver": silver,
    "copper": copper,
    "rust": rust,
    "wood": wood,
    "marble": marble,
    "stone": stone,
    "water": water,
    "ice": ice,
    "snow": snow,
    "lava": lava,
    "fire": fire,
    "clouds": clouds,
    "crystal": crystal,
    "stars": stars,
    "sand": sand,
}
"""Natural looks by name."""
