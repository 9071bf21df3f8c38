"""Backgrounds out of doors. Pictures are RGB `[S, S, 3]`, float32, 0..255."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from scripts.demo_model.looks_living import grass as grass_texture
from scripts.demo_model.looks_natural import clouds, stars
from scripts.demo_model.looks_natural import sand as sand_texture
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
    unit,
)


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
    drawn = texture(rng, round(size * zoom))
    return np.asarray(cv2.resize(drawn, (size, size), interpolation=cv2.INTER_AREA), np.float32)


def meadow(rng: Rng, size: int) -> Field:
    """Bright grass under an open sky, or grass alone, with or without small flowers."""
    y = coordinates(size)[1]
    lawn = shrunk(grass_texture, rng, size, 1.4) * rng.uniform(0.95, 1.2) + 10
    if rng.random() < 0.5:
        for fx, fy, kind in rng.random((int(rng.integers(15, 50)), 3)):
            colour = [(250, 250, 250), (250, 220, 60), (235, 80, 120)][int(3 * kind)]
            cv2.circle(lawn, (int(fx * size), int(fy * size)), 1, colour, -1, cv2.LINE_AA)
    if rng.random() < 0.3:
        return lawn
    return mix(
        sky_over(rng, size), lawn, below(y, skyline(rng, size, rng.uniform(0.35, 0.6), 0.1, 2))
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
    """Smooth lit dunes under a clear or hazy sky, sometimes with cacti."""
    y = coordinates(size)[1]
    picture = sky_over(rng, size)
    if rng.random() < 0.35:
        picture = ramp(y, [(0, (120, 165, 205)), (0.5, (240, 215, 170)), (1, (245, 215, 160))])
    high = rng.uniform(0.35, 0.55)
    for layer in range(3):
        dune = sand_texture(rng, size) * 0.4 + np.array((140, 112, 66), np.float32)
        line = skyline(rng, size, high + 0.2 * layer, 0.24, 2)
        lit = 0.74 + 0.12 * layer + 0.3 * smoothstep(0.22, 0.0, (y - line).astype(np.float32))
        picture = mix(picture, dune * lit[..., None], below(y, line))
    if rng.random() < 0.3:
        for _ in range(int(rng.integers(1, 4))):
            x, base = rng.uniform(0.03, 0.97) * size, rng.uniform(0.55, 0.9) * size
            h = rng.uniform(0.14, 0.26) * size
            arms = np.array([[-0.3, -0.75], [-0.3, -0.45], [0.3, -0.45], [0.3, -0.7]]) * h
            path = (arms + np.array((x, base))).astype(np.int32)
            cv2.polylines(picture, [path], False, (60, 100, 55), 2, cv2.LINE_AA)
            cv2.line(picture, (int(x), int(base)), (int(x), int(base - h)), (60, 100, 55), 3)
    return picture


def trunks(rng: Rng, picture: Field, least: int, most: int, bark: Colour) -> None:
    """Draw upright trunks, some pale, over the whole height."""
    size = len(picture)
    for x in (np.arange(n := int(rng.integers(least, most))) + rng.random(n)) * size / n:
        w, tone = rng.uniform(0.035, 0.09) * size, rng.uniform(0.6, 1.25)
        foot = int(rng.uniform(0.75, 0.95) * size)
        colour = tuple(tone * c for c in bark)
        cv2.rectangle(picture, (int(x), 0), (int(x + w), foot), colour, -1)
        edge = tuple(1.5 * c for c in colour)
        cv2.rectangle(picture, (int(x), 0), (int(x + w * 0.25), foot), edge, -1)


def forest(rng: Rng, size: int) -> Field:
    """Dark green shade between many trunks; or rows of firs."""
    y = coordinates(size)[1]
    if rng.random() < 0.3:
        picture = ramp(y, [(0, (150, 175, 175)), (1, (70, 95, 75))])
        for layer in range(3):
            for x in np.arange(-0.05, 1.1, 0.13) + rng.uniform(0, 0.13):
                h, foot = rng.uniform(0.4, 0.75) * size, (0.55 + 0.2 * layer) * size
                tone = rng.uniform(0.8, 1.15) * (1.25 - 0.3 * layer)
                for step in range(3):
                    top, half = foot - h * (1 - 0.22 * step), h * (0.1 + 0.06 * step)
                    fir = np.array([[0, top], [half, top + h * 0.42], [-half, top + h * 0.42]])
                    fir[:, 0] += x * size
                    colour = (28 * tone, 68 * tone, 36 * tone)
                    cv2.fillPoly(picture, [fir.astype(np.int32)], colour, cv2.LINE_AA)
    else:
        tones = [(0, (8, 22, 8)), (0.55, (30, 66, 22)), (0.85, (70, 115, 40)), (1, (150, 180, 90))]
        picture = ramp(fractal(rng, size, 9, 4, 0.8), tones)
        trunks(rng, picture, 6, 11, (62, 45, 30))
    ground = ramp(fractal(rng, size, 12, 4), [(0, (34, 40, 18)), (1, (84, 84, 40))])
    return mix(picture, ground, below(y, skyline(rng, size, 0.9, 0.1, 3)))


def autumn(rng: Rng, size: int) -> Field:
    """Red, orange and yellow crowns over trunks and a ground of fallen leaves."""
    y = coordinates(size)[1]
    hues = [(0, (120, 35, 15)), (0.35, (205, 75, 20)), (0.65, (238, 140, 30)), (1, (252, 208, 70))]
    if rng.random() < 0.5:
        picture = ramp(fractal(rng, size, 9, 4, 0.8), hues) * rng.uniform(0.8, 1.05)
        trunks(rng, picture, 4, 8, (70, 50, 36))
    else:
        picture = sky_over(rng, size)
        for x in np.arange(-0.05, 1.1, 0.2) + rng.uniform(0, 0.15):
            foot, top = rng.uniform(0.66, 0.76) * size, rng.uniform(0.2, 0.38) * size
            middle, w = x * size, rng.uniform(0.02, 0.035) * size
            stem = (int(middle - w), int(top)), (int(middle + w), int(foot))
            cv2.rectangle(picture, *stem, (66, 46, 34), -1)
            base = rng.uniform(0.0, 0.13)
            for dx, dy, r in rng.uniform(-1, 1, (14, 3)):
                colour = hue(base + 0.02 * r, 0.88, 215 + 35 * dy * -1)
                spot = int(middle + dx * 0.11 * size), int(top + dy * 0.14 * size)
                cv2.circle(picture, spot, int((0.07 + 0.02 * r) * size), colour, -1, cv2.LINE_AA)
    floor = ramp(fractal(rng, size, 14, 4, 0.9), hues) * rng.uniform(0.75, 0.95)
    picture = mix(picture, floor, below(y, skyline(rng, size, rng.uniform(0.7, 0.82), 0.08, 3)))
    for fx, fy, h in rng.random((int(rng.integers(40, 90)), 3)):
        spot, axes = (int(fx * size), int(fy * size)), (3, 2)
        colour = hue(0.13 * h, 0.9, 240)
        cv2.ellipse(picture, spot, axes, 180 * h, 0, 360, colour, -1, cv2.LINE_AA)
    return picture


def night(rng: Rng, size: int) -> Field:
    """A sky full of stars, alone or over black hills."""
    picture = stars(rng, size)
    if rng.random() < 0.5:
        hills = np.broadcast_to(np.array((6, 8, 12), np.float32), picture.shape)
        picture = mix(picture, hills, below(coordinates(size)[1], skyline(rng, size, 0.95, 0.2, 2)))
    return picture


def snowfield(rng: Rng, size: int) -> Field:
    """White ground with blue hollows under a dull sky, with snowy firs and bare trees."""
    y = coordinates(size)[1]
    dull = ramp(y, [(0, (165, 180, 200)), (0.6, (205, 212, 222)), (1, (215, 220, 228))])
    picture = dull if rng.random() < 0.7 else sky_over(rng, size) * 0.92
    line = skyline(rng, size, rng.uniform(0.42, 0.55), 0.1, 2)
    ground = ramp(
        fractal(rng, size, 3, 3, stretch=2),
        [(0, (185, 200, 228)), (0.5, (238, 243, 250)), (1, (255, 255, 255))],
    )
    picture = mix(picture, ground, below(y, line))
    for x, deep, tall in rng.random((int(rng.integers(4, 9)), 3)):
        base, h = (0.45 + 0.3 * deep) * size, (0.24 + 0.24 * tall) * size
        for step in range(3):
            top, half = base - h * (1 - 0.26 * step), h * (0.12 + 0.07 * step)
            for colour, part in (((50, 78, 70), 1.0), ((248, 250, 253), 0.55)):
                fir = np.array([[0, top], [half, top + h * 0.45], [-half, top + h * 0.45]])
                fir = (fir - (0, top)) * part + (x * size, top)
                cv2.fillPoly(picture, [fir.astype(np.int32)], colour, cv2.LINE_AA)
    return picture


def mountains(rng: Rng, size: int) -> Field:
    """Three ranges of peaked rock, the far ones with snow on top, over dark slopes."""
    x, y = coordinates(size)
    picture = sky_over(rng, size)
    for layer in range(3):
        line = np.full((1, size), 0.75 + 0.1 * layer, np.float32)
        high = (0.1, 0.38, 0.66)[layer]
        for place in np.arange(-0.1, 1.2, 0.34 - 0.05 * layer) + rng.uniform(0, 0.3):
            peak = high + rng.uniform(0, 0.16)
            slope = rng.uniform(1.0, 1.6) - 0.2 * layer
            line = np.minimum(line, peak + slope * np.abs(x[:1] - place))
        line = line + 0.06 * (fractal(rng, size, 10, 3)[:1] - 0.5)
        side = np.gradient(cv2.GaussianBlur(line, (0, 0), 2.0)[0])[None]
        rock = ramp(fractal(rng, size, 8, 4, 0.7), [(0, (74, 78, 96)), (1, (130, 133, 148))])
        if layer == 2:
            rock = ramp(fractal(rng, size, 8, 4, 0.7), [(0, (52, 66, 52)), (1, (98, 112, 80))])
        shade = np.where(side > 0, 0.72, 1.18) * (1.08 - 0.14 * layer)
        rock = rock * cv2.GaussianBlur(shade.astype(np.float32), (0, 0), 0.8)[..., None]
        if layer < 2:
            reach = 0.2 - 0.09 * layer + 0.12 * (fractal(rng, size, 12, 2) - 0.5)
            cap = (y - high - 0.08 < reach).astype(np.float32)
            snow = np.array((246, 248, 252)) * np.where(side > 0, 0.84, 1.0)[..., None]
            soft = np.asarray(cv2.GaussianBlur(cap, (0, 0), 0.8), np.float32)
            rock = mix(rock, snow.astype(np.float32), soft)
        picture = mix(picture, rock, below(y, line))
    return picture
