"""Outlines of plain shapes: balls, boxes, stars and the like."""

from __future__ import annotations

from scripts.demo_model.pen import (
    Shape,
    bar,
    curve,
    heart_outline,
    hoop,
    oval,
    poly,
    star_outline,
    stroke,
)

BALLS = (
    Shape((oval(50, 50, 50),), turns=3.1),
    Shape(
        (oval(50, 50, 50),),
        dark=(
            poly("50,36 64,46 58,62 42,62 36,46"),
            poly("50,0 64,3 58,16 42,16 36,3"),
            poly("98,34 100,52 88,52 84,38"),
            poly("2,34 0,52 12,52 16,38"),
            poly("72,78 86,76 80,92 70,95"),
            poly("28,78 14,76 20,92 30,95"),
        ),
        turns=3.1,
    ),
    Shape(
        (oval(50, 50, 50),),
        dark=(
            *stroke(4, "0,50 100,50"),
            *stroke(4, "18,12 36,50 18,88"),
            *stroke(4, "82,12 64,50 82,88"),
        ),
        turns=3.1,
    ),
    Shape(
        (oval(50, 50, 50),),
        dark=(
            curve("50,50 50,50 30,24 34,3 34,3 50,0 66,3 66,3 64,26"),
            curve("50,50 50,50 78,56 93,76 93,76 82,88 66,97 66,97 54,74"),
            curve("50,50 50,50 36,74 34,97 34,97 18,88 7,76 7,76 24,56"),
        ),
        turns=3.1,
    ),
)

BOXES = (
    Shape((bar(6, 6, 94, 94),), turns=3.1),
    Shape(
        (poly("5,30 35,5 97,12 97,70 65,97 5,88"),),
        dark=(poly("65,37 97,12 97,70 65,97"),),
        light=(poly("5,30 35,5 97,12 65,37"),),
    ),
    Shape(
        (bar(14, 38, 86, 94), poly("14,40 -2,22 36,18 50,38"), poly("86,40 102,22 64,18 50,38")),
        dark=(poly("14,38 36,24 64,24 86,38"), bar(46, 38, 54, 70)),
    ),
    Shape(
        (
            bar(8, 26, 92, 42),
            bar(12, 42, 88, 96),
            *stroke(7, "50,26 34,6 24,14 32,24 50,26"),
            *stroke(7, "50,26 66,6 76,14 68,24 50,26"),
        ),
        dark=(bar(43, 26, 57, 96), bar(8, 40, 92, 44)),
    ),
)

STARS = (
    Shape((star_outline(),), turns=3.1),
    Shape((star_outline(5, 0.54),), turns=3.1),
    Shape((star_outline(6, 0.5),), turns=3.1),
    Shape((star_outline(4, 0.32),), turns=0.5),
    Shape(
        (star_outline(),),
        dark=tuple(
            poly(f"50,50 {50 + 50 * x},{50 + 50 * y} {50 + 21 * u},{50 + 21 * v}")
            for x, y, u, v in (
                (0, -1, 0.588, -0.809),
                (0.951, -0.309, 0.951, 0.309),
                (0.588, 0.809, 0, 1),
                (-0.588, 0.809, -0.951, 0.309),
                (-0.951, -0.309, -0.588, -0.809),
            )
        ),
        turns=3.1,
    ),
)

HEARTS = (
    Shape((heart_outline(),)),
    Shape((curve("50,24 68,4 94,14 92,44 50,97 50,97 8,44 6,14 32,4 50,24"),), turns=0.4),
    Shape(
        (
            heart_outline(),
            *stroke(5, "4,80 96,18"),
            poly("86,12 102,12 98,28"),
            poly("-2,76 10,88 -2,92"),
        ),
    ),
    Shape(
        (heart_outline(),),
        light=(curve("20,26 32,16 40,20 28,28 24,40 18,40"),),
        turns=0.4,
    ),
)

TRIANGLES = (
    Shape((poly("50,5 97,92 3,92"),), turns=0.3),
    Shape((poly("50,5 98,92 2,92"),), (poly("50,38 72,78 28,78"),), turns=0.3),
    Shape((poly("50,8 100,90 0,90"),), dark=(poly("50,8 100,90 64,90"),), turns=0.1),
    Shape((poly("8,6 96,94 8,94"),), turns=3.1),
)

RINGS = (
    Shape((oval(50, 50, 50),), (oval(50, 50, 26),), turns=3.1),
    Shape((oval(50, 50, 50),), (oval(50, 50, 37),), turns=3.1),
    Shape((oval(50, 50, 50),), (oval(50, 50, 17),), turns=3.1),
    Shape(
        (*hoop(50, 64, 35, 9), poly("36,6 64,6 76,16 50,38 24,16")),
        dark=(poly("24,16 40,16 50,38"), poly("60,16 76,16 50,38")),
        turns=0.4,
    ),
    Shape((oval(50, 50, 50, 33),), (oval(50, 47, 29, 14),), turns=0.5),
)

MOONS = (
    Shape((oval(50, 50, 50),), (oval(72, 42, 42),), turns=0.6),
    Shape((oval(50, 50, 50),), (oval(80, 46, 44),), turns=0.6),
    Shape((oval(50, 50, 50),), (oval(68, 50, 46),), turns=0.6),
    Shape(
        (oval(50, 50, 50),),
        (oval(78, 44, 42),),
        dark=(oval(22, 38, 7), oval(26, 68, 9), oval(50, 88, 5), oval(12, 54, 4)),
        turns=0.6,
    ),
)

SIGN_SHAPES: dict[str, tuple[Shape, ...]] = {
    "ball": BALLS,
    "box": BOXES,
    "star": STARS,
    "heart": HEARTS,
    "triangle": TRIANGLES,
    "ring": RINGS,
    "moon": MOONS,
}
"""Outlines by name: one for each kind."""
