"""Airy and clear looks: frost, smoke, fog and glass.

Each function takes (rng, size) and returns an RGB picture `[S, S, 3]`, float32, 0..255. Lengths
are shares of the side, so that a texture looks the same at every size.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from scripts.demo_model.noise import (
    Colour,
    Field,
    Rng,
    coordinates,
    fractal,
    mix,
    ramp,
    rotated,
    smoothstep,
)


def spine(canvas: Field, start: Field, angle: float, length: float, width: int) -> None:
    """One fern of frost in place: a straight needle with side needles at sixty degrees."""
    axis = np.array([np.cos(angle), np.sin(angle)], np.float32)
    end = start + axis * length
    step, reach = max(4.0, 0.05 * len(canvas)), 0.42 * length
    for place in np.arange(step, length, step):
        root = start + axis * place
        for side in (-1, 1):
            turn = angle + side * np.pi / 3
            tip = root + np.array([np.cos(turn), np.sin(turn)], np.float32) * reach * (
                1 - place / length
            )
            line(canvas, root, tip, max(1, width - 1))
    line(canvas, start, end, width)


def line(canvas: Field, a: Field, b: Field, width: int) -> None:
    """A white line in place, with ends to a sixteenth of a pixel."""
    p, q = (np.round(a * 16).astype(int), np.round(b * 16).astype(int))
    cv2.line(canvas, (int(p[0]), int(p[1])), (int(q[0]), int(q[1])), (1.0,), width, cv2.LINE_AA, 4)


def frost(rng: Rng, size: int) -> Field:
    """White ferns of ice needles grown over a cold blue-grey pane."""
    canvas = np.zeros((size, size), np.uint8)
    width = max(1, round(size / 64))
    needles = np.zeros((size, size), np.float32)
    for place in range(16):
        spot = (np.array([place % 4, place // 4]) + rng.uniform(0.1, 0.9, 2)) * size / 4
        at = spot.astype(np.float32)
        first = rng.uniform(0, 2 * np.pi)
        for arm in range(int(rng.integers(2, 5))):
            grown = np.zeros_like(canvas, np.float32)
            angle = first + arm * np.pi / 3 * int(rng.integers(1, 3))
            spine(grown, at, angle, rng.uniform(0.25, 0.42) * size, width)
            needles = np.maximum(needles, grown)
    pane = ramp(fractal(rng, size, 3, 3), [(0, (58, 80, 112)), (1, (112, 136, 166))])
    haze = cv2.GaussianBlur(needles, (0, 0), size / 45)
    return mix(mix(pane, (190, 212, 235), haze * 0.7), (250, 253, 255), np.clip(needles, 0, 1))


def smoke(rng: Rng, size: int) -> Field:
    """Charcoal air with paler grey wisps that rise and curl."""
    x, y = coordinates(size)
    for _ in range(9):
        cx, cy, radius = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.12, 0.24)
        turn = rng.choice([-1, 1]) * rng.uniform(2.5, 4.5)
        dx, dy = x - np.float32(cx), y - np.float32(cy)
        a = turn * np.exp(-(dx**2 + dy**2) / radius**2)
        x = np.asarray(cx + np.cos(a) * dx - np.sin(a) * dy, np.float32)
        y = np.asarray(cy + np.sin(a) * dx + np.cos(a) * dy, np.float32)
    wander = 0.5 * fractal(rng, size, 3, 3)
    wisps = 0.5 + 0.5 * np.sin(2 * np.pi * (rng.uniform(3.2, 4.6) * x + wander + 0.5 * y))
    thick = 0.55 + 0.45 * fractal(rng, size, 3, 4)
    field = np.clip(wisps**1.4 * thick, 0, 1).astype(np.float32)
    field = np.asarray(cv2.GaussianBlur(field, (0, 0), size / 110), np.float32)
    warm = rng.uniform(-4, 4)
    return ramp(
        field,
        [(0, (22, 22, 25)), (0.45, (72 + warm, 72, 75)), (1, (158 + warm, 156, 158 - warm))],
    )


def fog(rng: Rng, size: int) -> Field:
    """A pale veil: banks of mist one above the other, each fading softly downwards."""
    _, y = rotated(rng, size, 0.12)
    billow = fractal(rng, size, 4, 3, 0.4, stretch=1.6)
    depth = y * rng.uniform(4.4, 5.8) + 0.75 * billow + rng.random()
    along = (depth % 1).astype(np.float32)
    bank = smoothstep(0.0, 0.16, along) * (1 - smoothstep(0.16, 1.0, along))
    bank = np.asarray(cv2.GaussianBlur(bank, (0, 0), size / 70), np.float32)
    tint = rng.uniform(-3, 3)
    return ramp(
        bank,
        [(0, (158 + tint, 172, 182)), (0.5, (200 + tint, 208, 213)), (1, (232, 237, 240))],
    )


def glass(rng: Rng, size: int) -> Field:
    """Clear pale green glass: sharp white reflections, bright-rimmed bubbles, dark green edges."""
    x, y = rotated(rng, size, 0.3)
    light = fractal(rng, size, 2.5, 2)
    green = rng.uniform(-6, 6)
    picture = ramp(
        light,
        [(0, (118, 186 + green, 168)), (0.5, (164, 216 + green, 200)), (1, (205, 240, 228))],
    )
    # Refraction: a wavy dark green edge with a bright one beside it.
    bend = (0.8 * fractal(rng, size, 2.5, 2) + rng.uniform(1.6, 2.4) * (x - y)) % 1
    edge = np.asarray(bend, np.float32)
    picture = mix(picture, (40, 118, 100), 0.8 * smoothstep(0.07, 0.03, np.abs(edge - 0.12)))
    picture = mix(picture, (240, 255, 250), smoothstep(0.05, 0.02, np.abs(edge - 0.21)))
    # The window's reflection: a broad and a narrow slanted streak with hard borders.
    across = ((x + 0.7 * y) * rng.uniform(1.6, 2.2) + rng.random()) % 1
    for middle, half in ((0.3, 0.13), (0.52, 0.04)):
        streak = smoothstep(half + 0.015, half - 0.015, np.abs(across - middle).astype(np.float32))
        picture = mix(picture, (246, 255, 252), streak * 0.8)
    for _ in range(int(rng.integers(6, 10))):
        bubble(rng, picture, (60, 140, 122))
    return picture


def bubble(rng: Rng, picture: Field, rim: Colour) -> None:
    """A bubble in place: a dark rim, a clear inside and a white crescent."""
    size = len(picture)
    centre = (int(rng.integers(size)), int(rng.integers(size)))
    radius = int(rng.uniform(0.035, 0.08) * size)
    width = max(1, size // 70)
    cv2.circle(picture, centre, radius, (196, 238, 224), -1, cv2.LINE_AA)
    cv2.circle(picture, centre, radius, rim, width, cv2.LINE_AA)
    inner = (max(1, radius * 2 // 3), max(1, radius * 2 // 3))
    cv2.ellipse(picture, centre, inner, 0, 190, 290, (255, 255, 255), width + 1, cv2.LINE_AA)


AIRY: dict[str, Callable[[Rng, int], Field]] = {
    "frost": frost,
    "smoke": smoke,
    "fog": fog,
    "glass": glass,
}
"""Airy and clear looks by name."""
