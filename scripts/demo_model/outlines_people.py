"""Outlines of people."""

from __future__ import annotations

from scripts.demo_model.pen import Shape, curve, oval, poly, stroke

PEOPLE = (
    Shape(
        (
            oval(50, 13, 11, 13),
            curve("34,30 50,26 66,30 64,60 50,62 36,60"),
            *stroke(9, "36,33 27,47 24,62"),
            *stroke(9, "64,33 73,47 76,62"),
            *stroke(13, "43,58 41,94", 9),
            *stroke(13, "57,58 59,94", 9),
        ),
        dark=(poly("36,58 64,58 64,76 58,96 52,96 50,70 48,96 42,96 36,76"),),
        turns=0.12,
    ),
    Shape(
        (
            oval(48, 13, 11, 13),
            curve("38,30 50,26 60,32 60,58 50,62 38,58"),
            *stroke(9, "42,34 30,46 22,58", 7),
            *stroke(9, "58,34 68,48 76,56", 7),
            *stroke(13, "46,58 38,76 24,95", 8),
            *stroke(13, "54,58 62,76 76,94", 8),
        ),
        turns=0.12,
    ),
    Shape(
        (
            oval(50, 16, 11, 13),
            curve("36,32 50,29 64,32 62,60 50,63 38,60"),
            *stroke(9, "38,36 24,26 16,6", 7),
            *stroke(9, "62,36 76,26 84,6", 7),
            *stroke(13, "44,60 36,78 30,96", 8),
            *stroke(13, "56,60 64,78 70,96", 8),
        ),
        turns=0.12,
    ),
    Shape(
        (
            oval(50, 13, 10, 12),
            curve("37,8 50,-1 63,8 65,28 58,26 50,20 42,26 35,28"),
            poly("40,28 60,28 57,46 76,78 24,78 43,46"),
            *stroke(8, "41,31 30,46 24,58", 6),
            *stroke(8, "59,31 70,46 76,58", 6),
            *stroke(8, "44,76 44,96", 6),
            *stroke(8, "56,76 56,96", 6),
        ),
        dark=(curve("37,8 50,-1 63,8 65,28 58,12 50,9 42,12 35,28"),),
        turns=0.12,
    ),
)

PEOPLE_SHAPES: dict[str, tuple[Shape, ...]] = {"person": PEOPLE}
"""Outlines by name: one for each pose."""
