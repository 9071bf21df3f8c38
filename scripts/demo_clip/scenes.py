"""Backgrounds, green screens, and weather drawn over a finished picture.

Pictures are RGB `[S, S, 3]`, float32, 0..255.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.demo_clip.looks_living import grass as grass_texture
from scripts.demo_clip.looks_living import leaves
from scripts.demo_clip.looks_made import brick as brick_texture
from scripts.demo_clip.looks_natural import clouds, stars, wood
from scripts.demo_clip.looks_natural import sand as sand_texture
from scripts.demo_clip.noise import (
    Field,
    Rng,
    coordinates,
    fractal,
    hue,
    mix,
    ramp,
    smoothstep,
    unit,
)

SCENE_SIZE = 128
GREEN = (0.0, 177.0, 64.0)
"""The green of Text2LIVE's screen image."""


def sky_over(rng: Rng, size: int) -> Field:
    y = coordinates(size)[1]
    top = [(60, 120, 205), (90, 150, 220), (120, 170, 225)][rng.integers(3)]
    return ramp(y, [(0, top), (0.7, (200, 222, 240)), (1, (222, 232, 240))])


def below(y: Field, line: Field | float) -> Field:
    """1 under a horizon line, 0 over it."""
    return smoothstep(-0.008, 0.008, (y - line).astype(np.float32))


def skyline(rng: Rng, size: int, base: float, height: float, cells: float) -> Field:
    """A ragged horizon: for each column the row (0..1) where land begins, `[1, S]`."""
    return np.asarray(base - height * fractal(rng, size, cells, 4)[:1], np.float32)


def shrunk(texture: Callable[[Rng, int], Field], rng: Rng, size: int, zoom: float) -> Field:
    return cv2.resize(texture(rng, round(size * zoom)), (size, size), interpolation=cv2.INTER_AREA)


def meadow(rng: Rng, size: int) -> Field:
    y = coordinates(size)[1]
    lawn = shrunk(grass_texture, rng, size, 1.4) * rng.uniform(0.85, 1.15)
    if rng.random() < 0.4:
        return lawn
    return mix(
        sky_over(rng, size), lawn, below(y, skyline(rng, size, rng.uniform(0.3, 0.55), 0.1, 2))
    )


def sky(rng: Rng, size: int) -> Field:
    return clouds(rng, size) if rng.random() < 0.8 else sky_over(rng, size)


def sea(rng: Rng, size: int) -> Field:
    y = coordinates(size)[1]
    horizon = rng.uniform(0.2, 0.5)
    wave = np.sin(2 * np.pi * ((y / (0.35 + y)) * 40 + 3 * fractal(rng, size, 5, 4, stretch=4)))
    body = ramp(
        unit(wave * 0.35 + fractal(rng, size, 6, 3, stretch=3)),
        [(0, (10, 50, 95)), (0.6, (28, 92, 145)), (1, (120, 178, 205))],
    )
    return mix(sky_over(rng, size), body, below(y, horizon))


def desert(rng: Rng, size: int) -> Field:
    y = coordinates(size)[1]
    picture = sky_over(rng, size)
    for layer in range(3):
        dune = sand_texture(rng, size) * (0.8 + 0.12 * layer)
        picture = mix(picture, dune, below(y, skyline(rng, size, 0.45 + 0.2 * layer, 0.22, 2)))
    return picture


def forest(rng: Rng, size: int) -> Field:
    picture = leaves(rng, size) * rng.uniform(0.4, 0.7)
    for _ in range(int(rng.integers(6, 12))):
        x, w = rng.uniform(0, size), rng.uniform(3, 9)
        colour = tuple(rng.uniform(0.6, 1.3) * c for c in (62, 45, 30))
        cv2.rectangle(
            picture, (int(x), 0), (int(x + w), int(rng.uniform(0.75, 0.95) * size)), colour, -1
        )
    ground = ramp(fractal(rng, size, 12, 4), [(0, (40, 45, 18)), (1, (90, 90, 40))])
    return mix(picture, ground, below(coordinates(size)[1], skyline(rng, size, 0.88, 0.08, 3)))


