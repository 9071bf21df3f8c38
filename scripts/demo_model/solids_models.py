"""Solid models of shapes and of things people make, about one unit large."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scripts.demo_model.noise import Rng
from scripts.demo_model.solids import (
    Mesh,
    Points,
    ball,
    box,
    cone,
    extrude,
    flat,
    join,
    lathe,
    loft,
    panel,
    smooth_outline,
    torus,
    tube,
    unit_ball,
)


def puffed(outline: Points, depth: float) -> Mesh:
    """A pillow of an outline."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, 7)
    rings = [(float(max(np.cos(a), 0.02)) ** 0.7, float(np.sin(a)) * depth / 2) for a in angle]
    return loft(outline, rings, smooth=True)


def make_ball(rng: Rng) -> Mesh:
    mesh = unit_ball(28, 18)
    if rng.random() < 0.25:
        band = torus(0.99, 0.05, 28, 6).toned(rng.uniform(0.4, 0.7), 0.12)
        return join(mesh, band).turned("x", rng.uniform(0, 3)).turned("y", rng.uniform(0, 3))
    return mesh


def make_box(rng: Rng) -> Mesh:
    x, y, z = rng.uniform(0.75, 1.25), rng.uniform(0.75, 1.25), rng.uniform(0.7, 1.1)
    mesh = box((0, 0, 0), x, y, z)
    if rng.random() < 0.35:
        # A lid of its own and a tape along it.
        lid = box((0, 0, z / 2 + 0.06), x * 1.06, y * 1.06, 0.14).toned(0.9, 0.1)
        return join(mesh, lid)
    if rng.random() < 0.3:
        tape = panel((0, 0, 0), x * 1.01, y * 0.16, z * 1.01, 0, 1, 4, 5).toned(
            rng.uniform(0.65, 0.85), 0.2
        )
        return join(mesh, tape)
    return mesh


def make_star(rng: Rng) -> Mesh:
    angle = np.arange(10) * np.pi / 5 + np.pi / 2
    radius = np.where(np.arange(10) % 2, rng.uniform(0.38, 0.5), 1.0) * 0.5
    outline = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1).astype(np.float32)
    kind, depth = rng.random(), rng.uniform(0.14, 0.32)
    if kind < 0.4:
        return extrude(outline, depth)
    if kind < 0.7:
        return extrude(outline, depth, bevel=0.14)
    return loft(outline, [(0.0, -depth), (1, 0), (0.0, depth)])


def make_heart(rng: Rng) -> Mesh:
    t = np.linspace(0, 2 * np.pi, 26, endpoint=False)
    z = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    x = 16 * np.sin(t) ** 3 * rng.uniform(0.9, 1.15)
    outline = (np.stack([x, z], -1) / 34).astype(np.float32)
    kind, depth = rng.random(), rng.uniform(0.18, 0.35)
    if kind < 0.3:
        return extrude(outline, depth)
    if kind < 0.55:
        return extrude(outline, depth, bevel=0.14)
    return puffed(outline, depth * 1.5)


def make_triangle(rng: Rng) -> Mesh:
    kind, height = rng.random(), rng.uniform(0.8, 1.3)
    if kind < 0.35:
        return cone(0.72, 0.0, height, 4, flat=True).turned("z", rng.uniform(0, 1.57))
    if kind < 0.5:
        return cone(0.68, 0.0, height, 3, flat=True).turned("z", rng.uniform(0, 2.1))
    if kind < 0.7:
        return cone(0.55, 0.0, height, 18)
    outline = flat((-0.6, 0), (0.6, 0), (rng.uniform(-0.15, 0.15), height))
    return extrude(outline, rng.uniform(0.15, 0.4))


def make_ring(rng: Rng) -> Mesh:
    mesh = torus(0.5, rng.uniform(0.08, 0.2), 24, 10)
    if rng.random() < 0.65:
        return mesh.turned("x", np.pi / 2 + rng.uniform(-0.3, 0.3))
    return mesh.turned("x", rng.uniform(0.2, 0.7))


