"""Crafted looks: crochet, candy, folded paper, graffiti, feathers and tartan.

Each function takes (rng, size) and returns an RGB picture `[S, S, 3]`, float32, 0..255. Lengths
are shares of the side, so that a texture looks the same at every size.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.demo_model.noise import (
    Colour,
    Field,
    Rng,
    coordinates,
    fractal,
    hue,
    mix,
    rotated,
    smoothstep,
)


def yarn(rng: Rng) -> Colour:
    """A colour of yarn: bright, pastel or cream."""
    if rng.random() < 0.25:
        return (245.0, 236.0, 215.0)
    return hue(rng.random(), rng.uniform(0.35, 0.8), rng.uniform(190, 250))


def crochet(rng: Rng, size: int) -> Field:
    """Open crochet: granny squares of coloured rounds, or a lattice of interlocking loops."""
    x, y = rotated(rng, size, 0.5)
    if rng.random() < 0.55:
        return granny_squares(rng, x, y)
    count = rng.uniform(5, 7.5)
    thread = np.array(yarn(rng), np.float32)
    shadow = np.array(thread * rng.uniform(0.12, 0.25), np.float32)
    picture = np.broadcast_to(shadow, (size, size, 3)).astype(np.float32)
    for shift in ((0.0, 0.0), (0.5, 0.5)):
        u, v = (x * count + shift[0]) % 1 - 0.5, (y * count + shift[1]) % 1 - 0.5
        away = np.hypot(u, v).astype(np.float32)
        ring = np.abs(away - 0.37).astype(np.float32)
        stitch = 0.82 + 0.18 * np.sin(12 * np.arctan2(v, u))
        round_thread = (0.55 + 0.5 * smoothstep(0.12, 0.0, ring)) * stitch
        picture = picture * (1 - 0.6 * smoothstep(0.2, 0.1, ring))[..., None]
        loop = thread * round_thread[..., None]
        picture = mix(picture, np.asarray(loop, np.float32), smoothstep(0.12, 0.085, ring))
    return picture


def granny_squares(rng: Rng, x: Field, y: Field) -> Field:
    """Squares of three rounds of yarn round a ring, joined by a dark or pale border, with holes."""
    count = rng.uniform(2.4, 3.4)
    u, v = 2 * (x * count % 1) - 1, 2 * (y * count % 1) - 1
    square = np.maximum(np.abs(u), np.abs(v))
    away = square * 0.75 + 0.25 * np.hypot(u, v)
    angle = np.arctan2(v, u)
    number = (np.floor(x * count) * 3 + np.floor(y * count) * 5).astype(int) % 4
    border = (30.0, 26.0, 34.0) if rng.random() < 0.5 else (246.0, 238.0, 220.0)
    rounds = np.array([[yarn(rng), yarn(rng), yarn(rng), border] for _ in range(4)], np.float32)
    level = np.clip(np.floor(away * 4), 0, 3).astype(int)
    colours = rounds[number, level]
    within = away * 4 % 1
    waves = np.select([level == 0, level == 1], [2, 4], 6)
    clusters = np.abs(np.sin(waves * angle))
    shade = (0.55 + 0.45 * np.sin(np.pi * within)) * (0.6 + 0.4 * clusters**0.5)
    gap = smoothstep(0.35, 0.1, clusters.astype(np.float32)) * (np.abs(within - 0.1) < 0.22)
    hole = np.maximum(gap * (level > 0), smoothstep(0.16, 0.1, np.hypot(u, v).astype(np.float32)))
    picture = np.asarray(colours * shade[..., None], np.float32)
    return mix(picture, (24, 18, 24), np.asarray(hole * 0.9, np.float32))


def candy(rng: Rng, size: int) -> Field:
    """Glossy red and white pinwheel sweets side by side, or bright sprinkles on pink icing."""
    if rng.random() < 0.3:
        return sprinkles(rng, size)
    x, y = rotated(rng, size, 0.5)
    count = rng.uniform(2.3, 3.4)
    row = np.floor(y * count)
    u, v = (x * count + 0.5 * (row % 2)) % 1 - 0.5, y * count % 1 - 0.5
    away, angle = np.hypot(u, v).astype(np.float32), np.arctan2(v, u)
    arms, twist = int(rng.integers(5, 8)), rng.choice([-1, 1]) * rng.uniform(5, 8)
    wave = np.sin(arms * angle + twist * away * 2)
    red = [(222, 14, 34), (222, 14, 34), (240, 40, 120), (14, 160, 70)][rng.integers(4)]
    sweet = mix((255, 250, 248), red, smoothstep(-0.15, 0.15, wave.astype(np.float32)))
    sweet = np.asarray(sweet * (1 - 0.45 * smoothstep(0.3, 0.5, away))[..., None], np.float32)
    shine = np.hypot(u + 0.16, (v + 0.2) * 1.5).astype(np.float32)
    sweet = mix(sweet, (255, 255, 255), 0.9 * smoothstep(0.11, 0.06, shine))
    ground = [(255, 196, 214), (250, 225, 200), (190, 228, 240)][rng.integers(3)]
    return mix(ground, sweet, smoothstep(0.5, 0.46, away))


def sprinkles(rng: Rng, size: int) -> Field:
    """Short bright sticks of sugar strewn over pink icing, each with a shadow and a shine."""
    icing = 0.92 + 0.16 * fractal(rng, size, 4, 3)
    picture = np.asarray(np.array((250, 150, 190), np.float32) * icing[..., None], np.float32)
    width = max(2, size // 22)
    length = 0.05 * size
    side = 8
    for place in rng.permutation(side * side):
        spot = (np.array([place % side, place // side]) + rng.uniform(0.2, 0.8, 2)) * size / side
        angle = rng.uniform(0, np.pi)
        half = np.array([np.cos(angle), np.sin(angle)]) * length / 2
        colour = hue(rng.choice([0.0, 0.1, 0.16, 0.36, 0.55, 0.76]), 0.9, 250)
        if rng.random() < 0.15:
            colour = (255.0, 255.0, 255.0)
        (ax, ay), (bx, by) = (spot - half).astype(int), (spot + half).astype(int)
        a, b = (int(ax), int(ay)), (int(bx), int(by))
        drop = max(1, size // 80)
        low_a, low_b = (a[0] + drop, a[1] + drop), (b[0] + drop, b[1] + drop)
        cv2.line(picture, low_a, low_b, (170, 70, 110), width, cv2.LINE_AA)
        cv2.line(picture, a, b, colour, width, cv2.LINE_AA)
        cv2.line(picture, (a[0] - 1, a[1] - 1), (b[0] - 1, b[1] - 1), (255, 255, 255), 1)
    return picture


def origami(rng: Rng, size: int) -> Field:
    """Folded paper: flat triangles in light and shade of one or two pastel papers, pale creases."""
    side = int(rng.integers(4, 7))
    grid = np.stack(np.meshgrid(np.arange(-1, side + 2), np.arange(-1, side + 2)), -1)
    points = (grid + rng.uniform(-0.22, 0.22, grid.shape)) * size / side
    pixels = np.round(points * 16).astype(np.int32)
    first = rng.random()
    papers = [hue(first, rng.uniform(0.28, 0.5), 250), hue(first + 0.4, 0.3, 250), (250, 244, 232)]
    papers = papers[: int(rng.integers(1, 4))]
    picture = np.zeros((size, size, 3), np.float32)
    triangles = []
    for row in range(side + 2):
        for column in range(side + 2):
            a, b = pixels[row, column], pixels[row, column + 1]
            d, c = pixels[row + 1, column], pixels[row + 1, column + 1]
            flip = (row + column) % 2
            triangles += [(a, b, c), (a, c, d)] if flip else [(a, b, d), (b, c, d)]
    for number, corners in enumerate(triangles):
        paper = papers[rng.integers(len(papers))]
        light = (0.5, 0.68, 0.86, 1.0)[(number * 7 + int(rng.integers(0, 3))) % 4]
        shaded = tuple(c * light for c in paper)
        cv2.fillPoly(picture, [np.array(corners)], shaded, cv2.LINE_AA, 4)
    for corners in triangles:
        cv2.polylines(
            picture, [np.array(corners)], True, (255, 253, 248), max(1, size // 90), cv2.LINE_AA, 4
        )
    return picture


def graffiti(rng: Rng, size: int) -> Field:
    """Sprayed letters: fat bright strokes with black outlines and drips over a concrete wall."""
    wall = 150 + 60 * fractal(rng, size, 10, 4, 0.8)
    picture = np.asarray(wall[..., None] * np.array((1, 0.98, 0.94), np.float32), np.float32)
    first = rng.random()
    hues = [hue(first + k / 5, 0.95, 250) for k in range(5)]
    for _ in range(6):
        cloud = np.zeros((size, size), np.float32)
        spot = (int(rng.integers(size)), int(rng.integers(size)))
        cv2.circle(cloud, spot, int(rng.uniform(0.1, 0.18) * size), (1.0,), -1)
        cloud = np.asarray(cv2.GaussianBlur(cloud, (0, 0), size / 25), np.float32)
        picture = mix(picture, hues[rng.integers(5)], cloud)
    fat = max(3, int(rng.uniform(0.08, 0.1) * size))
    rim = max(2, size // 32)
    for place in rng.permutation(16):
        middle = (np.array([place % 4, place // 4]) + rng.uniform(0.2, 0.8, 2)) * size / 4
        letter = middle + rng.uniform(-0.26, 0.26, (4, 2)) * size
        curve = smooth_curve(letter)
        colour = hues[rng.integers(5)]
        for _ in range(2):
            start = curve[rng.integers(len(curve))]
            end = (int(start[0]), int(start[1] + rng.uniform(0.1, 0.24) * size))
            cv2.line(picture, (int(start[0]), int(start[1])), end, colour, rim, cv2.LINE_AA)
        cv2.polylines(picture, [curve], False, (12, 10, 16), fat + 2 * rim, cv2.LINE_AA)
        cv2.polylines(picture, [curve], False, colour, fat, cv2.LINE_AA)
        shine = curve - np.array([fat // 4, fat // 4])
        cv2.polylines(
            picture, [shine[:6].astype(np.int32)], False, (255, 255, 255), rim // 2 + 1, cv2.LINE_AA
        )
    return picture


def smooth_curve(points: NDArray[np.float64]) -> NDArray[np.int32]:
    """A Bézier curve through four control points as whole pixels `[20, 2]`, int32."""
    t = np.linspace(0, 1, 20)[:, None]
    curve = (
        (1 - t) ** 3 * points[0]
        + 3 * t * (1 - t) ** 2 * points[1]
        + 3 * t * t * (1 - t) * points[2]
        + t**3 * points[3]
    )
    return np.asarray(curve, np.int32)


def feathers(rng: Rng, size: int) -> Field:
    """Rows of overlapping rounded feathers, each with a shaft, slanted barbs and a pale hem."""
    side = int(size * 1.45)
    length, width = int(rng.uniform(0.34, 0.42) * size), int(rng.uniform(0.19, 0.25) * size)
    v, u = np.meshgrid(
        np.linspace(0, 1, length, dtype=np.float32),
        np.linspace(-1, 1, width, dtype=np.float32),
        indexing="ij",
    )
    tip = np.clip((v - 0.45) / 0.55, 0, 1)
    reach = np.abs(u) / np.sqrt(np.clip(1 - tip**2.4, 1e-4, 1))
    alpha = smoothstep(1.0, 0.9, reach)
    barbs = 0.5 + 0.5 * np.sin(2 * np.pi * (7 * v - 2.2 * np.abs(u)))
    hem = smoothstep(0.62, 0.95, np.maximum(reach, tip * 0.98))
    shaft = smoothstep(0.13, 0.05, np.abs(u))
    shade = (0.45 + 0.5 * v) * (0.78 + 0.22 * barbs)
    bases: list[Colour] = [
        (225, 225, 230),
        (150, 105, 65),
        (30, 120, 150),
        (205, 60, 40),
        (95, 100, 112),
        (40, 130, 80),
    ]
    base = np.array(bases[rng.integers(len(bases))], np.float32)
    pale = 0.3 * base + 0.7 * np.array((255, 250, 235), np.float32)
    picture = np.zeros((side, side, 3), np.float32) + 0.35 * base
    drop, gap = int(length * 0.42), int(width * 0.86)
    for row in range(side // drop + 2, -2, -1):
        for column in range(-1, side // gap + 2):
            tone = rng.uniform(0.8, 1.15)
            feather = np.asarray((base * tone) * shade[..., None], np.float32)
            feather = mix(feather, tuple(pale), hem * 0.75)
            feather = mix(feather, tuple(pale), shaft * 0.85)
            top = row * drop - length // 2 + int(rng.integers(-2, 3))
            left = column * gap + (row % 2) * gap // 2 + int(rng.integers(-2, 3))
            stamp(picture, feather, alpha, top, left)
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), float(rng.uniform(-40, 40)), 1.0)
    turned = cv2.warpAffine(picture, turn, (side, side), borderMode=cv2.BORDER_REFLECT)
    edge = (side - size) // 2
    return np.asarray(turned[edge : edge + size, edge : edge + size], np.float32)


def stamp(picture: Field, piece: Field, alpha: Field, top: int, left: int) -> None:
    """A piece laid over the picture in place, with a soft shadow under it, cut at the borders."""
    height, width = alpha.shape
    y0, x0 = max(0, top), max(0, left)
    y1, x1 = min(len(picture), top + height), min(len(picture), left + width)
    if y1 <= y0 or x1 <= x0:
        return
    part = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
    below = max(1, height // 16)
    shadow = picture[y0 + below : y1 + below, x0:x1]
    shadow *= (1 - 0.5 * alpha[part][: len(shadow)])[..., None]
    picture[y0:y1, x0:x1] = mix(picture[y0:y1, x0:x1], piece[part], alpha[part])


SETTS: tuple[tuple[Colour, Colour, Colour], ...] = (
    ((195, 20, 30), (20, 60, 40), (250, 215, 60)),
    ((195, 20, 30), (22, 30, 80), (245, 240, 230)),
    ((25, 90, 55), (20, 28, 70), (245, 215, 60)),
    ((35, 60, 130), (15, 60, 45), (220, 40, 40)),
    ((205, 165, 110), (25, 22, 24), (200, 30, 35)),
    ((110, 40, 110), (25, 60, 60), (240, 230, 235)),
)
"""Ground, band and line colours of tartans."""


def tartan(rng: Rng, size: int) -> Field:
    """Woven plaid: broad and narrow bands crossing at right angles, mixed where they cross."""
    ground, band, thin = (np.array(c, np.float32) for c in SETTS[rng.integers(len(SETTS))])
    x, y = rotated(rng, size, 0.8)
    count, broad = rng.uniform(2.2, 3.4), rng.uniform(0.17, 0.24)
    threads = []
    for along in (x, y):
        place = np.abs(along * count % 1 - 0.5).astype(np.float32)
        threads.append(np.where((place < broad)[..., None], band, ground))
        line = (np.abs(place - 0.5) < 0.035) | (np.abs(place - broad / 2) < 0.028)
        threads[-1] = np.where(line[..., None], thin, threads[-1])
    px, py = coordinates(size)
    twill = 0.5 + 0.22 * np.sin(2 * np.pi * (px + py) * rng.uniform(20, 26))
    woven = mix(threads[0].astype(np.float32), threads[1].astype(np.float32), twill)
    return np.asarray(woven * (0.92 + 0.16 * fractal(rng, size, 40, 1))[..., None], np.float32)


CRAFT: dict[str, Callable[[Rng, int], Field]] = {
    "crochet": crochet,
    "candy": candy,
    "origami": origami,
    "graffiti": graffiti,
    "feathers": feathers,
    "tartan": tartan,
}
"""Crafted looks by name."""
