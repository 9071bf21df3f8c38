"""Solid models of living things, about one unit large; animals look along x."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scripts.demo_model.noise import Rng
from scripts.demo_model.solids import (
    Mesh,
    Vec,
    ball,
    both,
    box,
    cone,
    extrude,
    join,
    smooth_outline,
    tube,
)


def eyes(x: float, y: float, z: float, r: float = 0.022) -> Mesh:
    """A dark eye on either side."""
    return both(ball((x, -y, z), r)).toned(0.2, 0.06)


def legs(x: float, y: float, top: float, thick: float, bend: float, dark: float = 1.0) -> Mesh:
    """A pair of legs down to z = 0; `bend` moves the knee along x."""
    leg = tube(
        [(x, -y, top), (x + bend, -y, top * 0.5), (x, -y, top * 0.15), (x, -y, 0.01)],
        [thick * 1.6, thick, thick * 0.8, thick * 0.9],
        7,
    )
    foot = ball((x + thick * 0.5, -y, 0.02), thick * 1.5, thick * 1.1, 0.035).toned(dark)
    return both(join(leg, foot))


def make_cat(rng: Rng) -> Mesh:
    head_r, plump = rng.uniform(0.15, 0.18), rng.uniform(0.9, 1.15)
    if rng.random() < 0.5:  # sitting
        body = tube(
            [(-0.12, 0, 0.16), (-0.04, 0, 0.34), (0.06, 0, 0.52)],
            [0.2 * plump, 0.17 * plump, 0.11],
            12,
        )
        haunch = both(ball((-0.04, -0.13, 0.12), 0.16, 0.08, 0.13))
        front = both(tube([(0.08, -0.07, 0.42), (0.15, -0.07, 0.03), (0.2, -0.07, 0.025)], 0.04, 7))
        tail_end = rng.uniform(0.1, 0.45)
        tail = tube(
            [(-0.26, 0, 0.05), (-0.4, 0, 0.06), (-0.5, 0, 0.16), (-0.5, 0, 0.16 + tail_end)], 0.04
        )
        parts, x, z = [body, haunch, front, tail], 0.1, 0.68
    else:
        high = rng.uniform(0.36, 0.44)
        body = tube(
            [(-0.3, 0, high), (-0.1, 0, high + 0.02), (0.12, 0, high), (0.28, 0, high + 0.04)],
            [0.12, 0.145 * plump, 0.14 * plump, 0.1],
            12,
        )
        tail = tube(
            [(-0.34, 0, high + 0.04), (-0.48, 0, high + 0.1), (-0.56, 0, high + 0.3),
             (-0.52, 0, high + rng.uniform(0.45, 0.55)), (-0.44, 0, high + 0.56)], 0.035,
        )  # fmt: skip
        parts = [body, tail, legs(-0.28, 0.08, high, 0.04, -0.03), legs(0.24, 0.08, high, 0.04, 0)]
        x, z = 0.4, high + 0.2
    ear = tube([(0, 0, 0), (0.0, 0, 0.15)], [0.065, 0.008], 5).turned("x", 0.3)
    turn = rng.uniform(-0.6, 0.1)
    head = join(
        ball((0, 0, 0), head_r, head_r * 1.02, head_r * 0.9),
        ball((head_r * 0.85, 0, -0.045), 0.065, 0.075, 0.05),
        both(ear.moved(0, -head_r * 0.6, head_r * 0.68)),
        eyes(head_r * 0.82, head_r * 0.48, 0.03, 0.03),
        ball((head_r + 0.045, 0, -0.02), 0.018, 0.025, 0.016).toned(0.3, 0.05),
    )
    return join(*parts, head.turned("z", turn).moved(x, 0, z))


def make_dog(rng: Rng) -> Mesh:
    high, long = rng.uniform(0.36, 0.47), rng.uniform(0.28, 0.36)
    body = tube(
        [
            (-long, 0, high),
            (0, 0, high - 0.01),
            (long * 0.7, 0, high + 0.01),
            (long, 0, high + 0.04),
        ],
        [0.12, 0.135, 0.165, 0.12],
        12,
    )
    up = rng.uniform(0.16, 0.28)
    neck = tube([(long * 0.85, 0, high + 0.04), (long + 0.1, 0, high + up)], [0.13, 0.1], 10)
    snout = rng.uniform(0.16, 0.24)
    if rng.random() < 0.65:  # hanging ears
        ear = ball((-0.03, -0.115, -0.04), 0.055, 0.025, 0.12).toned(0.65, 0.06)
    else:
        ear = tube([(-0.04, -0.06, 0.08), (-0.06, -0.08, 0.22)], [0.055, 0.012], 5)
    head = join(
        ball((0, 0, 0), 0.13, 0.115, 0.115),
        tube([(0.06, 0, -0.025), (snout, 0, -0.045)], [0.08, 0.055], 8),
        ball((snout + 0.04, 0, -0.02), 0.03, 0.032, 0.028).toned(0.2, 0.05),
        both(ear),
        eyes(0.1, 0.07, 0.045, 0.024),
    )
    lift = rng.uniform(0.1, 0.3)
    tail = tube(
        [(-long - 0.05, 0, high + 0.04), (-long - 0.16, 0, high + lift * 0.6),
         (-long - 0.2, 0, high + lift + 0.04)], [0.04, 0.03, 0.02],
    )  # fmt: skip
    return join(
        body,
        neck,
        head.turned("z", rng.uniform(-0.5, 0.1)).moved(long + 0.14, 0, high + up + 0.06),
        tail,
        legs(-long * 0.9, 0.085, high, 0.05, -0.04),
        legs(long * 0.8, 0.09, high, 0.05, 0.0),
    )


def make_horse(rng: Rng) -> Mesh:
    high, long = rng.uniform(0.56, 0.64), rng.uniform(0.3, 0.36)
    body = tube(
        [
            (-long, 0, high + 0.01),
            (-0.08, 0, high - 0.02),
            (long * 0.6, 0, high),
            (long, 0, high + 0.02),
        ],
        [0.14, 0.15, 0.15, 0.11],
        12,
    )
    nod = rng.uniform(-0.06, 0.08)
    poll = (long + 0.24, 0.0, high + 0.42 + nod)
    neck = tube(
        [(long * 0.8, 0, high + 0.04), (long + 0.12, 0, high + 0.2), poll], [0.14, 0.095, 0.065], 10
    )
    nose = (poll[0] + 0.2, 0.0, poll[2] - 0.17)
    head = tube(
        [(poll[0] - 0.01, 0, poll[2] + 0.01), (poll[0] + 0.1, 0, poll[2] - 0.07), nose],
        [0.075, 0.072, 0.05],
        10,
    )
    ear = tube(
        [(poll[0] - 0.01, -0.04, poll[2] + 0.06), (poll[0], -0.045, poll[2] + 0.15)],
        [0.03, 0.006],
        5,
    )
    dark = rng.uniform(0.35, 0.65)
    mane = tube(
        [
            (long * 0.72, 0, high + 0.18),
            (long + 0.0, 0, high + 0.3),
            (poll[0] - 0.09, 0, poll[2] + 0.03),
        ],
        [0.05, 0.055, 0.04],
        7,
    )
    swing = rng.uniform(0.1, 0.2)
    tail = tube(
        [
            (-long - 0.1, 0, high + 0.08),
            (-long - swing, 0, high - 0.02),
            (-long - swing - 0.03, 0, high - 0.36),
        ],
        [0.03, 0.05, 0.03],
    )
    step = rng.uniform(-0.06, 0.06)
    return join(
        body,
        neck,
        head,
        both(ear),
        eyes(poll[0] + 0.06, 0.062, poll[2] - 0.015, 0.02),
        mane.toned(dark, 0.03),
        tail.toned(dark),
        legs(-long * 0.95 + step, 0.09, high, 0.042, -0.05, 0.5),
        legs(long * 0.85 - step, 0.09, high, 0.04, 0.01, 0.5),
    )


def make_camel(rng: Rng) -> Mesh:
    high, long = rng.uniform(0.58, 0.64), 0.34
    body = ball((0, 0, high), 0.42, 0.155, 0.17)
    if rng.random() < 0.5:
        humps = [ball((-0.02, 0, high + 0.2), 0.17, 0.11, rng.uniform(0.18, 0.24))]
    else:
        rise = rng.uniform(0.17, 0.23)
        humps = [ball((x, 0, high + 0.17), 0.115, 0.1, rise) for x in (-0.17, 0.15)]
    up = rng.uniform(0.26, 0.36)
    neck = tube(
        [
            (0.32, 0, high + 0.02),
            (0.48, 0, high - 0.08),
            (0.6, 0, high + 0.04),
            (0.64, 0, high + up),
        ],
        [0.11, 0.085, 0.065, 0.055],
        9,
    )
    top = high + up + 0.05
    head = tube(
        [(0.62, 0, top), (0.72, 0, top - 0.01), (0.82, 0, top - 0.06)], [0.07, 0.07, 0.05], 9
    )
    ear = both(ball((0.6, -0.05, top + 0.07), 0.02, 0.02, 0.04))
    tail = tube([(-0.41, 0, high), (-0.46, 0, high - 0.12), (-0.46, 0, high - 0.28)], 0.02, 6)
    return join(
        body,
        *humps,
        neck,
        head,
        ear,
        tail,
        eyes(0.71, 0.06, top + 0.025, 0.018),
        legs(-long * 0.9, 0.09, high, 0.042, -0.04),
        legs(long * 0.8, 0.09, high, 0.042, 0.02),
    )


def make_swan(rng: Rng) -> Mesh:
    tall, wide = rng.uniform(0.5, 0.65), rng.uniform(0.18, 0.24)
    body = ball((0, 0, 0.12), 0.42, wide, 0.19)
    tail = tube([(-0.3, 0, 0.18), (-0.54, 0, rng.uniform(0.26, 0.36))], [0.12, 0.01], 8)
    wing = ball((-0.1, -wide * 0.75, 0.21), 0.32, 0.07, 0.14).turned("y", 0.12).toned(1.08, 0.02)
    s = rng.uniform(0.8, 1.2)
    neck = tube(
        [(0.28, 0, 0.16), (0.4, 0, 0.24), (0.43, 0, 0.34), (0.38 - 0.04 * s, 0, 0.46),
         (0.32 - 0.04 * s, 0, 0.1 + tall * 0.85), (0.34, 0, 0.14 + tall), (0.43, 0, 0.18 + tall)],
        [0.12, 0.085, 0.065, 0.055, 0.05, 0.05, 0.052], 9,
    )  # fmt: skip
    z = 0.17 + tall
    head = ball((0.47, 0, z), 0.085, 0.062, 0.065)
    beak = tube([(0.53, 0, z - 0.01), (0.67, 0, z - 0.06)], [0.036, 0.01], 7)
    knob = ball((0.535, 0, z + 0.025), 0.025).toned(0.25, 0.04)
    return join(
        body, tail, both(wing), neck, head, beak.toned(rng.uniform(0.4, 0.7), 0.02), knob,
        eyes(0.505, 0.052, z + 0.02, 0.016),
    )  # fmt: skip


def make_bird(rng: Rng) -> Mesh:
    plump, lean = rng.uniform(0.17, 0.23), rng.uniform(0.1, 0.6)
    body = ball((0, 0, 0), 0.33, plump * 0.9, plump).turned("y", -lean)
    hx, hz = 0.27 * float(np.cos(lean)), 0.14 + 0.27 * float(np.sin(lean))
    r = rng.uniform(0.12, 0.15)
    head = ball((hx, 0, hz), r)
    beak = tube(
        [(hx + r * 0.85, 0, hz), (hx + r + rng.uniform(0.08, 0.16), 0, hz - 0.02)],
        [0.045, 0.004],
        6,
    )
    fan = np.array([(0.1, 0.04), (0.1, -0.04), (-0.34, -0.08), (-0.34, 0.08)], np.float32)
    tail = extrude(fan, 0.03).turned("x", np.pi / 2).moved(-0.3).turned("y", -lean * 0.8)
    parts = [body, head, beak.toned(0.45), tail.toned(0.8), eyes(hx + r * 0.5, r * 0.8, hz + 0.03)]
    if rng.random() < 0.45:  # flying
        lift = rng.uniform(0.15, 1.0)
        sweep = smooth_outline(
            (0.16, 0), (0.1, 0.35), (-0.08, 0.62), (-0.2, 0.62), (-0.16, 0.3), (-0.16, 0)
        )
        wing = extrude(sweep, 0.03).turned("x", np.pi / 2 - lift)
        wing = wing if float(wing.points[:, 1].mean()) < 0 else wing.mirrored()
        parts.append(both(wing.moved(0, -0.1, 0.08)).toned(0.9))
    else:
        wing = ball((-0.1, -plump * 0.75, 0.01), 0.27, 0.05, 0.12).turned("y", -lean)
        parts.append(both(wing).toned(0.72, 0.03))
        low = -plump - 0.22
        leg = [(0.02, -0.06, -0.1), (0.0, -0.06, low)]
        toes = [(-0.06, -0.06, low), (0.1, -0.06, low)]
        parts.append(both(join(tube(leg, 0.016, 5), tube(toes, 0.016, 5))).toned(0.4, -0.03))
    return join(*parts)


def make_fish(rng: Rng) -> Mesh:
    tall, wide = rng.uniform(0.15, 0.27), rng.uniform(0.07, 0.12)
    body = tube(
        [
            (-0.34, 0, 0),
            (-0.2, 0, 0),
            (0, 0, 0.005),
            (0.18, 0, 0.005),
            (0.32, 0, 0),
            (0.4, 0, -0.01),
        ],
        [0.035, 0.105, 0.19, 0.2, 0.13, 0.05],
        12,
    ).scaled(1, wide / 0.2, tall / 0.2)
    spread = rng.uniform(0.16, 0.26)
    fork = np.array(
        [(-0.3, 0.03), (-0.58, spread), (-0.5, 0), (-0.58, -spread), (-0.3, -0.03)], np.float32
    )
    crest = np.array(
        [(-0.2, tall * 0.5), (0.14, tall * 0.9), (-0.02, tall + 0.12), (-0.2, tall + 0.1)],
        np.float32,
    )
    belly = np.array(
        [(-0.1, -tall * 0.7), (0.06, -tall * 0.8), (-0.12, -tall - 0.1), (-0.16, -tall - 0.08)],
        np.float32,
    )
    side = np.array([(0.08, 0.02), (0.06, -0.06), (-0.12, -0.12), (-0.1, 0.0)], np.float32)
    fins = [extrude(fin, 0.03).toned(0.78) for fin in (fork, crest, belly)]
    flap = both(extrude(side, 0.015, -wide - 0.01).toned(0.7, 0.06))
    z = 0.05
    white = both(ball((0.3, -wide * 0.66, z), 0.042, 0.02, 0.042)).toned(1.4, 0.04)
    return join(body, *fins, flap, white, eyes(0.308, wide * 0.76, z, 0.024))


def make_person(rng: Rng) -> Mesh:
    hip, wide = rng.uniform(0.46, 0.54), rng.uniform(0.12, 0.15)
    neck, head = hip + rng.uniform(0.34, 0.4), rng.uniform(0.085, 0.11)
    skirt = rng.random() < 0.3
    chest = tube(
        [(0, 0, hip), (0, 0, (hip + neck) / 2), (0, 0, neck - 0.07)],
        [wide * 0.9, wide * 0.9, wide * 1.1],
        12,
    ).scaled(1, 0.62, 1)
    step, apart = rng.uniform(0, 0.12), rng.uniform(0.065, 0.11)
    parts = [chest, ball((0, 0, neck + head * 1.15), head * 0.92, head, head * 1.15)]
    parts.append(tube([(0, 0, neck - 0.06), (0, 0, neck + 0.04)], 0.045, 8))
    parts.append(
        ball((0, 0.02, neck + head * 1.4), head, head * 1.02, head * 1.02).toned(0.4, -0.015)
    )
    for side in (-1, 1):
        fore = -side * step
        knee, foot = (side * apart, fore * 0.5, hip * 0.5), (side * apart, fore, 0.04)
        leg = tube([(side * 0.068, 0, hip), knee, foot], [0.075, 0.06, 0.045], 8).toned(0.7)
        shoe = ball((side * apart, fore - 0.03, 0.03), 0.045, 0.085, 0.035).toned(0.35)
        reach, lift = rng.uniform(0.04, 0.16), rng.uniform(-0.05, 0.05)
        high = rng.random() < 0.15
        hand: Vec = (side * (wide + reach + 0.05), side * step, hip + lift)
        if high:
            hand = (side * (wide + 0.15), -0.02, neck + 0.2)
        elbow: Vec = (side * (wide + 0.06 + reach * 0.6), 0.02, hip + 0.16 + 0.12 * high)
        arm = tube([(side * (wide + 0.01), 0, neck - 0.09), elbow, hand], [0.052, 0.042, 0.036], 7)
        parts += [leg, shoe, arm.toned(0.92, 0.02), ball(hand, 0.045)]
    if skirt:
        parts.append(cone(0.24, wide * 0.85, 0.36, 14).moved(0, 0, hip - 0.28).toned(0.8, 0.08))
    elif rng.random() < 0.3:
        parts.append(
            cone(head * 1.6, head * 1.6, 0.02).moved(0, 0, neck + head * 1.75).toned(0.4, 0.05)
        )
        parts.append(cone(head, head * 0.9, 0.1).moved(0, 0, neck + head * 1.75).toned(0.4, 0.06))
    else:
        parts.append(box((0, 0, hip + 0.01), wide * 1.95, wide * 1.2, 0.035).toned(0.4, 0.03))
    return join(*parts)


LIVING_SOLIDS: dict[str, Callable[[Rng], Mesh]] = {
    "swan": make_swan,
    "bird": make_bird,
    "fish": make_fish,
    "cat": make_cat,
    "dog": make_dog,
    "horse": make_horse,
    "person": make_person,
    "camel": make_camel,
}
