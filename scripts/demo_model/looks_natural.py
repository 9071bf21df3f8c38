"""Natural looks: metals, minerals, weather, water and fire.

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
    unit,
)


def metal(rng: Rng, size: int, dark: Colour, middle: Colour, light: Colour, glint: Colour) -> Field:
    """Polished or hammered metal: bands of reflected dark and light, with glints."""
    _x, y = rotated(rng, size)
    bumps = fractal(rng, size, rng.uniform(2, 7), int(rng.integers(1, 4)))
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
    """Flaking orange-brown iron oxide with dark pits round patches of bare grey-blue metal."""
    field = fractal(rng, size, rng.uniform(5, 8), 6, 0.75)
    picture = ramp(
        field,
        [
            (0, (45, 22, 14)),
            (0.35, (110, 46, 16)),
            (0.55, (182, 78, 22)),
            (0.75, (216, 118, 46)),
            (1, (150, 84, 56)),
        ],
    )
    flakes = fractal(rng, size, rng.uniform(5, 7), 4)
    picture = mix(picture, (38, 18, 12), 0.85 * smoothstep(0.53, 0.6, flakes))
    picture = mix(picture, (122, 138, 150), smoothstep(0.6, 0.64, flakes) * rng.uniform(0.7, 1))
    return np.asarray(picture * (0.8 + 0.4 * rng.random((size, size, 1), np.float32)), np.float32)


def wood(rng: Rng, size: int) -> Field:
    """Planks with long grain, and often a knot."""
    x, y = coordinates(size)
    if rng.random() < 0.5:
        x, y = y, x
    planks = int(rng.integers(2, 6))
    plank = np.floor(y * planks)
    grain = fractal(rng, size, 5, 3, stretch=5)
    if x[0, 1] == x[0, 0]:
        grain = grain.T.copy()
    knot = np.zeros((size, size), np.float32)
    for _ in range(5):
        away = ((x - rng.random()) * 3) ** 2 + ((y - rng.random()) * 6) ** 2
        knot = np.maximum(knot, np.exp(-away * 5))
    rings = 0.5 + 0.5 * np.sin(
        2 * np.pi * (y * rng.uniform(6, 11) + 2.4 * grain + 3 * knot + plank * 0.37)
    )
    tone = rng.random(planks + 1).astype(np.float32)[plank.astype(int)]
    light = np.array([(205, 155, 100), (170, 115, 65), (130, 80, 42)][rng.integers(3)], np.float32)
    picture = light * (0.5 + 0.55 * rings**0.7 + 0.2 * (tone - 0.5))[..., None]
    picture = mix(
        np.asarray(picture, np.float32),
        (52, 27, 12),
        smoothstep(0.8, 0.93, knot.astype(np.float32)),
    )
    if planks > 1:
        seam = np.minimum(y * planks % 1, 1 - y * planks % 1) / planks
        picture *= smoothstep(0, 0.012, seam.astype(np.float32))[..., None] * 0.75 + 0.25
    return np.asarray(picture, np.float32)


def marble(rng: Rng, size: int) -> Field:
    """Pale polished stone with strong dark or golden veins running aslant."""
    x, y = rotated(rng, size)
    cloud = fractal(rng, size, 3, 5)
    base = ramp(cloud, [(0, (206, 206, 212)), (0.4, (238, 237, 235)), (1, (252, 250, 248))])
    vein = [(48, 50, 58), (158, 108, 28), (60, 66, 84)][rng.integers(3)]
    other = (182, 132, 48) if rng.random() < 0.4 else (110, 112, 122)
    warp = rng.uniform(0.9, 1.3) * fractal(rng, size, 2.5, 6, 0.55)
    for along, tint, width, share in (
        (y * rng.uniform(3.6, 4.8), vein, 0.1, 0.97),
        ((0.6 * x - 0.8 * y) * rng.uniform(2.4, 3.2), other, 0.055, 0.9),
    ):
        away = np.abs((along + warp) % 1 - 0.5).astype(np.float32)
        thick = width * (0.35 + 1.1 * fractal(rng, size, 5, 3))
        base = mix(base, (150, 152, 160), 0.45 * smoothstep(3.2, 0.5, away / thick))
        base = mix(base, tint, share * smoothstep(1.0, 0.45, away / thick))
    return base


def stone(rng: Rng, size: int) -> Field:
    """Rounded cobbles or broken slabs of grey rock, parted by dark gaps."""
    rough = fractal(rng, size, 10, 5, 0.8)
    round_ones = rng.random() < 0.6
    near, gap, index = cells(rng, size, int(rng.integers(16, 42)), 0.4 if round_ones else 0.9)
    tone = rng.uniform(92, 182, 4096).astype(np.float32)[index]
    field = tone * (0.7 + 0.6 * rough)
    if round_ones:
        field = field * (1.15 - 0.5 * near) * (0.16 + 0.84 * smoothstep(0.03, 0.24, gap))
    else:
        field = field * (0.14 + 0.86 * smoothstep(0.02, 0.12, gap))
        field = field * (1 - 0.7 * ridges(rng, size, 4, 4, 4))
    tint = np.array(
        [(1, 0.98, 0.94), (0.97, 0.99, 1.02), (1.03, 0.97, 0.88)][rng.integers(3)], np.float32
    )
    return np.asarray(field[..., None] * tint, np.float32)


def water(rng: Rng, size: int) -> Field:
    """Blue water with a net of light or with waves."""
    _x, y = coordinates(size)
    depth = fractal(rng, size, 3, 3)
    base = ramp(depth, [(0, (6, 48, 118)), (0.5, (12, 92, 168)), (1, (30, 138, 200))])
    if rng.random() < 0.6:
        _, gap, _ = cells(rng, size, int(rng.integers(16, 36)), 1.2)
        light = smoothstep(0.22, 0.0, gap)
    else:
        wave = np.sin(
            2 * np.pi * (y * rng.uniform(5, 8) + 1.5 * fractal(rng, size, 4, 3, stretch=2))
        )
        light = smoothstep(0.6, 1.0, wave.astype(np.float32))
    return mix(base, (205, 240, 250), light * rng.uniform(0.6, 0.9))


def ice(rng: Rng, size: int) -> Field:
    """Clear cyan frozen surface broken into straight shards by thick white cracks."""
    _, gap, index = cells(rng, size, int(rng.integers(10, 22)), 0.12)
    tone = rng.random(4096).astype(np.float32)[index]
    x, y = rotated(rng, size)
    sheen = 0.5 + 0.5 * np.sin(2 * np.pi * (2 * (x + y) + tone))
    base = ramp(
        np.clip(0.65 * tone + 0.35 * sheen, 0, 1).astype(np.float32),
        [(0, (62, 158, 216)), (0.5, (128, 208, 242)), (1, (205, 242, 254))],
    )
    cracks = np.maximum(smoothstep(0.11, 0.04, gap), 0.8 * ridges(rng, size, 3, 3, 7))
    return mix(base, (252, 255, 255), cracks)


def snow(rng: Rng, size: int) -> Field:
    """Soft white heaps with blue shadows below them, and sparkles."""
    height = fractal(rng, size, rng.uniform(6, 8), 2, 0.35)
    slope = np.gradient(cv2.GaussianBlur(height, (0, 0), size / 50), axis=0) * size
    soft = np.clip(0.58 + 0.13 * slope, 0, 1).astype(np.float32)
    picture = ramp(
        soft,
        [
            (0, (142, 170, 222)),
            (0.35, (190, 210, 242)),
            (0.65, (244, 248, 255)),
            (1, (255, 255, 255)),
        ],
    )
    grain = rng.random((size, size), np.float32)
    picture = picture - 26 * cv2.GaussianBlur(grain, (3, 3), 0)[..., None] + 8
    reach = max(1, size // 50)
    for x, y in rng.integers(0, size, (45, 2)):
        cv2.circle(picture, (int(x), int(y)), reach + 1, (160, 190, 236), 1, cv2.LINE_AA)
        cv2.circle(picture, (int(x), int(y)), reach, (255, 255, 255), -1, cv2.LINE_AA)
    return np.asarray(picture, np.float32)


def lava(rng: Rng, size: int) -> Field:
    """Dark crust split by glowing orange and yellow cracks."""
    _near, gap, _ = cells(rng, size, int(rng.integers(12, 30)), 1.0)
    heat = np.clip(1 - gap * rng.uniform(2.0, 3.2) + 0.4 * (fractal(rng, size, 5, 5) - 0.45), 0, 1)
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
    field = fractal(rng, size, rng.uniform(3.5, 5.5), 5, 0.5)
    sky = ramp(coordinates(size)[1], [(0, (70, 140, 220)), (1, (150, 200, 242))])
    body = ramp(
        unit(fractal(rng, size, 5, 4)),
        [(0, (196, 206, 222)), (0.5, (250, 251, 255)), (1, (255, 255, 255))],
    )
    return mix(sky, body, smoothstep(0.45, 0.56, field))


def crystal(rng: Rng, size: int) -> Field:
    """Cut gem: big flat facets of violet or magenta from dark to white, bright edges."""
    _, gap, index = cells(rng, size, int(rng.integers(12, 28)), 0)
    h = rng.choice([0.74, 0.78, 0.83, 0.88])
    tones = np.array([0.0, 0.3, 0.5, 0.75, 1.0], np.float32)
    tone = tones[(index * 7 + index // 5) % 5]
    x, _y = rotated(rng, size)
    tone = np.clip(tone + 0.22 * np.sin(9 * x + tone * 20), 0, 1)
    base = ramp(
        tone,
        [
            (0, hue(h, 0.92, 62)),
            (0.4, hue(h, 0.8, 165)),
            (0.75, hue(h, 0.45, 245)),
            (1, (255, 250, 255)),
        ],
    )
    return mix(base, (255, 250, 255), smoothstep(0.09, 0.03, gap) * 0.85)


def stars(rng: Rng, size: int) -> Field:
    """Night sky: stars of many sizes over dark blue with a glowing band."""
    band = fractal(rng, size, 3, 5)
    picture = ramp(
        band, [(0, (4, 5, 22)), (0.55, (14, 20, 62)), (0.8, (48, 36, 105)), (1, (110, 70, 150))]
    )
    for _ in range(int(rng.integers(60, 130))):
        x, y = rng.integers(0, size, 2)
        r = rng.random()
        reach = round(size / 24) if r > 0.9 else round(size / 60) if r > 0.6 else 0
        for dx, dy in ((reach, 0), (0, reach)):
            a, b = (int(x) - dx, int(y) - dy), (int(x) + dx, int(y) + dy)
            cv2.line(picture, a, b, (200, 205, 240), 1, cv2.LINE_AA)
        cv2.circle(
            picture,
            (int(x), int(y)),
            1 + int(r > 0.7) + int(r > 0.93),
            (255, 250, 225 + 30 * r),
            -1,
            cv2.LINE_AA,
        )
    return picture


def sand(rng: Rng, size: int) -> Field:
    """Grainy beige ripples."""
    _x, y = rotated(rng, size, 0.4)
    ripple = np.sin(2 * np.pi * (y * rng.uniform(5, 8) + 1.5 * fractal(rng, size, 3, 3)))
    grain = rng.random((size, size), np.float32) - 0.5
    field = np.clip(0.5 + 0.34 * ripple * rng.uniform(0.7, 1) + 0.4 * grain, 0, 1)
    return ramp(
        field.astype(np.float32),
        [(0, (158, 116, 68)), (0.5, (218, 184, 128)), (1, (252, 232, 190))],
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
