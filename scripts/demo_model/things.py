"""Placing things in a picture and shading them as bodies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.demo_model.noise import Field, Rng
from scripts.demo_model.outlines_animals import ANIMAL_SHAPES
from scripts.demo_model.outlines_household import HOUSEHOLD_SHAPES
from scripts.demo_model.outlines_outdoors import OUTDOOR_SHAPES
from scripts.demo_model.outlines_people import PEOPLE_SHAPES
from scripts.demo_model.outlines_signs import SIGN_SHAPES
from scripts.demo_model.outlines_vehicles import VEHICLE_SHAPES
from scripts.demo_model.pen import Outline, Shape

ALL_SHAPES: dict[str, tuple[Shape, ...]] = {
    **SIGN_SHAPES,
    **ANIMAL_SHAPES,
    **PEOPLE_SHAPES,
    **VEHICLE_SHAPES,
    **OUTDOOR_SHAPES,
    **HOUSEHOLD_SHAPES,
}
"""Outlines of every thing."""

THINGS: tuple[str, ...] = (
    "ball",
    "box",
    "star",
    "heart",
    "triangle",
    "ring",
    "moon",
    "swan",
    "bird",
    "fish",
    "cat",
    "dog",
    "horse",
    "car",
    "boat",
    "tree",
    "house",
    "cup",
    "bottle",
    "chair",
    "hat",
    "cake",
    "person",
    "camel",
    "bicycle",
    "flower",
    "umbrella",
    "mushroom",
    "guitar",
)
"""Names of all things, in class order."""


@dataclass(frozen=True)
class Body:
    """A placed thing: float32 maps `[S, S]`; mask 0..1, shade a factor about 1, glint 0..1.

    slope `[S, S, 2]`: the surface's unit normal, its parts to the right and up.
    """

    mask: Field
    shade: Field
    glint: Field
    slope: Field


def fill(outlines: Sequence[Outline], matrix: NDArray[np.float64], size: int) -> Field:
    """Antialiased union of outlines moved by an affine matrix `[2, 3]` into pixels."""
    canvas = np.zeros((size, size), np.uint8)
    for outline in outlines:
        moved = outline @ matrix[:, :2].T + matrix[:, 2]
        cv2.fillPoly(canvas, [np.round(moved * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return np.asarray(canvas / 255, np.float32)


def draw_body(name: str, rng: Rng, size: int, relief: float, smallest: float = 0.42) -> Body:
    """Place a thing at a random scale, tilt, stretch and place, and light it.

    `relief` 0 leaves a flat silhouette, 1 shades it as a round body lit from a random side;
    `smallest` is the least scale, as a share of the picture's side.
    Raises KeyError for unknown things.
    """
    choice = ALL_SHAPES[name]
    shape = choice[int(rng.integers(len(choice)))]
    scale = size * rng.uniform(smallest, 0.95)
    tilt = rng.uniform(-1, 1) * shape.turns
    sx, sy = scale * rng.uniform(0.85, 1.15), scale * rng.uniform(0.85, 1.15)
    if rng.random() < 0.5:
        sx = -sx
    c, s = np.cos(tilt), np.sin(tilt)
    turn = np.array([[c, -s], [s, c]]) @ np.array([[sx, rng.normal(0, 0.06) * scale], [0, sy]])
    slack = max(0.0, size - scale * 0.9) / 2
    centre = size / 2 + rng.uniform(-slack, slack, 2)
    matrix = np.concatenate([turn, (centre - turn @ (0.5, 0.5))[:, None]], 1)

    mask = fill(shape.solid, matrix, size)
    if shape.holes:
        mask = mask * (1 - fill(shape.holes, matrix, size))
    shade = np.ones((size, size), np.float32)
    glint = np.zeros((size, size), np.float32)
    slope = np.zeros((size, size, 2), np.float32)
    if relief > 0:
        inside = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
        deepest = float(inside.max())
        height = np.sqrt(np.clip(1 - (1 - np.minimum(inside / max(deepest, 1), 1)) ** 2, 0, 1))
        height = cv2.GaussianBlur(height * deepest, (0, 0), size / 60)
        dy, dx = np.gradient(height)
        angle = rng.uniform(-np.pi, 0)
        light = np.array([0.65 * np.cos(angle), 0.65 * np.sin(angle), 0.76])
        norm = np.sqrt(dx**2 + dy**2 + 1)
        facing = (-dx * light[0] - dy * light[1] + light[2]) / norm
        shade = (1 - relief + relief * (0.42 + 0.72 * np.clip(facing, 0, 1))).astype(np.float32)
        glint = (relief * np.clip(facing, 0, 1) ** 24).astype(np.float32)
        slope = np.stack([-dx / norm, dy / norm], -1).astype(np.float32)
    if shape.dark:
        shade = shade * (1 - rng.uniform(0.45, 0.8) * fill(shape.dark, matrix, size))
    if shape.light:
        shade = shade * (1 + rng.uniform(0.15, 0.35) * fill(shape.light, matrix, size))
    return Body(mask, np.asarray(shade, np.float32), glint, slope)
