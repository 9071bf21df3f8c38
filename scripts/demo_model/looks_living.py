"""Living looks: plants and fur.

Each function takes (rng, size) and returns an RGB picture `[S, S, 3]`, float32, 0..255.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from scripts.demo_model.noise import (
    Field,
    Rng,
    cells,
    fractal,
    hue,
    mix,
    ramp,
    rotated,
    smoothstep,
    unit,
)


def grass(rng: Rng, size: int) -> Field:
    """Blades of grass over dark ground."""
    picture = np.full((size, size, 3), (28, 62, 16), np.float32)
    count = int(rng.integers(420, 620))
    xs, ys = rng.uniform(-5, size + 5, (2, count))
    lean, length = rng.normal(0, 6, count), rng.uniform(14, 30, count)
    shade = rng.random(count)
    for x, y, dx, dy, s in zip(xs, np.sort(ys), lean, length, shade, strict=True):
        colour = (20 + 130 * s, 78 + 145 * s, 14 + 40 * s)
        cv2.line(
            picture,
            (int(x), int(y + 8)),
            (int(x + dx), int(y + 8 - dy)),
            colour,
            1 + int(s > 0.35) + int(s > 0.85),
            cv2.LINE_AA,
        )
    return picture


def moss(rng: Rng, size: int) -> Field:
    """Soft clumps of dark and yellow green."""
    near, _, _ = cells(rng, size, int(rng.integers(36, 80)), 0.9)
    tufts = rng.random((size, size), np.float32)
    fuzz = np.asarray(cv2.GaussianBlur(tufts, (0, 0), max(0.6, size / 160)), np.float32)
    lumps = np.clip(1 - near, 0, 1)
    field = np.asarray(1.1 * lumps + 0.5 * unit(fuzz), np.float32)
    return ramp(
        unit(field),
        [(0, (16, 28, 6)), (0.4, (66, 82, 14)), (0.75, (138, 150, 34)), (1, (206, 208, 84))],
    )


def leaves(rng: Rng, size: int) -> Field:
    """Overlapping leaves with midribs, mostly green, sometimes autumn ones."""
    picture = np.full((size, size, 3), (20, 45, 18), np.float32)
    base = 0.31 if rng.random() < 0.75 else 0.07
    for _ in range(int(rng.integers(120, 160))):
        centre = rng.uniform(0, size, 2)
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(20, 36)
        colour = hue(base + rng.normal(0, 0.035), 0.75, rng.uniform(70, 220))
        axis = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-axis[1], axis[0]]) * 0.46
        steps = np.linspace(-1, 1, 7)[:, None]
        width = 1 - steps**2
        outline = np.concatenate(
            [
                centre + length / 2 * (axis * steps + across * width),
                centre + length / 2 * (axis * steps[::-1] - across * width[::-1]),
            ]
        )
        cv2.fillPoly(picture, [outline.astype(np.int32)], colour, cv2.LINE_AA)
        a, b = centre - axis * length / 2, centre + axis * length / 2
        cv2.line(
            picture,
            (int(a[0]), int(a[1])),
            (int(b[0]), int(b[1])),
            tuple(0.5 * c for c in colour),
            1 + int(length > 26),
            cv2.LINE_AA,
        )
    return picture


def flowers(rng: Rng, size: int) -> Field:
    """Blossoms of five to eight petals in bright colours over green."""
    picture = leaves(rng, size) * 0.8 if rng.random() < 0.3 else grass(rng, size) * 0.8
    palette = [
        hue(h, rng.uniform(0.3, 0.9), 250)
        for h in rng.choice([0.0, 0.92, 0.85, 0.78, 0.13, 0.65, 0.97], 3)
    ]
    palette.append((250.0, 250.0, 250.0))
    for _ in range(int(rng.integers(28, 44))):
        cx, cy = rng.uniform(0, size, 2)
        radius, petals, turn = rng.uniform(10, 16), int(rng.integers(5, 8)), rng.uniform(0, 6)
        colour = palette[rng.integers(len(palette))]
        for petal in range(petals):
            a = turn + 2 * np.pi * petal / petals
            spot = (int(cx + 0.62 * radius * np.cos(a)), int(cy + 0.62 * radius * np.sin(a)))
            cv2.ellipse(
                picture,
                spot,
                (int(radius * 0.48), int(radius * 0.3)),
                float(np.degrees(a)),
                0,
                360,
                tuple((0.85 + 0.15 * (petal % 2)) * c for c in colour),
                -1,
                cv2.LINE_AA,
            )
        cv2.circle(
            picture, (int(cx), int(cy)), max(2, int(radius * 0.26)), (245, 200, 40), -1, cv2.LINE_AA
        )
    return picture


def leopard(rng: Rng, size: int) -> Field:
    """Tan fur with broken dark rosettes around brown centres."""
    near, _gap, _ = cells(rng, size, int(rng.integers(30, 64)), 0.5)
    fur = fractal(rng, size, 12, 3, 0.8)
    base = ramp(fur, [(0, (200, 145, 70)), (1, (235, 190, 115))])
    ring = near + 0.3 * (fractal(rng, size, 18, 2) - 0.5)
    base = mix(base, (160, 98, 42), smoothstep(0.26, 0.2, ring))
    dark = (
        smoothstep(0.2, 0.25, ring)
        * smoothstep(0.43, 0.37, ring)
        * smoothstep(0.3, 0.42, fractal(rng, size, 20, 2))
    )
    return mix(base, (32, 20, 12), dark)


def banded(rng: Rng, size: int, count: float, wobble: float, duty: float) -> Field:
    """Mask 0..1 of wavy stripes that taper and fork, as on striped fur."""
    _x, y = rotated(rng, size, 0.5)
    phase = y * count + wobble * fractal(rng, size, 3, 3)
    wave = np.sin(2 * np.pi * phase) + 0.5 * (fractal(rng, size, 6, 3) - 0.5)
    return smoothstep(duty - 0.12, duty + 0.12, wave.astype(np.float32))


def zebra(rng: Rng, size: int) -> Field:
    stripes = banded(rng, size, rng.uniform(4.5, 7), rng.uniform(1.8, 2.8), 0.0)
    stripes = stripes if rng.random() < 0.5 else stripes.T
    return mix((246, 244, 238), (16, 15, 17), stripes)


def tiger(rng: Rng, size: int) -> Field:
    fur = ramp(
        fractal(rng, size, 10, 4, 0.8),
        [(0, (205, 105, 20)), (0.7, (240, 145, 45)), (1, (250, 185, 100))],
    )
    stripes = banded(rng, size, rng.uniform(4.5, 6.5), rng.uniform(1.5, 2.6), 0.4)
    stripes = stripes * smoothstep(0.25, 0.4, fractal(rng, size, 5, 2))
    return mix(fur, (22, 14, 10), stripes if rng.random() < 0.5 else stripes.T)


def giraffe(rng: Rng, size: int) -> Field:
    """Brown polygons parted by cream lines."""
    _, gap, index = cells(rng, size, int(rng.integers(14, 32)), 0.25)
    tone = rng.uniform(0.8, 1.15, 4096).astype(np.float32)[index] * (
        0.85 + 0.3 * fractal(rng, size, 10, 3)
    )
    patches = np.array((158, 92, 38), np.float32) * tone[..., None]
    return mix((240, 218, 170), patches, smoothstep(0.1, 0.2, gap))


LIVING: dict[str, Callable[[Rng, int], Field]] = {
    "grass": grass,
    "moss": moss,
    "leaves": leaves,
    "flowers": flowers,
    "leopard": leopard,
    "zebra": zebra,
    "tiger": tiger,
    "giraffe": giraffe,
}
"""Living looks by name."""
