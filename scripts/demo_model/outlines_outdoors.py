"""Outlines of plants and buildings."""

from __future__ import annotations

import numpy as np

from scripts.demo_model.pen import Outline, Shape, bar, curve, oval, poly, stroke


def petals(x: float, y: float, reach: float, count: int, width: float) -> tuple[Outline, ...]:
    """Petals around a middle, in hundredths."""
    turns = np.arange(count) * 2 * np.pi / count - np.pi / 2
    return tuple(
        oval(x + reach * np.cos(a) / 2, y + reach * np.sin(a) / 2, reach / 2, width / 2, a)
        for a in turns
    )


TREES = (
    Shape(
        (
            poly("45,50 55,50 58,98 42,98"),
            oval(50, 28, 29, 27),
            oval(28, 42, 22, 20),
            oval(72, 42, 22, 20),
            oval(50, 52, 27, 17),
        ),
        dark=(poly("45,64 55,64 58,98 42,98"),),
        turns=0.08,
    ),
    Shape(
        (
            bar(45, 80, 55, 98),
            poly("50,2 72,34 28,34"),
            poly("50,20 82,60 18,60"),
            poly("50,42 92,86 8,86"),
        ),
        dark=(bar(45, 86, 55, 98),),
        turns=0.08,
    ),
    Shape(
        (
            *stroke(8, "54,98 50,64 54,28", 5),
            curve("54,28 40,14 20,16 6,34 24,26 40,28"),
            curve("54,28 68,10 88,14 98,34 80,24 66,28"),
            curve("54,28 38,28 22,40 18,60 32,44 46,36"),
            curve("54,28 70,28 86,40 88,62 76,46 62,36"),
            curve("54,28 44,12 50,0 64,2 58,12"),
        ),
        turns=0.12,
    ),
    Shape(
        (
            *stroke(9, "50,98 50,50", 7),
            *stroke(5, "50,72 66,54"),
            *stroke(5, "50,66 36,52"),
            curve("14,36 18,20 34,18 42,4 58,4 66,16 82,18 88,34 82,52 66,56 50,50 34,58 18,52"),
        ),
        dark=(bar(45, 60, 55, 98),),
        turns=0.08,
    ),
)

HOUSES = (
    Shape(
        (bar(14, 45, 86, 96), poly("4,47 50,8 96,47"), bar(68, 12, 78, 34)),
        dark=(
            bar(42, 64, 58, 96),
            bar(21, 56, 35, 70),
            bar(65, 56, 79, 70),
            poly("4,47 50,8 96,47 86,47 50,17 14,47"),
        ),
        turns=0.08,
    ),
    Shape(
        (
            poly("0,50 18,20 84,20 100,50"),
            bar(8, 48, 92, 92),
            bar(22, 6, 34, 24),
        ),
        dark=(
            poly("0,50 18,20 84,20 100,50"),
            bar(44, 62, 58, 92),
            bar(16, 58, 34, 74),
            bar(68, 58, 84, 74),
        ),
        turns=0.08,
    ),
    Shape(
        (bar(24, 32, 80, 98), poly("14,34 52,0 90,34"), bar(66, 4, 75, 24)),
        dark=(
            bar(44, 76, 60, 98),
            *(bar(x, y, x + 12, y + 14) for x in (31, 61) for y in (40, 62)),
            oval(52, 22, 5),
        ),
        turns=0.08,
    ),
    Shape(
        (
            poly("2,44 26,14 50,44"),
            bar(6, 42, 46, 94),
            poly("26,14 82,14 98,44 50,44"),
            bar(46, 42, 94, 94),
            bar(70, 4, 80, 20),
        ),
        dark=(
            poly("26,14 82,14 98,44 50,44"),
            bar(18, 62, 34, 94),
            bar(56, 58, 68, 72),
            bar(76, 58, 88, 72),
        ),
        turns=0.08,
    ),
)

FLOWERS = (
    Shape(
        (
            *petals(50, 32, 31, 8, 18),
            *stroke(5, "50,40 52,70 49,99"),
            curve("50,86 50,86 66,66 86,66 86,66 74,86"),
            curve("50,92 50,92 36,74 16,74 16,74 28,92"),
        ),
        dark=(oval(50, 32, 10),),
        turns=0.25,
    ),
    Shape(
        (
            curve("28,8 28,8 40,22 50,4 50,4 60,22 72,8 72,8 74,36 62,50 50,52 38,50 26,36"),
            *stroke(5, "50,50 51,74 50,99"),
            curve("49,97 49,97 30,80 24,54 24,54 44,72"),
            curve("51,97 51,97 70,80 78,58 78,58 58,74"),
        ),
        dark=(*stroke(3, "40,22 41,48"), *stroke(3, "60,22 59,48")),
        turns=0.25,
    ),
    Shape(
        (
            *petals(50, 30, 30, 14, 10),
            oval(50, 30, 18),
            *stroke(5, "50,50 48,76 51,99"),
            curve("50,84 50,84 30,62 12,62 12,62 24,82"),
        ),
        dark=(oval(50, 30, 15),),
        turns=0.25,
    ),
    Shape(
        (
            *petals(50, 33, 34, 5, 25),
            *stroke(5, "50,46 47,74 52,99"),
            curve("50,88 50,88 64,66 84,62 84,62 76,84"),
        ),
        light=(oval(50, 33, 9),),
        turns=0.25,
    ),
)

MUSHROOMS = (
    Shape(
        (
            curve("4,52 4,52 14,22 36,8 64,8 86,22 96,52 96,52 50,60"),
            curve("40,52 60,52 60,74 68,94 50,98 32,94 40,74"),
        ),
        dark=(curve("5,53 50,48 95,53 50,62"),),
        light=(oval(30, 30, 8), oval(56, 20, 7), oval(76, 36, 7), oval(50, 40, 6)),
        turns=0.2,
    ),
    Shape(
        (
            curve("6,58 6,58 10,36 30,14 50,8 70,14 90,36 94,58 94,58 72,52 50,50 28,52"),
            curve("38,50 62,50 58,74 66,97 34,97 42,74"),
        ),
        dark=(curve("40,51 60,51 60,62 50,66 40,62"),),
        turns=0.2,
    ),
    Shape(
        (
            curve("2,46 8,26 30,12 70,12 92,26 98,46 84,54 50,52 16,54"),
            curve("34,50 66,50 64,70 72,92 50,98 28,92 36,70"),
        ),
        dark=(curve("12,53 50,47 88,53 50,56"),),
        turns=0.2,
    ),
    Shape(
        (
            curve("2,44 2,44 10,18 34,4 58,18 66,44 66,44 34,50"),
            curve("26,44 42,44 42,74 48,96 20,96 26,74"),
            curve("52,70 52,70 58,54 75,46 92,54 98,70 98,70 75,75"),
            curve("68,70 82,70 82,84 86,97 64,97 68,84"),
        ),
        dark=(curve("4,44 34,40 64,44 34,51"), curve("54,70 75,67 96,70 75,76")),
        light=(oval(22, 26, 6), oval(42, 18, 6), oval(48, 34, 5), oval(75, 57, 5)),
        turns=0.15,
    ),
)

OUTDOOR_SHAPES: dict[str, tuple[Shape, ...]] = {
    "tree": TREES,
    "house": HOUSES,
    "flower": FLOWERS,
    "mushroom": MUSHROOMS,
}
"""Outlines by name: one for each kind."""
