"""Solid models of vehicles, about one unit long; they drive along x."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scripts.demo_model.noise import Rng
from scripts.demo_model.solids import (
    FLAT,
    Mesh,
    Vec,
    ball,
    both,
    box,
    cone,
    extrude,
    flat,
    grid,
    join,
    loft,
    outward,
    paints,
    panel,
    torus,
    tube,
)


def wheel(x: float, y: float, r: float, wide: float) -> Mesh:
    """A dark tyre with a bright hub, its axle along y."""
    tyre = cone(r, r, wide).turned("x", np.pi / 2).moved(x, y + wide / 2, r).toned(0.28)
    hub = cone(r * 0.55, r * 0.45, wide * 0.6).turned("x", np.pi / 2)
    out = -wide * 0.55 if y < 0 else wide * 1.15
    return join(tyre, hub.moved(x, y + out, r).toned(1.1, 0.05)).toned(1, 0.12)


def make_car(rng: Rng) -> Mesh:
    wide, r = rng.uniform(0.42, 0.5), rng.uniform(0.1, 0.125)
    roof = rng.uniform(0.46, 0.56)
    kind = rng.random()
    base, belt = r * 0.8, 0.31
    if kind < 0.5:  # a saloon
        front, hood, back, trunk = 0.18, 0.32, -0.2, -0.36
    elif kind < 0.8:  # a hatchback
        front, hood, back, trunk = 0.16, 0.3, -0.38, -0.45
    else:  # a van
        front, hood, back, trunk = 0.26, 0.38, -0.44, -0.47
        roof += 0.05
    lower = extrude(
        flat(
            (-0.5, base), (0.5, base), (0.52, 0.22), (0.48, 0.27), (hood, belt), (trunk, belt),
            (-0.5, 0.3),
        ),
        wide,
    )  # fmt: skip
    shape = flat((hood, belt), (front, roof), (back, roof), (trunk, belt))
    cabin = loft(shape, [(1, -wide * 0.44), (1, wide * 0.44)]).toned(1.0, 0.02)
    dark = rng.uniform(0.25, 0.45)
    # Side windows, front and rear screens.
    middle = shape.mean(0)
    inner = (shape - middle) * np.array((0.8, 0.68), np.float32) + middle
    gap = (front + back) / 2
    left, right = inner.copy(), inner.copy()
    left[:2, 0], right[2:, 0] = gap - 0.015, gap + 0.015
    panes = [both(extrude(pane, 0.004, -wide * 0.445).toned(dark, 0.12)) for pane in (left, right)]
    screens = loft(
        (shape - middle) * np.array((1.02, 0.75), np.float32) + middle,
        [(1, -wide * 0.37), (1, wide * 0.37)],
    ).toned(dark, 0.06)
    screens = Mesh(screens.points, screens.faces[[0, 2]], screens.paint[[0, 2]])
    wheels = [both(wheel(x, -wide / 2 + 0.03, r, 0.1)) for x in (-0.3, 0.3)]
    lamps = both(ball((0.505, -wide * 0.34, 0.23), 0.02, 0.05, 0.03)).toned(1.4, 0.05)
    return join(lower, cabin, screens, *panes, *wheels, lamps)


def make_boat(rng: Rng) -> Mesh:
    deep = rng.uniform(0.16, 0.24)
    # Rings along x: half width and keel height, pointed at the bow.
    rows: list[list[Vec]] = []
    for x, half, rise in (
        (-0.5, 0.02, 0.02), (-0.5, 0.13, 0.02), (-0.25, 0.18, 0), (0.05, 0.18, 0),
        (0.3, 0.12, 0.01), (0.55, 0.012, 0.06), (0.56, 0.0, 0.06),
    ):  # fmt: skip
        side = ((half, deep + rise), (half * 0.8, deep * 0.4), (half * 0.3, 0.0))
        rake = 0.12 * float(np.sign(x))
        around = [*side, *((-y, z) for y, z in side[::-1])]
        rows.append([(x - rake * (1 - z / deep), y, z) for y, z in around])
    # The hull is the loft of these rings, its deck their upper edge.
    points = np.array(rows, np.float32).reshape(-1, 3)
    faces = grid(len(rows), 6)
    hull = outward(Mesh(points, faces, paints(len(faces), FLAT)))
    deck = hull.paint.copy()
    deck[np.arange(len(deck)) % 6 == 5, 0] = rng.uniform(0.5, 0.75)
    hull = Mesh(hull.points, hull.faces, deck)
    if rng.random() < 0.72:
        tall = rng.uniform(0.75, 1.05)
        mast = tube([(0.02, 0, deep), (0.02, 0, deep + tall)], 0.016, 6).toned(0.6)
        foot = deep + 0.1
        sail = loft(
            flat(
                (0, foot), (-0.46, foot + 0.02), (-0.2, foot + tall * 0.5), (0, foot + tall * 0.9)
            ),
            [(1, -0.012), (1, 0.012)],
        ).toned(1.15, 0.02)
        parts = [hull, mast, sail]
        if rng.random() < 0.65:
            jib = flat((0.06, foot + tall * 0.75), (0.06, foot), (0.5, foot - 0.04))
            parts.append(extrude(jib, 0.02).toned(1.05, 0.02))
        return join(*parts)
    cabin = box((-0.08, 0, deep + 0.1), 0.4, 0.22, 0.2).toned(1, 0.05)
    roof = box((-0.08, 0, deep + 0.21), 0.46, 0.26, 0.03).toned(0.8, 0.08)
    panes = [
        panel((x, 0, deep + 0.12), 0.08, 0.222, 0.08, 2, 3).toned(0.35, 0.12)
        for x in (-0.2, -0.08, 0.04)
    ]
    funnel = cone(0.06, 0.06, 0.24).moved(-0.12, 0, deep + 0.21).toned(0.8, 0.08)
    return join(hull, cabin, roof, *panes, funnel)


def make_bicycle(rng: Rng) -> Mesh:
    r, base, thin = rng.uniform(0.25, 0.29), rng.uniform(0.32, 0.36), rng.uniform(0.018, 0.026)
    parts = []
    for x in (-base, base):
        tyre = torus(r, 0.03, 20, 6).toned(0.4)
        turns = np.arange(3) * np.pi / 3
        spokes = [
            tube([(-r * c, -r * s, 0), (r * c, r * s, 0)], 0.007, 4)
            for c, s in zip(np.cos(turns).tolist(), np.sin(turns).tolist(), strict=True)
        ]
        parts.append(join(tyre, *spokes).turned("x", np.pi / 2).moved(x, 0, r + 0.03))
    hub = r + 0.03
    crank, saddle = (-0.06, 0, hub - 0.03), (-0.16, 0, hub + 0.32)
    steer, rear, front = (base - 0.11, 0, hub + 0.33), (-base, 0, hub), (base, 0, hub)
    bars = [
        (crank, saddle),
        (crank, steer),
        (saddle, steer),
        (rear, crank),
        (rear, saddle),
        (front, steer),
    ]
    parts += [tube(bar, thin, 6).toned(1.1, 0.03) for bar in bars]
    top = (base - 0.14, 0, hub + 0.42)
    parts.append(tube([steer, top], thin, 6))
    high = hub + 0.42
    grip = [(base - 0.02, -0.2, high), (base - 0.12, -0.08, high + 0.01)]
    grip += [(x, -y, z) for x, y, z in grip[::-1]]
    parts.append(tube(grip, 0.02, 6).toned(0.5))
    parts.append(tube([saddle, (-0.175, 0, hub + 0.38)], thin, 6))
    parts.append(ball((-0.18, 0, hub + 0.4), 0.1, 0.06, 0.03).toned(0.4, 0.05))
    parts.append(cone(0.07, 0.07, 0.03).turned("x", np.pi / 2).moved(*crank).toned(0.6, 0.08))
    parts.append(box((0.02, -0.09, hub - 0.1), 0.1, 0.05, 0.025).toned(0.4, 0.05))
    return join(*parts)


VEHICLE_SOLIDS: dict[str, Callable[[Rng], Mesh]] = {
    "car": make_car,
    "boat": make_boat,
    "bicycle": make_bicycle,
}
