"""Things as Blender solids, modelled by themselves: nothing is taken from the drawn world.

Each function returns (parts that wear the look, parts that stay dark), about 2 units large, seen
from -y; animals and vehicles face +x.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from scripts.demo_model.blender_build import (
    ball,
    cone,
    flesh,
    joined,
    lathe,
    limb,
    ngon,
    plate,
    slab,
    torus,
    tube,
)

Rng = random.Random
Parts = tuple[list[Any], list[Any]]
UP = math.pi / 2


def a_ball(rng: Rng) -> Parts:
    return [ball((0, 0, 1), 1.0)], []


def a_box(rng: Rng) -> Parts:
    tall = rng.uniform(1.5, 2.0)
    return [slab((0, 0, tall / 2), (1.8, 1.8, tall), rng.uniform(0.02, 0.15))], []


def a_star(rng: Rng) -> Parts:
    return [plate(ngon(5, 1.0, rng.uniform(0.4, 0.48)), 0.25, 0.06)], []


def a_heart(rng: Rng) -> Parts:
    line = []
    for k in range(48):
        t = 2 * math.pi * k / 48
        z = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        line.append((16 * math.sin(t) / 17, z / 17))
    return [plate(line, 0.3, 0.1)], []


def a_triangle(rng: Rng) -> Parts:
    if rng.random() < 0.5:
        return [plate(ngon(3, 1.1), 0.3, 0.04)], []
    return [cone((0, 0, 0.8), 1.2, 0, 1.7, (0, 0, math.pi / 4), 4)], []


def a_ring(rng: Rng) -> Parts:
    return [torus((0, 0, 1), 0.8, rng.uniform(0.17, 0.32), (UP, 0, 0))], []


def a_moon(rng: Rng) -> Parts:
    outer = [
        (math.cos(a), math.sin(a)) for a in (0.75 + k * (2 * math.pi - 1.5) / 40 for k in range(41))
    ]
    tip = math.hypot(outer[0][0] - 0.42, outer[0][1])
    ends = math.atan2(outer[0][1], outer[0][0] - 0.42)
    inner = [
        (0.42 + tip * math.cos(a), tip * math.sin(a))
        for a in (-ends - k * (2 * math.pi - 2 * ends) / 32 for k in range(1, 32))
    ]
    return [plate([*outer, *inner], 0.2, 0.04)], []


def a_car(rng: Rng) -> Parts:
    body = plate(
        [(-1.1, 0.25), (-1.12, 0.55), (-1.0, 0.68), (-0.62, 0.72), (-0.35, 1.05), (0.3, 1.06),
         (0.62, 0.72), (1.05, 0.62), (1.14, 0.45), (1.12, 0.25)], 0.85, 0.06)  # fmt: skip
    wheels = [
        cone((x, y, 0.25), 0.26, 0.26, 0.18, (UP, 0, 0))
        for x in (-0.65, 0.65)
        for y in (-0.45, 0.45)
    ]
    hubs = [cone((x, -0.55, 0.25), 0.12, 0.12, 0.06, (UP, 0, 0)) for x in (-0.65, 0.65)]
    panes = [
        plate([(-0.5, 0.76), (-0.31, 0.99), (-0.05, 0.99), (-0.05, 0.76)], 1.0, 0),
        plate([(0.03, 0.76), (0.03, 0.99), (0.26, 0.99), (0.47, 0.76)], 1.0, 0),
    ]
    return [body, *hubs], [*wheels, *panes]


def a_boat(rng: Rng) -> Parts:
    hull = plate([(-1.05, 0.4), (1.15, 0.45), (0.75, 0.0), (-0.8, 0.0)], 0.4, 0.08)
    mast = cone((0, 0, 1.2), 0.045, 0.035, 1.8)
    main = plate([(0.08, 0.6), (0.95, 0.62), (0.08, 2.0)], 0.02, 0.015)
    jib = plate([(-0.08, 0.6), (-0.75, 0.62), (-0.08, 1.75)], 0.02, 0.015)
    return [hull, main, jib], [mast]


def a_tree(rng: Rng) -> Parts:
    if rng.random() < 0.5:
        crown = [
            cone((0, 0, z), r, 0.05, 0.9, sides=20)
            for z, r in ((0.85, 0.75), (1.3, 0.6), (1.75, 0.42))
        ]
        return crown, [cone((0, 0, 0.2), 0.13, 0.12, 0.5)]
    puffs = [ball((0, 0, 1.5), 0.6)]
    for k in range(7):
        a = 2 * math.pi * k / 7
        puffs.append(
            ball(
                (0.45 * math.cos(a), 0.45 * math.sin(a), rng.uniform(1.15, 1.5)),
                rng.uniform(0.33, 0.42),
            )
        )
    return [flesh(puffs, 0.05, 2)], [cone((0, 0, 0.5), 0.15, 0.11, 1.0)]


def a_house(rng: Rng) -> Parts:
    walls = slab((0, 0, 0.5), (1.5, 1.1, 1.0), 0.01)
    roof = plate([(-0.95, 0.95), (0.95, 0.95), (0.0, 1.75)], 1.2, 0.02)
    chimney = slab((0.5, 0.1, 1.5), (0.2, 0.2, 0.6), 0.01)
    holes = [slab((0, -0.56, 0.3), (0.3, 0.05, 0.6), 0)]
    holes += [slab((x, -0.56, 0.58), (0.28, 0.05, 0.28), 0) for x in (-0.48, 0.48)]
    return [walls, roof, chimney], holes


def a_cup(rng: Rng) -> Parts:
    wide = rng.uniform(0.62, 0.75)
    bowl = lathe(
        [(0, 0), (0.5, 0), (0.58, 0.1), (wide, 1.35), (wide - 0.08, 1.35), (0.5, 0.15), (0, 0.1)]
    )
    return [bowl, tube([(0.6, 0, 1.1), (1.05, 0, 1.0), (1.02, 0, 0.5), (0.57, 0, 0.35)], 0.085)], []


def a_bottle(rng: Rng) -> Parts:
    wide = rng.uniform(0.36, 0.48)
    return [
        lathe([(0, 0), (wide - 0.03, 0), (wide, 0.05), (wide, 1.1), (0.3, 1.35), (0.14, 1.55),
               (0.13, 1.95),
               (0.17, 1.96), (0.17, 2.08), (0, 2.08)])
    ], []  # fmt: skip


def a_chair(rng: Rng) -> Parts:
    legs = [slab((x, y, 0.42), (0.12, 0.12, 0.85)) for x in (-0.44, 0.44) for y in (-0.42, 0.42)]
    seat = slab((0, 0, 0.88), (1.05, 1.0, 0.13))
    posts = [slab((-0.46, y, 1.45), (0.11, 0.11, 1.1)) for y in (-0.42, 0.42)]
    rails = [slab((-0.46, 0, z), (0.09, 0.9, 0.2)) for z in (1.25, 1.6, 1.92)]
    return [*legs, seat, *posts, *rails], []


def a_hat(rng: Rng) -> Parts:
    if rng.random() < 0.5:
        shape = [
            (0, 1.2),
            (0.5, 1.22),
            (0.56, 1.15),
            (0.5, 0.12),
            (1.0, 0.14),
            (1.03, 0.1),
            (0.5, 0.03),
        ]
        return [lathe(shape)], [lathe([(0.53, 0.14), (0.535, 0.36)])]
    shape = [
        (0, 0.82),
        (0.3, 0.8),
        (0.5, 0.66),
        (0.58, 0.15),
        (0.9, 0.1),
        (1.15, 0.17),
        (1.16, 0.13),
        (0.9, 0.04),
        (0.5, 0.02),
    ]
    return [lathe(shape)], [lathe([(0.595, 0.15), (0.58, 0.3)])]


def a_cake(rng: Rng) -> Parts:
    tiers = [lathe([(0, z + h), (r - 0.05, z + h), (r, z + h - 0.05), (r, z), (0, z)])
             for z, r, h in ((0, 0.95, 0.5), (0.5, 0.65, 0.45), (0.95, 0.36, 0.38))]  # fmt: skip
    creams = [ball((r * math.cos(a), r * math.sin(a), z), 0.075)
              for r, z, n in ((0.82, 0.53, 14), (0.52, 0.98, 10))
              for a in (2 * math.pi * k / n for k in range(n))]  # fmt: skip
    return [*tiers, *creams, ball((0, 0, 1.42), 0.13)], []


def a_person(rng: Rng) -> Parts:
    swing = rng.uniform(0.05, 0.4)
    parts = [ball((0, 0, 1.82), (0.19, 0.19, 0.23)), *limb([(0, 0, 1.7), (0, 0, 1.5)], [0.09, 0.1])]
    parts += limb([(0, 0, 1.42), (0, 0, 1.15), (0, 0, 0.92)], [0.26, 0.22, 0.23])
    for side in (-1, 1):
        parts += limb(
            [(0.12 * side, 0, 0.9), (0.17 * side, 0, 0.45), (0.2 * side, 0, 0.05)],
            [0.15, 0.11, 0.08],
        )
        parts += limb(
            [
                (0.26 * side, 0, 1.45),
                ((0.36 + swing / 2) * side, 0, 1.15),
                ((0.38 + swing) * side, 0, 0.88),
            ],
            [0.11, 0.08, 0.07],
        )
        parts.append(ball((0.21 * side, -0.08, 0.04), (0.09, 0.17, 0.07)))
    return [flesh(parts, 0.03, 3)], []


def four_legs(length: float, shoulder: float, width: float, thick: float) -> list[Any]:
    """Legs of an animal whose belly is `shoulder` high and whose body is `length` long."""
    parts = []
    for x, step in ((-length / 2, -0.05), (length / 2, 0.05)):
        for y, more in ((-width, 0.07), (width, -0.07)):
            parts += limb(
                [(x, y, shoulder), (x + more, y, shoulder * 0.5), (x + more + step, y, 0.06)],
                [thick * 1.6, thick, thick * 0.9],
            )
    return parts


def a_horse(rng: Rng) -> Parts:
    parts = four_legs(1.1, 0.85, 0.16, 0.075)
    parts += limb([(-0.6, 0, 1.05), (0, 0, 1.0), (0.55, 0, 1.05)], [0.29, 0.27, 0.3])
    parts += limb([(0.6, 0, 1.15), (0.85, 0, 1.5), (0.98, 0, 1.78)], [0.24, 0.17, 0.14])
    parts += limb([(0.98, 0, 1.8), (1.2, 0, 1.62), (1.4, 0, 1.45)], [0.15, 0.13, 0.1])
    parts += limb([(-0.85, 0, 1.15), (-1.05, 0, 0.9), (-1.08, 0, 0.45)], [0.07, 0.1, 0.06])
    ears = [cone((0.95, y, 2.0), 0.05, 0, 0.22) for y in (-0.07, 0.07)]
    mane = [tube([(0.45, 0, 1.4), (0.72, 0, 1.68), (0.9, 0, 1.95)], [0.07, 0.09, 0.06])]
    return [flesh(parts), *ears, *mane], []


def a_camel(rng: Rng) -> Parts:
    parts = four_legs(1.05, 0.85, 0.16, 0.075)
    parts += limb([(-0.6, 0, 1.08), (0, 0, 1.05), (0.5, 0, 1.05)], [0.27, 0.3, 0.27])
    humps = ((-0.3, 0.33), (0.27, 0.33)) if rng.random() < 0.6 else ((-0.05, 0.4),)
    parts += [ball((x, 0, 1.4), (0.2, 0.17, r)) for x, r in humps]
    parts += limb(
        [(0.65, 0, 1.05), (0.95, 0, 0.98), (1.12, 0, 1.35), (1.15, 0, 1.72)],
        [0.2, 0.15, 0.12, 0.11],
    )
    parts += limb([(1.15, 0, 1.76), (1.42, 0, 1.66)], [0.14, 0.11])
    parts += limb([(-0.85, 0, 1.15), (-0.95, 0, 0.75)], [0.05, 0.05])
    return [flesh(parts)], []


def a_dog(rng: Rng) -> Parts:
    parts = four_legs(0.95, 0.6, 0.15, 0.085)
    parts += limb([(-0.5, 0, 0.75), (0, 0, 0.72), (0.45, 0, 0.78)], [0.23, 0.23, 0.27])
    parts += limb([(0.5, 0, 0.9), (0.72, 0, 1.2)], [0.2, 0.17])
    parts += [ball((0.78, 0, 1.28), 0.25), *limb([(0.9, 0, 1.22), (1.16, 0, 1.17)], [0.15, 0.11])]
    parts += limb([(-0.7, 0, 0.85), (-0.92, 0, 1.1), (-0.95, 0, 1.38)], [0.08, 0.06, 0.045])
    ears = [ball((0.68, y, 1.2), (0.1, 0.05, 0.24), (0, 0.25, 0)) for y in (-0.25, 0.25)]
    dark = [ball((1.27, 0, 1.2), 0.065)]
    dark += [ball((0.97, y, 1.37), 0.04) for y in (-0.13, 0.13)]
    return [flesh(parts), *ears], dark


def a_cat(rng: Rng) -> Parts:
    parts = [ball((0, 0, 0.45), (0.48, 0.4, 0.47)), ball((0.08, -0.05, 0.85), (0.33, 0.3, 0.42))]
    parts += [ball((0.12, -0.08, 1.42), (0.36, 0.32, 0.31))]
    for y in (-0.16, 0.16):
        parts += limb([(0.3, y, 0.85), (0.38, y, 0.4), (0.42, y, 0.08)], [0.13, 0.1, 0.1])
    parts += limb(
        [(-0.4, 0, 0.15), (-0.85, 0, 0.2), (-0.98, 0, 0.6), (-0.82, 0, 0.9)],
        [0.1, 0.09, 0.08, 0.07],
    )
    # It sits sideways and looks at the viewer.
    ears = [cone((0.12 + x, -0.08, 1.76), 0.14, 0, 0.32, (0, x, 0), 12) for x in (-0.2, 0.2)]
    dark = [ball((0.12 + x, -0.36, 1.47), 0.055) for x in (-0.13, 0.13)]
    dark.append(ball((0.12, -0.4, 1.36), (0.045, 0.03, 0.03)))
    return [flesh(parts), *ears], dark


def a_swan(rng: Rng) -> Parts:
    body = [
        ball((0, 0, 0.4), (0.85, 0.42, 0.38)),
        *limb([(-0.6, 0, 0.5), (-1.05, 0, 0.78)], [0.25, 0.05]),
    ]
    neck = limb(
        [(0.62, 0, 0.45), (0.92, 0, 0.85), (0.68, 0, 1.3), (0.85, 0, 1.68), (1.05, 0, 1.6)],
        [0.24, 0.12, 0.095, 0.1, 0.13],
    )
    wings = [ball((-0.15, y, 0.58), (0.72, 0.1, 0.3), (0, -0.25, 0)) for y in (-0.34, 0.34)]
    return [flesh(body + neck + wings)], [cone((1.28, 0, 1.54), 0.07, 0.01, 0.26, (0, UP + 0.2, 0))]


def a_bird(rng: Rng) -> Parts:
    body = [ball((0, 0, 0.85), (0.62, 0.4, 0.42), (0, -0.3, 0)), ball((0.55, 0, 1.3), 0.29)]
    body += limb([(0.35, 0, 1.05), (0.52, 0, 1.25)], [0.33, 0.28])
    body += limb([(-0.5, 0, 0.7), (-1.15, 0, 0.5)], [0.2, 0.1])
    wings = [ball((-0.15, y, 0.88), (0.6, 0.08, 0.27), (0, -0.35, 0)) for y in (-0.38, 0.38)]
    legs = [tube([(0.05, y, 0.5), (0.08, y, 0.05)], 0.035) for y in (-0.13, 0.13)]
    beak = cone((0.92, 0, 1.27), 0.1, 0, 0.3, (0, UP, 0))
    return [flesh(body), *wings], [
        *legs,
        beak,
        *(ball((0.68, y, 1.4), 0.05) for y in (-0.23, 0.23)),
    ]


def a_fish(rng: Rng) -> Parts:
    body = ball((0.15, 0, 0), (0.85, 0.25, 0.48))
    tail = plate([(-0.6, 0.0), (-1.15, 0.5), (-1.02, 0.0), (-1.15, -0.5)], 0.03, 0.03)
    fins = [plate([(0.35, 0.4), (-0.35, 0.35), (-0.3, 0.68), (0.05, 0.72)], 0.03, 0.02),
            plate([(0.15, -0.42), (-0.3, -0.36), (-0.25, -0.65)], 0.03, 0.02)]  # fmt: skip
    return [body, tail, *fins], [ball((0.68, y, 0.12), 0.07) for y in (-0.19, 0.19)]


def a_flower(rng: Rng) -> Parts:
    count = rng.choice([5, 6, 8])
    petals = [
        ball(
            (0.42 * math.cos(a), 0, 1.5 + 0.42 * math.sin(a)),
            (0.34, 0.06, 1.0 / count + 0.05),
            (0, -a, 0),
        )
        for a in (2 * math.pi * k / count + 0.3 for k in range(count))
    ]
    stem = tube([(0, 0.02, 1.4), (0.05, 0.02, 0.7), (0, 0.02, 0)], 0.045)
    leaf = [
        ball((x, 0, 0.5), (0.32, 0.06, 0.11), (0, s, 0)) for x, s in ((0.28, -0.6), (-0.24, 0.6))
    ]
    return [*petals, stem, *leaf], [ball((0, -0.04, 1.5), (0.2, 0.1, 0.2))]


def an_umbrella(rng: Rng) -> Parts:
    canopy = lathe(
        [
            (0, 1.9),
            (0.35, 1.83),
            (0.7, 1.62),
            (0.95, 1.3),
            (1.05, 1.1),
            (1.0, 1.1),
            (0.65, 1.55),
            (0, 1.8),
        ]
    )
    stick = tube(
        [(0, 0, 2.05), (0, 0, 1.0), (0, 0, 0.25), (0.12, 0, 0.05), (0.27, 0, 0.1), (0.3, 0, 0.25)],
        0.045,
    )
    return [canopy], [stick]


def a_mushroom(rng: Rng) -> Parts:
    cap = lathe([(0, 1.75), (0.4, 1.68), (0.8, 1.35), (1.0, 0.95), (0.95, 0.85), (0.3, 0.92)])
    stem = lathe([(0.24, 0.95), (0.22, 0.5), (0.34, 0.1), (0.3, 0), (0, 0)])
    return [cap, stem], []


def a_guitar(rng: Rng) -> Parts:
    body = joined([ball((0, 0, 0.4), (0.52, 0.14, 0.44)), ball((0, 0, 0.98), (0.4, 0.13, 0.34))])
    neck = slab((0, -0.06, 1.7), (0.14, 0.09, 1.1), 0.02)
    head = slab((0, -0.06, 2.35), (0.24, 0.09, 0.3), 0.03)
    hole = cone((0, -0.12, 0.78), 0.15, 0.15, 0.06, (UP, 0, 0))
    return [body, neck, head], [hole, slab((0, -0.15, 0.3), (0.32, 0.05, 0.07), 0)]


def a_bicycle(rng: Rng) -> Parts:
    wheels = [torus((x, 0, 0.5), 0.46, 0.05, (UP, 0, 0)) for x in (-0.75, 0.75)]
    ends = {"rear": (-0.75, 0, 0.5), "pedal": (-0.1, 0, 0.48), "seat": (-0.3, 0, 1.1),
            "head": (0.52, 0, 1.1),
            "front": (0.75, 0, 0.5), "bar": (0.47, 0, 1.32),
            "saddle": (-0.34, 0, 1.25)}  # fmt: skip
    bars = [("rear", "pedal"), ("rear", "seat"), ("pedal", "saddle"), ("pedal", "head"),
            ("seat", "head"),
            ("bar", "front")]  # fmt: skip
    frame = [tube([ends[a], ends[b]], 0.05) for a, b in bars]
    grip = tube([(0.42, -0.3, 1.38), (0.47, 0, 1.32), (0.42, 0.3, 1.38)], 0.04)
    return [*wheels, *frame, grip, ball(ends["saddle"], (0.2, 0.09, 0.06))], []


SOLIDS: dict[str, tuple[Callable[[Rng], Parts], float]] = {
    "ball": (a_ball, 180), "box": (a_box, 180), "star": (a_star, 30), "heart": (a_heart, 30),
    "triangle": (a_triangle, 25), "ring": (a_ring, 35), "moon": (a_moon, 25), "car": (a_car, 25),
    "boat": (a_boat, 25), "tree": (a_tree, 180), "house": (a_house, 35), "cup": (a_cup, 35),
    "bottle": (a_bottle, 180), "chair": (a_chair, 45), "hat": (a_hat, 180), "cake": (a_cake, 180),
    "person": (a_person, 35), "horse": (a_horse, 30), "camel": (a_camel, 30), "dog": (a_dog, 30),
    "cat": (a_cat, 25), "swan": (a_swan, 30), "bird": (a_bird, 30), "fish": (a_fish, 25),
    "flower": (a_flower, 30), "umbrella": (an_umbrella, 180), "mushroom": (a_mushroom, 180),
    "guitar": (a_guitar, 25), "bicycle": (a_bicycle, 25),
}  # fmt: skip
"""How to build each thing, and how many degrees it may be turned from its typical side."""
