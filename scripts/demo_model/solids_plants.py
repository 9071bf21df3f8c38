"""Solid models of plants, about one unit tall."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scripts.demo_model.noise import Rng
from scripts.demo_model.solids import Mesh, Vec, ball, cone, join, lathe, tube


def make_tree(rng: Rng) -> Mesh:
    kind = rng.random()
    if kind < 0.45:  # a fir
        levels, r, z = int(rng.integers(3, 6)), rng.uniform(0.33, 0.42), 0.28
        parts = [cone(0.075, 0.06, 0.4, 8).toned(0.5)]
        for level in range(levels):
            tall = 0.46 - 0.04 * level
            parts.append(
                cone(r, 0.0 if level == levels - 1 else r * 0.2, tall, 14)
                .moved(0, 0, z)
                .toned(1, 0.1 * level)
            )
            z, r = z + tall * 0.58, r * 0.78
        return join(*parts)
    trunk = rng.uniform(0.3, 0.5)
    stem = tube(
        [(0, 0, 0), (0.01, 0, trunk * 0.4), (0, 0, trunk + 0.15)], [0.085, 0.06, 0.05], 8
    ).toned(0.5)
    if kind < 0.7:
        r = rng.uniform(0.3, 0.38)
        return join(stem, ball((0, 0, trunk + r * 0.85), r, r, r * rng.uniform(0.9, 1.3)))
    crowns = [ball((0, 0, trunk + 0.32), 0.28, 0.28, 0.28)]
    for i in range(5):
        a, r = 2 * np.pi * i / 5 + rng.uniform(-0.4, 0.4), rng.uniform(0.17, 0.23)
        place: Vec = (
            0.24 * float(np.cos(a)),
            0.24 * float(np.sin(a)),
            trunk + rng.uniform(0.14, 0.3),
        )
        crowns.append(ball(place, r))
    return join(stem, *crowns)


def make_flower(rng: Rng) -> Mesh:
    petals, r = int(rng.integers(5, 9)), rng.uniform(0.1, 0.14)
    long = rng.uniform(0.14, 0.19)
    head = [ball((0, 0, 0.02), r, r, 0.06).toned(rng.choice([0.4, 0.55, 1.35]), 0.08)]
    wide = min(0.13, (r + long * 0.6) * np.pi / petals * 0.95)
    for i in range(petals):
        petal = ball((r + long * 0.7, 0, 0), long, wide, 0.03).turned("y", -0.2)
        head.append(petal.turned("z", 2 * np.pi * i / petals).toned(1.0 + 0.1 * (i % 2)))
    face = join(*head).turned("x", rng.uniform(0.5, 1.3))
    tall = rng.uniform(0.5, 0.75)
    stem = tube([(0, 0.03, 0), (0.03, 0.03, tall * 0.5), (0, 0.03, tall)], 0.022, 6).toned(0.6)
    leaf = ball((0.16, 0.03, 0), 0.16, 0.055, 0.02).turned("y", -0.6).toned(0.65)
    leaves = [
        leaf.moved(0.01, 0, tall * 0.25),
        leaf.turned("z", np.pi).moved(0.02, 0.06, tall * 0.4),
    ]
    return join(stem, *leaves[: int(rng.integers(1, 3))], face.moved(0, 0, tall))


def make_mushroom(rng: Rng) -> Mesh:
    r, tall, cap = rng.uniform(0.38, 0.5), rng.uniform(0.35, 0.55), rng.uniform(0.26, 0.4)
    foot = rng.uniform(0.12, 0.17)
    stem = lathe(
        [(0, 0), (foot * 1.2, 0), (foot * 0.9, tall * 0.5), (foot * 0.85, tall + 0.05)], 12
    )
    angle = np.linspace(0, np.pi / 2, 7)
    dome = [(r * float(np.cos(a)), tall + cap * float(np.sin(a))) for a in angle]
    hat = lathe([(0, tall + 0.06), (r * 0.95, tall - 0.02), *dome], 18).toned(1, 0.05)
    under = hat.paint.copy()
    under[:18, 0] = 0.55
    hat = Mesh(hat.points, hat.faces, under)
    parts = [stem.toned(1.15), hat]
    if rng.random() < 0.65:
        for i in range(9):
            up = 1.3 if i == 0 else (0.8 if i < 4 else 0.35)
            a = rng.uniform(-0.25, 0.25) + 2 * np.pi * (i / 3 if i < 4 else i / 5)
            spot = ball((0, 0, 0), rng.uniform(0.05, 0.08), 0.065, 0.018)
            spot = spot.turned("y", np.pi / 2 - up).moved(
                r * float(np.cos(up)), 0, cap * float(np.sin(up)) + tall
            )
            parts.append(spot.turned("z", a).toned(1.5, 0.12))
    return join(*parts)


PLANT_SOLIDS: dict[str, Callable[[Rng], Mesh]] = {
    "tree": make_tree,
    "flower": make_flower,
    "mushroom": make_mushroom,
}
