"""Draws meshes in perspective under a random camera and light, as bodies to be painted."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.demo_model.noise import Rng
from scripts.demo_model.solids import Mesh, Points, crossed, turn
from scripts.demo_model.solids_living import LIVING_SOLIDS
from scripts.demo_model.solids_models import MADE_SOLIDS
from scripts.demo_model.solids_plants import PLANT_SOLIDS
from scripts.demo_model.solids_vehicles import VEHICLE_SOLIDS
from scripts.demo_model.things import Body

SOLIDS: dict[str, Callable[[Rng], Mesh]] = {
    **MADE_SOLIDS,
    **VEHICLE_SOLIDS,
    **LIVING_SOLIDS,
    **PLANT_SOLIDS,
}
"""The model of every thing, with random proportions."""

Pixels = NDArray[np.int32]

ANY = float(np.pi)
YAWS = {
    "ball": ANY,
    "ring": 0.9,
    "tree": ANY,
    "cup": 0.85,
    "bottle": ANY,
    "chair": ANY,
    "hat": 0.9,
    "cake": ANY,
    "mushroom": ANY,
    "umbrella": ANY,
    "flower": 0.8,
    "person": 0.9,
    "bicycle": 0.6,
}
"""Farthest turn in radians away from the typical side; 0.75 for the others."""
CORNERS = frozenset({"box", "house"})
"""Mostly seen over a corner, any of the four."""
ROLLS = {"guitar": 0.6, "umbrella": 0.5, "fish": 0.3, "bottle": 0.3, "moon": 0.4, "star": 0.3}
"""Farthest tilt in the picture in radians; 0.14 for the others."""

SUPER = 2
"""Each pixel is drawn as this many squared."""


def normals(mesh: Mesh, points: Points) -> tuple[Points, Points]:
    """Unit outward normals and centres of all faces, then all caps."""
    a, b, c, d = (points[mesh.faces[:, i]] for i in range(4))
    normal, centre = crossed(c - a, d - b), (a + b + c + d) / 4
    if mesh.caps:
        loops = [points[cap] for cap in mesh.caps]
        flat = [crossed(p, np.roll(p, -1, 0)).sum(0) for p in loops]
        normal = np.concatenate([normal, np.stack(flat)])
        centre = np.concatenate([centre, np.stack([p.mean(0) for p in loops])])
    length = np.sqrt((normal**2).sum(1, keepdims=True))
    normal /= np.maximum(length, np.float32(1e-9))
    return normal.astype(np.float32), centre.astype(np.float32)


def pose(name: str, rng: Rng, mesh: Mesh) -> tuple[Points, float]:
    """Points before the camera (x right, y away, z up) and the camera's distance."""
    points = mesh.points
    low, high = points.min(0), points.max(0)
    radius = 0.5 * float(np.sqrt(((high - low) ** 2).sum()))
    spread = YAWS.get(name, 0.75)
    angle = rng.uniform(-spread, spread)
    if name in CORNERS:
        angle = (rng.integers(4) + 0.5) * np.pi / 2 + rng.uniform(-0.55, 0.55)
    yaw = turn("z", angle)
    pitch = turn("x", rng.triangular(0.02, 0.28, 0.79))
    roll = turn("y", rng.uniform(-1, 1) * ROLLS.get(name, 0.14))
    points = (points - (low + high) / 2) @ (roll @ pitch @ yaw).T
    return points, radius * rng.uniform(2.0, 6.0)


def draw_solid(name: str, rng: Rng, size: int, smallest: float = 0.42) -> Body:
    """Place a 3-D model of a thing at a random turn, scale and place, and light it.

    `smallest` is the least scale, as a share of the picture's side.
    Raises KeyError for unknown things.
    """
    mesh = SOLIDS[name](rng)
    points, distance = pose(name, rng, mesh)
    normal, centre = normals(mesh, points)
    pixels = _projected(points, distance, rng, size, smallest)
    paint = np.concatenate([mesh.paint, mesh.cap_paint])
    ray = centre + np.array((0, distance, 0), np.float32)
    seen = (normal * ray).sum(1) < 0
    depth = np.sqrt((ray**2).sum(1)) - paint[:, 1]
    faces = _rasterised(mesh, pixels, seen, depth, size)
    lit, shine = _lit(normal, centre, paint, rng)
    return _body(faces, lit, shine, paint, normal, size)


