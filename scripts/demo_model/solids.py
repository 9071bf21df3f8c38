"""Meshes put together from a few primitives: x to the right, y away from the viewer, z up.

Faces are quads (a triangle repeats a corner) seen from outside; large flat polygons, perhaps
hollow-sided, are kept whole as caps. Every face carries three numbers, its paint: a tone factor,
a bias that pulls it in front of what it is stuck on, and whether it belongs to a round surface.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]
Faces = NDArray[np.int32]
Vec = tuple[float, float, float]

FLAT, ROUND = (1.0, 0.0, 0.0), (1.0, 0.0, 1.0)


@dataclass(frozen=True)
class Mesh:
    """Points `[N, 3]`, quads `[F, 4]` with paint `[F, 3]`, and caps with paint `[C, 3]`."""

    points: Points
    faces: Faces
    paint: Points
    caps: tuple[Faces, ...] = ()
    cap_paint: Points = field(default_factory=lambda: np.zeros((0, 3), np.float32))

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Mesh:
        return replace(self, points=self.points + np.array((x, y, z), np.float32))

    def scaled(self, x: float, y: float | None = None, z: float | None = None) -> Mesh:
        """Scaled about the origin; one number scales all axes. Factors are positive."""
        by = np.array((x, x if y is None else y, x if z is None else z), np.float32)
        return replace(self, points=self.points * by)

    def turned(self, axis: str, angle: float) -> Mesh:
        """Turned about the axis `x`, `y` or `z` through the origin."""
        return replace(self, points=self.points @ turn(axis, angle).T)

    def toned(self, tone: float = 1.0, bias: float = 0.0) -> Mesh:
        """The tone multiplied, the bias added to."""
        by, to = np.array((tone, 1, 1), np.float32), np.array((0, bias, 0), np.float32)
        return replace(self, paint=self.paint * by + to, cap_paint=self.cap_paint * by + to)

    def mirrored(self) -> Mesh:
        """The mirror image across the plane y = 0."""
        return replace(
            self,
            points=self.points * np.array((1, -1, 1), np.float32),
            faces=self.faces[:, ::-1],
            caps=tuple(cap[::-1] for cap in self.caps),
        )


def turn(axis: str, angle: float) -> Points:
    """A rotation matrix `[3, 3]`."""
    c, s = np.cos(angle), np.sin(angle)
    rows = {
        "x": ((1, 0, 0), (0, c, -s), (0, s, c)),
        "y": ((c, 0, s), (0, 1, 0), (-s, 0, c)),
        "z": ((c, -s, 0), (s, c, 0), (0, 0, 1)),
    }
    return np.array(rows[axis], np.float32)


def join(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0] + [len(m.points) for m in meshes])
    caps = tuple(
        (cap + start).astype(np.int32)
        for m, start in zip(meshes, starts, strict=False)
        for cap in m.caps
    )
    return Mesh(
        np.concatenate([m.points for m in meshes]),
        np.concatenate(
            [m.faces + np.int32(start) for m, start in zip(meshes, starts, strict=False)]
        ),
        np.concatenate([m.paint for m in meshes]),
        caps,
        np.concatenate([m.cap_paint for m in meshes]),
    )


def both(mesh: Mesh) -> Mesh:
    """The mesh and its mirror image across y = 0."""
    return join(mesh, mesh.mirrored())


@lru_cache(maxsize=64)
def grid(rows: int, columns: int, loop: bool = False) -> Faces:
    """Quads of `rows` closed rings of `columns` points; `loop` joins the last ring to the first."""
    last = rows if loop else rows - 1
    r, c = np.meshgrid(np.arange(last), np.arange(columns), indexing="ij")
    below, right = (r + 1) % rows, (c + 1) % columns
    quads = (r * columns + c, r * columns + right, below * columns + right, below * columns + c)
    return np.stack(quads, -1).reshape(-1, 4).astype(np.int32)


@lru_cache(maxsize=64)
def circle(n: int) -> Points:
    angle = np.arange(n) * (2 * np.pi / n)
    return np.stack([np.cos(angle), np.sin(angle)], -1).astype(np.float32)


def paints(count: int, paint: Vec) -> Points:
    return np.tile(np.array(paint, np.float32), (count, 1))


def lathe(profile: Sequence[tuple[float, float]], n: int = 14, flat: bool = False) -> Mesh:
    """A profile of (radius, z), from the lower end up, turned about z; end radii 0 close it."""
    rz = np.array(profile, np.float32)
    ring = circle(n)
    points = np.empty((len(rz), n, 3), np.float32)
    points[..., :2] = ring[None] * rz[:, None, :1]
    points[..., 2] = rz[:, 1:]
    faces = grid(len(rz), n)
    return Mesh(points.reshape(-1, 3), faces, paints(len(faces), FLAT if flat else ROUND))


def cone(low: float, high: float, height: float, n: int = 12, flat: bool = False) -> Mesh:
    """A closed frustum on z = 0; `high` 0 is a cone, equal radii a cylinder."""
    return lathe([(0, 0), (low, 0), (high, height), (0, height)], n, flat)


@lru_cache(maxsize=16)
def unit_ball(n: int, m: int) -> Mesh:
    angle = np.linspace(-np.pi / 2, np.pi / 2, m + 1)
    return lathe([(float(np.cos(a)), float(np.sin(a))) for a in angle], n)


def ball(centre: Vec, rx: float, ry: float | None = None, rz: float | None = None) -> Mesh:
    """An ellipsoid."""
    mesh = unit_ball(8, 5) if rx < 0.06 else unit_ball(12, 8) if rx < 0.25 else unit_ball(20, 13)
    return mesh.scaled(rx, ry, rz).moved(*centre)


@lru_cache(maxsize=1)
def unit_box() -> Mesh:
    corners = [(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return Mesh(np.array(corners, np.float32), np.array(faces, np.int32), paints(6, FLAT))


def box(centre: Vec, x: float, y: float, z: float) -> Mesh:
    """A box of these side lengths about a centre."""
    return unit_box().scaled(x, y, z).moved(*centre)


def panel(centre: Vec, x: float, y: float, z: float, *sides: int) -> Mesh:
    """Only some sides of a box: 0 and 1 across x, 2 and 3 across y, 4 and 5 across z."""
    whole, kept = box(centre, x, y, z), list(sides)
    return replace(whole, faces=whole.faces[kept], paint=whole.paint[kept])


def torus(radius: float, thick: float, n: int = 20, m: int = 8) -> Mesh:
    """A ring lying in the plane z = 0."""
    around, across = circle(n), circle(m)
    reach = radius + thick * across[:, 0]
    points = np.empty((n, m, 3), np.float32)
    points[..., :2] = around[:, None] * reach[None, :, None]
    points[..., 2] = thick * across[:, 1]
    faces = grid(n, m, True)[:, ::-1]
    return outward(Mesh(points.reshape(-1, 3), faces, paints(len(faces), ROUND)))


def tube(path: Sequence[Vec], radii: float | Sequence[float], n: int = 8) -> Mesh:
    """A round-ended tube along a polyline, with one radius or one at each point."""
    line = np.array(path, np.float32)
    r = np.broadcast_to(np.asarray(radii, np.float32), (len(line),))
    along = np.empty_like(line)
    along[1:-1] = line[2:] - line[:-2]
    along[0], along[-1] = line[1] - line[0], line[-1] - line[-2]
    along /= np.sqrt((along**2).sum(1, keepdims=True))
    ref = np.zeros(3, np.float32)
    ref[np.argmin(np.abs(along).sum(0))] = 1
    u = crossed(np.broadcast_to(ref, line.shape), along)
    u /= np.sqrt((u**2).sum(1, keepdims=True))
    v = crossed(along, u)
    head, tail = line[:1] - 0.6 * r[0] * along[:1], line[-1:] + 0.6 * r[-1] * along[-1:]
    line, r = np.concatenate([head, line, tail]), np.concatenate([[0], r, [0]])
    u, v = (np.concatenate([w[:1], w, w[-1:]]) for w in (u, v))
    ring = circle(n)
    points = line[:, None] + r[:, None, None] * (
        ring[:, :1] * u[:, None] + ring[:, 1:] * v[:, None]
    )
    faces = grid(len(line), n)
    return Mesh(points.reshape(-1, 3).astype(np.float32), faces, paints(len(faces), ROUND))


def loft(outline: Points, sections: Sequence[tuple[float, float]], smooth: bool = False) -> Mesh:
    """An outline `[N, 2]` of (x, z) stacked along y: (scale, y) of each section, front to back."""
    count, n = len(sections), len(outline)
    points = np.empty((count, n, 3), np.float32)
    for i, (scale, y) in enumerate(sections):
        points[i, :, 0], points[i, :, 2] = outline[:, 0] * scale, outline[:, 1] * scale
        points[i, :, 1] = y
    faces = grid(count, n)
    whole = np.arange(n, dtype=np.int32)
    caps = []
    if sections[0][0] > 0:
        caps.append(whole[::-1])
    if sections[-1][0] > 0:
        caps.append(whole + np.int32((count - 1) * n))
    paint = paints(len(faces), ROUND if smooth else FLAT)
    mesh = Mesh(points.reshape(-1, 3), faces, paint, tuple(caps), paints(len(caps), FLAT))
    return outward(mesh)


def extrude(outline: Points, depth: float, y: float = 0.0, bevel: float = 0.0) -> Mesh:
    """A slab of an outline (x, z) about y; `bevel` shrinks both faces by that share."""
    near, far = y - depth / 2, y + depth / 2
    if bevel <= 0:
        return loft(outline, [(1, near), (1, far)])
    edge = min(depth / 3, bevel * 0.5)
    rings = [(1 - bevel, near), (1, near + edge), (1, far - edge), (1 - bevel, far)]
    return loft(outline, rings)


def smooth_outline(*points: tuple[float, float]) -> Points:
    """A closed outline through the points (Catmull-Rom), three steps from each to the next."""
    b = np.array(points, np.float32)[:, None]
    a, c, d = np.roll(b, 1, 0), np.roll(b, -1, 0), np.roll(b, -2, 0)
    t = np.array((0, 1 / 3, 2 / 3), np.float32)[None, :, None]
    line = 2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    return np.asarray(0.5 * line.reshape(-1, 2), np.float32)


def flat(*points: tuple[float, float]) -> Points:
    """An outline of straight sides in (x, z)."""
    return np.array(points, np.float32)


def crossed(a: Points, b: Points) -> Points:
    """Cross products along the last axis."""
    out = np.empty(np.broadcast_shapes(a.shape, b.shape), np.float32)
    for i, (j, k) in enumerate(((1, 2), (2, 0), (0, 1))):
        out[..., i] = a[..., j] * b[..., k] - a[..., k] * b[..., j]
    return out


def outward(mesh: Mesh) -> Mesh:
    """The closed mesh with its faces turned to the outside."""
    a, b, c, d = (mesh.points[mesh.faces[:, i]] for i in range(4))
    volume = float((crossed(c - a, d - b) * (a + c)).sum())
    for cap in mesh.caps:
        p = mesh.points[cap]
        area = crossed(p, np.roll(p, -1, 0)).sum(0)
        volume += 2 * float(area @ p[0])
    if volume >= 0:
        return mesh
    return replace(mesh, faces=mesh.faces[:, ::-1], caps=tuple(cap[::-1] for cap in mesh.caps))
