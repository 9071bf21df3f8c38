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

from scripts.demo_model.looks_made import brick as brick_texture
from scripts.demo_model.looks_natural import wood
from scripts.demo_model.noise import (
    Colour,
    Field,
    Rng,
    coordinates,
    fractal,
    hue,
    mix,
    ramp,
    smoothstep,
)
from scripts.demo_model.scenes_outdoors import (
    autumn,
    below,
    desert,
    forest,
    meadow,
    mountains,
    night,
    sea,
    shrunk,
    sky,
    sky_over,
    snowfield,
)

SCENE_SIZE = 128
GREEN = (0.0, 177.0, 64.0)
"""The green of Text2LIVE's screen image."""


def city(rng: Rng, size: int) -> Field:
    """Two rows of buildings with windows over a road, by day or, less often, at dusk."""
    dusk = rng.random() < 0.2
    picture = sky_over(rng, size) * rng.uniform(0.8, 1)
    if dusk:
        y = coordinates(size)[1]
        picture = ramp(y, [(0, (50, 60, 110)), (0.5, (220, 140, 120)), (1, (240, 180, 120))])
    for depth in range(2):
        x = -4.0
        while x < size:
            w, top = rng.uniform(14, 28), rng.uniform(0.06, 0.48) * size + depth * 14
            tone = rng.uniform(95, 185) * (1 - 0.25 * depth) * (0.55 if dusk else 1)
            tint = [(1, 0.97, 0.95), (1.05, 0.85, 0.72), (0.85, 0.95, 1.08)][rng.integers(3)]
            colour = tuple(tone * c for c in tint)
            cv2.rectangle(picture, (int(x), int(top)), (int(x + w), size), colour, -1)
            edge = (int(x + w), int(top)), (int(x + w), size)
            cv2.line(picture, *edge, tuple(0.6 * c for c in colour), 2)
            bright = rng.random() < (0.9 if dusk else 0.3)
            pane = (250, 228, 150) if bright else (tone * 0.4, tone * 0.46, tone * 0.58)
            for wy in np.arange(top + 4, size * 0.86, 8):
                for wx in np.arange(x + 3, x + w - 4, 7):
                    cv2.rectangle(picture, (int(wx), int(wy)), (int(wx + 3), int(wy + 4)), pane, -1)
            x += w + rng.uniform(0, 3)
    level = rng.uniform(0.84, 0.92)
    road = np.full_like(picture, rng.uniform(60, 85))
    picture = mix(picture, road, below(coordinates(size)[1], level))
    for dash in np.arange(-4, size, 22):
        row = int((level + 0.06) * size)
        cv2.rectangle(picture, (int(dash), row), (int(dash + 11), row + 2), (235, 235, 225), -1)
    return picture


def brick_wall(rng: Rng, size: int) -> Field:
    return shrunk(brick_texture, rng, size, rng.uniform(1.0, 1.5))


def wood_floor(rng: Rng, size: int) -> Field:
    """Planks with dark joints, side by side, lying straight or upright."""
    picture = shrunk(wood, rng, size, 1.2)
    count = int(rng.integers(4, 7))
    step = size / count
    for k in range(count):
        a, b = int(k * step), int((k + 1) * step)
        picture[a:b] *= rng.uniform(0.82, 1.15)
        picture[a : a + 3] *= 0.35
        end = int(rng.integers(size))
        picture[a:b, end : end + 2] *= 0.4
    return picture if rng.random() < 0.5 else np.ascontiguousarray(picture.transpose(1, 0, 2))