def _projected(points: Points, distance: float, rng: Rng, size: int, smallest: float) -> Pixels:
    """Points on the picture plane, scaled and placed at random, in sixteenths of a sub-pixel."""
    flat = points[:, [0, 2]] / (points[:, 1:2] + np.float32(distance))
    flat *= np.array((1 if rng.random() < 0.5 else -1, -1), np.float32)
    low, high = flat.min(0), flat.max(0)
    side = size * rng.uniform(smallest, 0.95)
    scale = side / float((high - low).max())
    slack = np.maximum(0, size - (high - low) * scale * 0.95) / 2
    place = size / 2 + rng.uniform(-1, 1, 2) * slack
    flat = (flat - (low + high) / 2) * scale + place
    return np.asarray(np.round((flat * SUPER - 0.5) * 16), np.int32)


def _rasterised(
    mesh: Mesh, pixels: Pixels, seen: NDArray[np.bool_], depth: Points, size: int
) -> Pixels:
    """The number of the face at each sub-pixel, from 1; 0 for none. Farthest faces first."""
    count = len(mesh.faces)
    order = np.argsort(-depth)
    quads = pixels[mesh.faces]
    canvas = np.zeros((size * SUPER, size * SUPER), np.int32)
    for i in order[seen[order]].tolist():
        if i < count:
            cv2.fillConvexPoly(canvas, quads[i], i + 1, cv2.LINE_8, 4)
        else:
            cv2.fillPoly(canvas, [pixels[mesh.caps[i - count]]], i + 1, cv2.LINE_8, 4)
    return canvas


def _lit(normal: Points, centre: Points, paint: Points, rng: Rng) -> tuple[Points, Points]:
    """Shade and glint of every face under a random light."""
    aside = rng.choice((-1, 1)) * rng.uniform(0.25, 1.1)
    light = np.array((aside, -rng.uniform(0.25, 0.9), rng.uniform(0.2, 1)), np.float32)
    light /= np.sqrt((light**2).sum())
    half = light + np.array((0, -1, 0), np.float32)
    half /= np.sqrt((half**2).sum())
    ambient = rng.uniform(0.34, 0.48)
    up = centre[:, 2]
    height = (up - up.min()) / max(float(np.ptp(up)), 1e-6)
    lit = ambient * (0.9 + 0.2 * normal[:, 2]) + rng.uniform(0.66, 0.82) * np.clip(
        normal @ light, 0, 1
    )
    lit *= 1 - rng.uniform(0, 0.3) * (1 - height) ** 2
    shine = np.clip(normal @ half, 0, 1) ** 24 * (0.4 + 0.6 * paint[:, 2])
    return lit, shine


def _body(
    faces: Pixels, lit: Points, shine: Points, paint: Points, normal: Points, size: int
) -> Body:
    """Spread the faces' shade, glint and slope over their pixels."""
    soft, tone = paint[:, 2], paint[:, 0]
    table = np.zeros((2, len(lit) + 1, 4), np.float32)
    table[0, 1:] = np.stack([lit * soft, shine * soft, soft, np.ones_like(soft)], 1)
    table[1, 1:] = np.stack([lit * (1 - soft), shine * (1 - soft), tone, np.minimum(tone, 1)], 1)
    first, second = (
        cv2.resize(np.take(t, faces, axis=0), (size, size), interpolation=cv2.INTER_AREA)
        for t in table
    )
    # Facets of round parts melt into one another; the shares of the maps are per picture area.
    blurred = cv2.GaussianBlur(first[..., :3], (0, 0), 0.5 + size / 75)
    melt = first[..., 2] / np.maximum(blurred[..., 2], np.float32(1e-3))
    mask = np.ascontiguousarray(first[..., 3])
    area = np.maximum(mask, np.float32(1e-3))
    shaded = (blurred[..., 0] * melt + second[..., 0]) / area
    shade = np.where(mask > 0, shaded * second[..., 2] / area, np.float32(1))
    glint = (blurred[..., 1] * melt + second[..., 1]) * second[..., 3] / area
    turned = np.zeros((len(lit) + 1, 2), np.float32)
    turned[1:] = normal[:, [0, 2]]
    slope = cv2.resize(np.take(turned, faces, axis=0), (size, size), interpolation=cv2.INTER_AREA)
    slope = (
        cv2.GaussianBlur(slope, (0, 0), 0.5 + size / 75)
        / np.maximum(cv2.GaussianBlur(mask, (0, 0), 0.5 + size / 75), np.float32(1e-3))[..., None]
    )
    return Body(
        np.asarray(mask, np.float32), np.asarray(shade, np.float32), np.asarray(glint, np.float32),
        np.asarray(slope, np.float32),
    )  # fmt: skip