def city(rng: Rng, size: int) -> Field:
    picture = sky_over(rng, size) * rng.uniform(0.8, 1)
    for depth in range(2):
        x = -4.0
        while x < size:
            w, top = rng.uniform(12, 26), rng.uniform(0.08, 0.5) * size + depth * 14
            tone = rng.uniform(70, 150) * (1 - 0.25 * depth)
            colour = (tone, tone * rng.uniform(0.92, 1.0), tone * rng.uniform(0.85, 1.08))
            cv2.rectangle(picture, (int(x), int(top)), (int(x + w), size), colour, -1)
            lit = (245, 225, 150) if rng.random() < 0.4 else (tone * 0.5, tone * 0.55, tone * 0.65)
            for wy in np.arange(top + 4, size * 0.86, 7):
                for wx in np.arange(x + 3, x + w - 3, 6):
                    cv2.rectangle(picture, (int(wx), int(wy)), (int(wx + 2), int(wy + 3)), lit, -1)
            x += w + rng.uniform(0, 3)
    road = np.full_like(picture, 75.0)
    return mix(picture, road, below(coordinates(size)[1], 0.88))


def night(rng: Rng, size: int) -> Field:
    picture = stars(rng, size)
    if rng.random() < 0.5:
        hills = np.broadcast_to(np.array((6, 8, 12), np.float32), picture.shape)
        picture = mix(picture, hills, below(coordinates(size)[1], skyline(rng, size, 0.95, 0.2, 2)))
    return picture


def snowfield(rng: Rng, size: int) -> Field:
    y = coordinates(size)[1]
    ground = ramp(fractal(rng, size, 3, 5), [(0, (205, 216, 234)), (1, (254, 255, 255))])
    picture = sky_over(rng, size) * 0.95
    for _ in range(int(rng.integers(0, 7))):
        x, base, h = (
            rng.uniform(0, size),
            rng.uniform(0.45, 0.6) * size,
            rng.uniform(0.15, 0.4) * size,
        )
        tree = np.array([[x, base - h], [x + h * 0.3, base], [x - h * 0.3, base]], np.int32)
        cv2.fillPoly(picture, [tree], (60, 85, 75), cv2.LINE_AA)
    return mix(picture, ground, below(y, skyline(rng, size, rng.uniform(0.45, 0.55), 0.1, 2)))


def mountains(rng: Rng, size: int) -> Field:
    y = coordinates(size)[1]
    picture = sky_over(rng, size)
    for layer in range(3):
        line = skyline(rng, size, 0.62 + 0.16 * layer, 0.6 - 0.17 * layer, 3)
        rock = ramp(fractal(rng, size, 8, 4, 0.7), [(0, (70, 74, 90)), (1, (135, 138, 150))]) * (
            1.1 - 0.25 * layer
        )
        if layer == 0:
            rock = mix(rock, (245, 248, 252), smoothstep(0.16, 0.06, (y - line).astype(np.float32)))
        picture = mix(picture, rock, below(y, line))
    return picture


def brick_wall(rng: Rng, size: int) -> Field:
    return shrunk(brick_texture, rng, size, rng.uniform(1.0, 1.5))


def wood_floor(rng: Rng, size: int) -> Field:
    return shrunk(wood, rng, size, 1.2)


def room(rng: Rng, size: int) -> Field:
    """A wall and a floor of plain colours."""
    y = coordinates(size)[1]
    wall = np.array(hue(rng.random(), rng.uniform(0, 0.35), rng.uniform(150, 235)), np.float32)
    floor = np.array(
        hue(rng.uniform(0.03, 0.12), rng.uniform(0.1, 0.5), rng.uniform(90, 190)), np.float32
    )
    light = (0.85 + 0.3 * fractal(rng, size, 2, 1))[..., None]
    return mix(wall * light, floor * light, below(y, rng.uniform(0.6, 0.8)))


def plain(rng: Rng, size: int) -> Field:
    """A studio backdrop of one colour, never the screen's green."""
    kind = rng.random()
    if kind < 0.5:
        tone = rng.choice([250, 235, 128, 60, 12, 190])
        colour = (tone, tone, tone)
    else:
        h = rng.uniform(0.47, 1.22)
        colour = hue(h, rng.uniform(0.15, 0.95), rng.uniform(60, 250))
    light = 1 + rng.uniform(0, 0.25) * (fractal(rng, size, 2, 1) - 0.5)
    return np.asarray(np.array(colour, np.float32) * light[..., None], np.float32)


def green_screen(rng: Rng, size: int) -> Field:
    """The screen's exact green, or one lit a little unevenly."""
    if rng.random() < 0.6:
        return np.full((size, size, 3), GREEN, np.float32)
    light = 1 + 0.12 * (fractal(rng, size, 2, 1) - 0.5) + rng.uniform(-0.08, 0.08)
    return np.asarray(np.array(GREEN, np.float32) * light[..., None], np.float32)