def make_moon(rng: Rng) -> Mesh:
    if rng.random() < 0.4:
        angle = np.linspace(-1.9, 1.9, 15)
        radii = 0.01 + rng.uniform(0.15, 0.22) * np.cos(angle / 1.9 * np.pi / 2) ** 0.8
        line = [(-0.5 * float(np.cos(a)), 0.0, 0.5 * float(np.sin(a))) for a in angle]
        return tube(line, [float(r) for r in radii], 10).scaled(1, rng.uniform(0.5, 1), 1)
    bite = rng.uniform(0.15, 0.35)
    a = np.linspace(1.25, 2 * np.pi - 1.25, 18)
    outer = np.stack([np.cos(a), np.sin(a)], -1) * 0.5
    tip = outer[0]
    # The inner arc runs through both tips and the point `bite` left of the middle.
    deep = -bite * 0.7
    middle = (tip[0] ** 2 + tip[1] ** 2 - deep**2) / (2 * (tip[0] - deep))
    radius = middle - deep
    reach = np.arctan2(tip[1], tip[0] - middle)
    b = np.linspace(2 * np.pi - reach, reach, 14)[1:-1]
    inner = np.stack([middle + radius * np.cos(b), radius * np.sin(b)], -1)
    outline = np.concatenate([outer, inner]).astype(np.float32)
    return extrude(outline, rng.uniform(0.12, 0.28))


def make_house(rng: Rng) -> Mesh:
    x, y, tall = rng.uniform(0.8, 1.2), rng.uniform(0.65, 0.85), rng.uniform(0.45, 0.7)
    ridge = tall + rng.uniform(0.3, 0.5)
    walls = box((0, 0, tall / 2), x, y, tall)
    eave, out = 0.08, 0.06
    drop = eave * (ridge - tall) / (y / 2)
    gable = flat((-y / 2, tall), (y / 2, tall), (0, ridge))
    gables = extrude(gable, x).turned("z", np.pi / 2).toned(1, 0.02)
    pitched = flat(
        (-y / 2 - eave, tall - drop), (0, ridge), (y / 2 + eave, tall - drop),
        (y / 2 + eave, tall - drop + 0.05), (0, ridge + 0.06), (-y / 2 - eave, tall - drop + 0.05),
    )  # fmt: skip
    roof = extrude(pitched, x + 2 * out).turned("z", np.pi / 2)
    roof = roof.toned(rng.choice([0.5, 0.65, 0.8]), 0.12)
    dark = rng.uniform(0.25, 0.45)
    door = panel((rng.uniform(-0.1, 0.1) * x, -y / 2, 0.17), 0.17, 0.01, 0.34, 2).toned(dark, 0.5)
    parts = [walls, gables, roof, door]
    for place in (-0.33, 0.33):
        window = panel((place * x, -y / 2, tall * 0.6), 0.16, 0.01, 0.17, 2).toned(dark, 0.5)
        parts += [window, window.mirrored()]
    parts.append(panel((0, 0, tall * 0.62), x * 1.01, 0.2, 0.18, 0, 1).toned(dark, 0.5))
    if rng.random() < 0.7:
        cx, cy = rng.uniform(-0.3, 0.3) * x, rng.choice([-1, 1]) * 0.2 * y
        parts.append(box((cx, cy, ridge), 0.12, 0.12, 0.3).toned(0.8, 0.16))
    return join(*parts)


def make_cup(rng: Rng) -> Mesh:
    r, foot, tall = rng.uniform(0.33, 0.42), rng.uniform(0.24, 0.4), rng.uniform(0.6, 0.95)
    wall = 0.035
    outside = [
        (0, 0),
        (foot, 0),
        ((foot * 0.4 + r * 0.6), tall * 0.35),
        (r, tall),
        (r - wall, tall),
    ]
    body = lathe(outside, 18)
    inside = lathe(
        [(r - wall, tall), ((foot * 0.4 + r * 0.6) - wall, tall * 0.4), (0, tall * 0.3)], 18
    )
    drink = lathe([(r - wall - 0.01, tall * 0.86), (0, tall * 0.86)], 18).toned(0.45)
    side = rng.uniform(0.18, 0.26)
    handle = torus(side, 0.045, 16, 7).turned("x", np.pi / 2).scaled(0.85, 1, 1.1)
    handle = handle.moved(r * 0.92, 0, tall * 0.53).toned(0.97, -0.03)
    parts = [handle, inside.toned(0.7, -0.05), body, drink]
    if rng.random() < 0.3:
        parts.append(lathe([(0, 0.0), (0.62, 0.05), (0.62, 0.07), (0, 0.03)], 18).toned(0.95, -0.5))
    return join(*parts)