def room(rng: Rng, size: int) -> Field:
    """A wall over a floor with a skirting board, and a window, a picture, a lamp or a rug."""
    y = coordinates(size)[1]
    wall = np.array(hue(rng.random(), rng.uniform(0.05, 0.4), rng.uniform(150, 235)), np.float32)
    floor = np.array(
        hue(rng.uniform(0.03, 0.1), rng.uniform(0.3, 0.6), rng.uniform(80, 150)), np.float32
    )
    light = (0.85 + 0.3 * fractal(rng, size, 2, 1))[..., None]
    level = rng.uniform(0.66, 0.8)
    picture = mix(wall * light, floor * light, below(y, level))
    row = int(level * size)
    cv2.rectangle(picture, (0, row - 5), (size, row), (245, 243, 238), -1)

    def box(x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        corners = (int(x0 * size), int(y0 * size)), (int(x1 * size), int(y1 * size))
        cv2.rectangle(picture, *corners, colour, -1)

    for left in ((0.04, 0.66), (0.05,), (0.64,))[rng.integers(3)]:
        x, top = left + rng.uniform(0, 0.06), rng.uniform(0.06, 0.16)
        if rng.random() < 0.6:
            box(x, top, x + 0.26, top + 0.42, (250, 250, 248))
            box(x + 0.025, top + 0.025, x + 0.235, top + 0.395, (150, 195, 230))
            box(x + 0.12, top, x + 0.14, top + 0.42, (250, 250, 248))
            box(x, top + 0.2, x + 0.26, top + 0.22, (250, 250, 248))
        else:
            box(x, top, x + 0.25, top + 0.28, (70, 48, 30))
            box(x + 0.03, top + 0.03, x + 0.22, top + 0.25, hue(rng.random(), 0.5, 210))
            box(x + 0.07, top + 0.13, x + 0.18, top + 0.25, hue(rng.random(), 0.6, 150))
    if rng.random() < 0.5:
        spot = (int(rng.uniform(0.35, 0.65) * size), int((level + 1) / 2 * size + 2))
        rug = hue(rng.random(), 0.6, 170)
        cv2.ellipse(picture, spot, (int(0.4 * size), 9), 0, 0, 360, rug, -1, cv2.LINE_AA)
    return picture


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
    "autumn": autumn,
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
    """White flakes of all sizes over a slightly dulled picture."""
    size = len(picture)
    flakes = np.zeros((size, size), np.float32)
    for x, y, r in rng.random((int(rng.integers(80, 150)), 3)):
        cv2.circle(
            flakes,
            (int(x * size * 8), int(y * size * 8)),
            int((1.0 + 1.6 * r * r) * 8),
            1.0,
            -1,
            cv2.LINE_AA,
            3,
        )
    return mix(picture * 0.8 + 8, (252, 253, 255), np.clip(flakes, 0, 1))


def rainfall(rng: Rng, picture: Field) -> Field:
    """Long bright slanted streaks over a darkened, greyish picture."""
    size = len(picture)
    drops = np.zeros((size, size), np.float32)
    lean = rng.uniform(0.12, 0.4) * rng.choice([-1, 1])
    length = rng.uniform(13, 24)
    for x, y in rng.uniform(-0.2, 1, (int(rng.integers(70, 120)), 2)) * size:
        x = x * 1.2
        end = (int((x + lean * length) * 8), int((y + length) * 8))
        cv2.line(drops, (int(x * 8), int(y * 8)), end, 0.85, 1, cv2.LINE_AA, 3)
    drops = np.clip(cv2.GaussianBlur(drops, (0, 0), 0.5) * 1.3, 0, 0.9)
    grey = picture.mean(-1, keepdims=True)
    return mix(0.45 * picture + 0.22 * grey, (205, 217, 232), drops)


def fogged(rng: Rng, picture: Field) -> Field:
    """A pale even veil, denser downwards, that takes contrast and colour."""
    size = len(picture)
    y = coordinates(size)[1]
    veil = rng.uniform(0.5, 0.66) + rng.uniform(0.1, 0.3) * (y - 0.4)
    veil = veil + 0.22 * (fractal(rng, size, 2, 2, stretch=2) - 0.5)
    return mix(picture, (216, 219, 223), np.clip(veil, 0.38, 0.86).astype(np.float32))


def smoked(rng: Rng, picture: Field) -> Field:
    """Dark grey plumes of round puffs that rise, widen and curl."""
    size = len(picture)
    cover, tone = np.zeros((size, size), np.float32), np.full((size, size), 70, np.float32)
    for foot in rng.uniform(0.1, 0.9, int(rng.integers(1, 4))):
        bend, phase = rng.uniform(0.04, 0.14), rng.uniform(0, 6)
        for up in np.linspace(0, 1.05, 34):
            middle = foot + bend * np.sin(phase + 6 * up) * (0.3 + up)
            wide = 0.05 + 0.13 * up
            for dx, dy, shade in rng.uniform(-1, 1, (2, 3)):
                spot = int((middle + dx * wide) * size), int((1 - up + 0.03 * dy) * size)
                radius = int((0.045 + 0.075 * up) * size * (1 + 0.2 * dy))
                cv2.circle(tone, spot, radius, 82 + 38 * shade + 30 * up, -1, cv2.LINE_AA)
                lit = (spot[0] - radius // 3, spot[1] - radius // 3)
                cv2.circle(tone, lit, radius // 2, 104 + 38 * shade + 34 * up, -1, cv2.LINE_AA)
                cv2.circle(cover, spot, radius, 0.96, -1, cv2.LINE_AA)
    soft = cv2.GaussianBlur(cover, (0, 0), size / 45)
    grey = cv2.GaussianBlur(tone, (0, 0), size / 80) * rng.uniform(0.7, 1.1)
    share = np.maximum(0.12, soft * (0.74 + 0.22 * fractal(rng, size, 5, 3)))
    return mix(picture, np.repeat(grey[..., None], 3, -1), share.astype(np.float32))


def burning(rng: Rng, picture: Field) -> Field:
    """Tongues of flame from the lower edge up to about half the height."""
    size = len(picture)
    x, y = coordinates(size)
    high = np.zeros((1, size), np.float32)
    for place in np.arange(0, 1.05, 0.14) + rng.uniform(-0.06, 0.06, 8):
        width, tall = rng.uniform(0.06, 0.12), rng.uniform(0.35, 0.85)
        high = np.maximum(high, tall * np.clip(1 - np.abs(x[:1] - place) / width, 0, 1) ** 0.7)
    high = np.maximum(high, rng.uniform(0.2, 0.35))
    sway = 0.07 * (fractal(rng, size, 5, 3) - 0.5) * size
    columns = np.clip(x * size + sway * (1.5 - y), 0, size - 1).astype(np.float32)
    tongue = cv2.remap(
        np.repeat(high, size, 0), columns, (y * size).astype(np.float32), cv2.INTER_LINEAR
    )
    heat = 1.25 * (tongue - (1 - y)) + 0.35 * (fractal(rng, size, 6, 3, 0.6, stretch=0.4) - 0.4)
    heat = np.clip(heat, 0, 1).astype(np.float32)
    colour = ramp(
        heat, [(0, (190, 35, 0)), (0.2, (240, 95, 5)), (0.45, (255, 175, 30)), (1, (255, 246, 180))]
    )
    glow = picture * np.array((1.08, 0.9, 0.75), np.float32)
    return mix(glow, colour, smoothstep(0.0, 0.13, heat))


EFFECTS: dict[str, Callable[[Rng, Field], Field]] = {
    "snowing": snowfall,
    "raining": rainfall,
    "foggy": fogged,
    "smoky": smoked,
    "burning": burning,
}
"""Weather and other half-transparent effects over a picture, by name."""
EFFECT_NAMES: tuple[str, ...] = tuple(EFFECTS)