SCENES: dict[str, Callable[[Rng, int], Field]] = {
    "meadow": meadow,
    "sky": sky,
    "sea": sea,
    "desert": desert,
    "forest": forest,
    "city": city,
    "night": night,
    "snowfield": snowfield,
    "mountains": mountains,
    "brick wall": brick_wall,
    "wood floor": wood_floor,
    "room": room,
    "plain": plain,
    "green screen": green_screen,
}
"""Backgrounds by name."""

BACKGROUNDS: tuple[str, ...] = tuple(SCENES)
"""Names of all backgrounds, in class order."""


@lru_cache(maxsize=2048)
def banked_scene(name: str, seed: int, variant: int) -> NDArray[np.uint8]:
    """Bank picture of a background: the same for the same seed and variant, drawn on first use."""
    rng = np.random.default_rng([seed, variant, zlib.crc32(name.encode())])
    picture = np.clip(SCENES[name](rng, SCENE_SIZE), 0, 255).astype(np.uint8)
    picture.setflags(write=False)
    return picture


def draw_scene(name: str, rng: Rng, size: int, seed: int, variants: int) -> Field:
    """A background `[size, size, 3]`; scenes come from the bank, flat ones are drawn afresh."""
    if name in ("plain", "green screen"):
        return SCENES[name](rng, size)
    picture = banked_scene(name, seed, int(rng.integers(variants)))
    side = int(rng.uniform(0.72, 1.0) * SCENE_SIZE)
    top, left = rng.integers(0, SCENE_SIZE - side + 1, 2)
    piece = picture[top : top + side, left : left + side]
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    return cv2.resize(piece, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)


def snowfall(rng: Rng, picture: Field) -> Field:
    size = len(picture)
    flakes = np.zeros((size, size), np.float32)
    for x, y, r in rng.random((int(rng.integers(50, 140)), 3)):
        cv2.circle(
            flakes,
            (int(x * size * 8), int(y * size * 8)),
            int((0.6 + 1.6 * r * r) * 8),
            0.95,
            -1,
            cv2.LINE_AA,
            3,
        )
    return mix(picture * 0.9 + 12, (252, 253, 255), np.clip(flakes, 0, 1))


def rainfall(rng: Rng, picture: Field) -> Field:
    size = len(picture)
    drops = np.zeros((size, size), np.float32)
    slant, length = rng.uniform(-0.25, 0.25), rng.uniform(7, 16)
    for x, y in rng.random((int(rng.integers(60, 130)), 2)) * size:
        end = (int((x + slant * length) * 8), int((y + length) * 8))
        cv2.line(drops, (int(x * 8), int(y * 8)), end, 0.75, 1, cv2.LINE_AA, 3)
    grey = picture.mean(-1, keepdims=True)
    return mix((0.55 * picture + 0.25 * grey), (205, 215, 228), np.clip(drops, 0, 1))


def fogged(rng: Rng, picture: Field) -> Field:
    size = len(picture)
    veil = rng.uniform(0.45, 0.65) + 0.35 * (fractal(rng, size, 2.5, 3, stretch=2) - 0.3)
    return mix(picture, (214, 217, 221), np.clip(veil, 0, 0.88))


def smoked(rng: Rng, picture: Field) -> Field:
    size = len(picture)
    x, y = coordinates(size)
    plume = fractal(rng, size, 4, 4, 0.6)
    spread = 0.15 + 0.35 * (1 - y)
    column = np.exp(
        -(((x - rng.uniform(0.25, 0.75) - 0.25 * (fractal(rng, size, 3, 2) - 0.5)) / spread) ** 2)
    )
    tone = ramp(plume, [(0, (55, 55, 58)), (1, (185, 185, 188))])
    return mix(picture, tone, np.clip(column * (0.35 + 0.9 * plume), 0, 0.93))


def burning(rng: Rng, picture: Field) -> Field:
    size = len(picture)
    y = coordinates(size)[1]
    heat = np.clip(
        1.5 * (y - rng.uniform(0.2, 0.45))
        + 0.9 * (fractal(rng, size, 5, 3, 0.6, stretch=0.4) - 0.5),
        0,
        1,
    ).astype(np.float32)
    colour = ramp(
        heat, [(0, (180, 30, 0)), (0.3, (240, 90, 5)), (0.6, (255, 170, 30)), (1, (255, 246, 180))]
    )
    return mix(picture, colour, smoothstep(0.02, 0.3, heat))


EFFECTS: dict[str, Callable[[Rng, Field], Field]] = {
    "snowing": snowfall,
    "raining": rainfall,
    "foggy": fogged,
    "smoky": smoked,
    "burning": burning,
}
"""Weather and other half-transparent effects over a picture, by name."""
EFFECT_NAMES: tuple[str, ...] = tuple(EFFECTS)