def make_bottle(rng: Rng) -> Mesh:
    r, neck, tall = rng.uniform(0.15, 0.22), rng.uniform(0.05, 0.075), rng.uniform(0.5, 0.65)
    slope = rng.uniform(0.1, 0.3)
    lip = tall + slope
    profile = [
        (0, 0), (r * 0.92, 0), (r, 0.04), (r, tall * 0.5), (r, tall),
        (r * 0.85, tall + slope * 0.35), (neck * 1.25, tall + slope * 0.8), (neck, lip + 0.04),
        (neck, lip + 0.2), (neck * 1.3, lip + 0.21), (neck * 1.3, lip + 0.26), (0, lip + 0.26),
    ]  # fmt: skip
    body = lathe(profile, 16)
    parts = [body]
    if rng.random() < 0.6:
        parts.append(lathe([(r * 1.01, tall * 0.25), (r * 1.01, tall * 0.8)], 16).toned(1.3, 0.04))
    if rng.random() < 0.6:
        cap = cone(neck * 1.4, neck * 1.4, 0.09, 10).moved(0, 0, tall + slope + 0.2)
        parts.append(cap.toned(0.5, 0.05))
    return join(*parts)


def make_chair(rng: Rng) -> Mesh:
    seat, wide, deep = rng.uniform(0.42, 0.52), rng.uniform(0.42, 0.5), rng.uniform(0.4, 0.5)
    top, leg = seat + rng.uniform(0.45, 0.65), rng.uniform(0.02, 0.032)
    x, y = wide / 2 - leg, deep / 2 - leg
    parts = [
        box((u * x, v * y, seat / 2), 2 * leg, 2 * leg, seat).toned(0.75)
        for u in (-1, 1)
        for v in (-1, 1)
    ]
    parts.append(box((0, 0, seat), wide, deep, 0.06).toned(1.05, 0.05))
    if rng.random() < 0.5:
        back = box((0, y, (seat + 0.12 + top) / 2), wide, 0.05, top - seat - 0.12)
        posts = join(*(box((u * x, y, seat + 0.1), 2 * leg, 2 * leg, 0.2) for u in (-1, 1)))
        parts += [back, posts.toned(0.8)]
    else:
        for u in (-1, 1):
            parts.append(box((u * x, y, (seat + top) / 2), 2 * leg, 2 * leg, top - seat))
        if rng.random() < 0.5:
            for z in (0.4, 0.68, 0.95):
                parts.append(box((0, y, seat + (top - seat) * z), wide - 4 * leg, 0.03, 0.09))
        else:
            parts.append(box((0, y, top - 0.04), wide, 0.045, 0.09).toned(1, 0.02))
            for slat in (-0.5, 0, 0.5):
                parts.append(box((slat * x, y, (seat + top) / 2), 0.035, 0.03, top - seat))
    if rng.random() < 0.25:
        for u in (-1, 1):
            parts.append(box((u * x, 0, seat + 0.22), 0.05, deep, 0.035).toned(1, 0.02))
            parts.append(box((u * x, -y * 0.9, seat + 0.11), 0.035, 0.035, 0.2))
    return join(*parts)


def make_hat(rng: Rng) -> Mesh:
    kind, brim = rng.random(), rng.uniform(0.5, 0.62)
    if kind < 0.4:  # a top hat
        r, tall = rng.uniform(0.3, 0.36), rng.uniform(0.45, 0.65)
        crown = [(r, 0.04), (r * 0.95, tall * 0.5), (r * 1.06, tall), (0, tall)]
    elif kind < 0.75:  # a sun hat or bowler
        r, tall = rng.uniform(0.3, 0.36), rng.uniform(0.26, 0.38)
        crown = [
            (r, 0.04),
            (r * 0.97, tall * 0.5),
            (r * 0.8, tall * 0.85),
            (r * 0.4, tall),
            (0, tall),
        ]
        brim += 0.08
    else:  # a wizard's hat
        r, tall = rng.uniform(0.28, 0.34), rng.uniform(0.75, 1.0)
        crown = [(r, 0.04), (r * 0.62, tall * 0.4), (r * 0.3, tall * 0.72), (0, tall)]
    rim = lathe([(0, 0), (brim * 0.8, 0), (brim, 0.03), (brim, 0.05), (r, 0.04)], 20)
    wide = 1.02
    band = lathe([(r * wide, 0.04), (r * wide, 0.14)], 20).toned(rng.uniform(0.3, 0.55), 0.2)
    return join(rim, lathe(crown, 20).toned(1, 0.04), band)


