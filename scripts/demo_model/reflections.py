"""Metals as mirrors: a body shows the place round it, bent by its slopes and tinted."""

from __future__ import annotations

import cv2
import numpy as np

from scripts.demo_model.noise import Field, Rng, fractal

METALS: dict[str, tuple[float, float, float]] = {
    "gold": (1.0, 0.78, 0.34),
    "silver": (0.96, 0.97, 1.0),
    "copper": (0.98, 0.62, 0.46),
}
"""Reflectance by channel, sRGB."""


def reflect(rng: Rng, metal: str, slope: Field, place: Field) -> Field:
    """Colours `[S, S, 3]` of a metal body with a slope `[S, S, 2]` in a place `[P, P, 3]`.

    The place is spread over the sphere of directions, brighter above than below; the surface is
    a little uneven, and polished or brushed.
    """
    size = len(slope)
    uneven = rng.uniform(0.0, 0.25)
    bumps = [fractal(rng, size, rng.uniform(3, 9), 3) - 0.5 for _ in range(2)]
    x = np.clip(slope[..., 0] + uneven * bumps[0], -0.98, 0.98)
    y = np.clip(slope[..., 1] + uneven * bumps[1], -0.98, 0.98)
    z = np.sqrt(np.clip(1 - x * x - y * y, 0.03, 1))
    # The viewer looks along -z; the mirrored ray is 2 (n · v) n - v.
    right, up, out = 2 * z * x, 2 * z * y, 2 * z * z - 1
    side = len(place)
    column = (np.arctan2(right, out) / (2 * np.pi) + 0.5 + rng.random()) % 1.0 * (side - 1)
    row = np.arccos(np.clip(up, -1, 1)) / np.pi * (side - 1)
    around = cv2.GaussianBlur(place, (0, 0), rng.uniform(0.6, 5.0))
    level = around.mean(-1, keepdims=True)
    around = level + (around - level) * rng.uniform(0.2, 0.7)  # metals tint what they show
    height = np.linspace(1, -1, side, dtype=np.float32)[:, None, None]
    around = (around - around.mean()) * rng.uniform(1.0, 2.2) + rng.uniform(120, 190)
    around = around + height * rng.uniform(20, 90)
    seen = cv2.remap(
        around.astype(np.float32), column.astype(np.float32), row.astype(np.float32),
        cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    tint = np.array(METALS[metal], np.float32) ** rng.uniform(0.85, 1.3)
    seen = np.clip(seen, 8, 255) * tint
    return np.asarray(np.clip(seen, 0, 255), np.float32)