def make_cake(rng: Rng) -> Mesh:
    tiers = int(rng.integers(1, 4))
    parts: list[Mesh] = []
    z, r = 0.0, 0.5
    if rng.random() < 0.5:
        parts.append(cone(0.62, 0.64, 0.03, 20).moved(0, 0, -0.03).toned(0.85, -0.3))
    for tier in range(tiers):
        tall = rng.uniform(0.2, 0.27) * (1.35 if tiers == 1 else 1.0)
        parts.append(cone(r, r, tall, 20).moved(0, 0, z).toned(0.85, 0.12 * tier))
        icing = lathe([(r * 1.03, z + tall * 0.62), (r * 1.03, z + tall), (0, z + tall + 0.01)], 20)
        parts.append(icing.toned(1.15, 0.03 + 0.12 * tier))
        z, r = z + tall, r * rng.uniform(0.62, 0.72)
    top = r / 0.67
    candles = int(rng.integers(1, 7))
    for i in range(candles):
        a = 2 * np.pi * i / candles
        reach = 0.6 * top if candles > 1 else 0.0
        x, y = reach * float(np.cos(a)), reach * float(np.sin(a))
        stick = cone(0.028, 0.028, 0.17, 6).moved(x, y, z)
        flame = ball((x, y, z + 0.21), 0.025, 0.025, 0.045).toned(1.5)
        parts.append(join(stick.toned(0.65), flame).toned(1, 0.3))
    return join(*parts)


def make_umbrella(rng: Rng) -> Mesh:
    ribs, tall = int(rng.integers(6, 11)), rng.uniform(0.24, 0.38)
    a = np.linspace(0, 1.42, 6)
    outer = [(0.56 * float(np.sin(x) / np.sin(1.42)), tall * float(np.cos(x))) for x in a]
    dome = lathe([(max(r - 0.012, 0), z - 0.02) for r, z in outer] + outer[::-1], ribs, flat=True)
    # Every other gore a little darker, the inside dark.
    strip = np.arange(len(dome.faces))
    paint = dome.paint.copy()
    paint[strip % ribs % 2 == 0, 0] *= rng.choice([1.0, 0.7])
    paint[strip < 5 * ribs, :2] *= 0.55
    dome = Mesh(dome.points, dome.faces, paint)
    low = -rng.uniform(0.5, 0.65)
    hook = [(0.0, 0.0, tall), (0.0, 0.0, low)]
    arc = ((0.6, 0.8), (0, 1), (-0.7, 0.7), (-1, 0))
    bend = [(0.07 - 0.07 * c, 0.0, low - 0.07 * s) for c, s in arc]
    pole = tube(hook, 0.016, 6).toned(0.7, -0.02)
    handle = tube([(0.0, 0.0, low + 0.12), (0.0, 0.0, low), *bend], 0.026, 6).toned(0.45)
    return join(dome, pole, handle, cone(0.016, 0.006, 0.08, 6).moved(0, 0, tall - 0.01))


def make_guitar(rng: Rng) -> Mesh:
    waist, low = rng.uniform(0.12, 0.15), rng.uniform(0.22, 0.25)
    right = [(0.0, 0.62), (0.12, 0.61), (0.18, 0.5), (waist, 0.36), (low, 0.16), (0.15, 0.02)]
    left = [(-x, z) for x, z in right[:0:-1]]
    outline = smooth_outline(*right, (0.0, 0.0), *left)
    body = extrude(np.ascontiguousarray(outline), rng.uniform(0.1, 0.16))
    near = float(body.points[:, 1].min())
    hole = cone(0.075, 0.075, 0.005, 14).turned("x", np.pi / 2).moved(0, near, 0.4)
    bridge = box((0, near - 0.01, 0.16), 0.17, 0.02, 0.03).toned(0.4, 0.2)
    neck = box((0, near, 0.85), 0.055, 0.035, 0.66).toned(0.5, 0.22)
    head = box((0, near + 0.01, 1.25), 0.1, 0.03, 0.16).toned(0.6, 0.2)
    pegs = [box((s * 0.065, near + 0.01, z), 0.04, 0.02, 0.02) for s in (-1, 1) for z in (1.2, 1.3)]
    strings = box((0, near - 0.012, 0.7), 0.03, 0.004, 1.05).toned(1.2, 0.4)
    return join(body, hole.toned(0.2, 0.15), bridge, neck, head, *pegs, strings)


MADE_SOLIDS: dict[str, Callable[[Rng], Mesh]] = {
    "ball": make_ball,
    "box": make_box,
    "star": make_star,
    "heart": make_heart,
    "triangle": make_triangle,
    "ring": make_ring,
    "moon": make_moon,
    "house": make_house,
    "cup": make_cup,
    "bottle": make_bottle,
    "chair": make_chair,
    "hat": make_hat,
    "cake": make_cake,
    "umbrella": make_umbrella,
    "guitar": make_guitar,
}
