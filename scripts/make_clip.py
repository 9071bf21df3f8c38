"""Make the synthetic demo clip, a knitted swan that glides past a brick wall, and its ground truth.

Each pixel's position on its layer is a closed formula, so the ideal decomposition is known exactly:
alpha, layer coordinates, and where any painted point moves.

    python -m scripts.make_clip --out DIR [--frames 30 --height 216 --width 384 --seed 0]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
LayerName = Literal["foreground", "background"]

SUPERSAMPLE = 2  # samples per pixel side, and texels per pixel of the textures
WALL = (1.5, 1.4)  # the wall's width and height, in frame widths and heights
SWAN = 0.98  # side of the swan's square canvas, in frame heights

# Outlines on the unit square, y down, the swan looks left.
BODY = [
    (0.985, 0.395), (0.915, 0.452), (0.840, 0.430), (0.760, 0.388), (0.670, 0.376), (0.580, 0.402),
    (0.500, 0.468), (0.440, 0.532), (0.398, 0.532), (0.374, 0.470), (0.377, 0.385), (0.395, 0.300),
    (0.402, 0.215), (0.376, 0.140), (0.322, 0.100), (0.262, 0.108), (0.222, 0.146), (0.178, 0.182),
    (0.118, 0.222), (0.168, 0.232), (0.226, 0.216), (0.276, 0.200), (0.315, 0.215), (0.326, 0.265),
    (0.313, 0.345), (0.288, 0.430), (0.256, 0.520), (0.230, 0.610), (0.246, 0.700), (0.312, 0.772),
    (0.430, 0.808), (0.590, 0.812), (0.745, 0.772), (0.868, 0.680), (0.945, 0.545),
]  # fmt: skip
WING = [
    (0.400, 0.640), (0.440, 0.555), (0.530, 0.480), (0.640, 0.440), (0.750, 0.445), (0.850, 0.480),
    (0.945, 0.480), (0.905, 0.545), (0.915, 0.575), (0.840, 0.610), (0.835, 0.645), (0.740, 0.672),
    (0.715, 0.710), (0.610, 0.728), (0.500, 0.722), (0.425, 0.696),
]  # fmt: skip
BEAK = [(0.225, 0.120), (0.232, 0.165), (0.222, 0.260), (0.050, 0.300), (0.040, 0.180)]
EYE = (0.282, 0.148)


@dataclass(frozen=True)
class Motion:
    """Positions as formulas of time. Pixels are (x, y), with pixel centres at +0.5.

    Speeds do not depend on the clip's length. Every path is bounded, so long clips stay in view.
    """

    height: int
    width: int
    phase: float

    def to_layer(self, points_xy: F64, t: float, layer: LayerName) -> F64:
        """Pixels [...,2] at frame t → layer coordinates [...,2]; the canvas is the unit square."""
        centre, turn, side = self._pose(t, layer)
        rel = points_xy - centre
        c, s = np.cos(turn), np.sin(turn)
        flat = np.stack([c * rel[..., 0] + s * rel[..., 1], c * rel[..., 1] - s * rel[..., 0]], -1)
        unit = flat / side + 0.5
        return unit + self._bend(unit, t) if layer == "foreground" else unit

    def to_pixel(self, uv: F64, t: float, layer: LayerName) -> F64:
        """Inverse of to_layer. Fixed-point iteration inverts the bend (it contracts ~8×)."""
        unit = uv.copy()
        if layer == "foreground":
            for _ in range(16):
                unit = uv - self._bend(unit, t)
        centre, turn, side = self._pose(t, layer)
        rel = (unit - 0.5) * side
        c, s = np.cos(turn), np.sin(turn)
        return (
            np.stack([c * rel[..., 0] - s * rel[..., 1], c * rel[..., 1] + s * rel[..., 0]], -1)
            + centre
        )

    def _pose(self, t: float, layer: LayerName) -> tuple[F64, float, F64]:
        """Centre in pixels, turn in radians, canvas size in pixels."""
        h, w, k = self.height, self.width, t / 30.0
        if layer == "foreground":
            x = 0.60 - 0.20 * np.sin(1.3 * k)
            y = 0.51 + 0.035 * np.sin(3.1 * k + self.phase)
            side = SWAN * h * (1 + 0.05 * np.sin(1.7 * k))
            turn = 0.07 * np.sin(2.3 * k + 0.6 + self.phase)
            return np.array([x * w, y * h]), turn, np.array([side, side])
        x = 0.5 + 0.13 * np.cos(1.5 * k)
        y = 0.5 + 0.04 * np.sin(2.0 * k + self.phase)
        zoom = 1 + 0.04 * np.sin(1.1 * k)
        turn = 0.02 * np.sin(1.9 * k)
        return np.array([x * w, y * h]), turn, np.array([WALL[0] * w, WALL[1] * h]) * zoom

    def _bend(self, unit: F64, t: float) -> F64:
        """A smooth in-plane bend of the swan: neck and tail sway by up to ~2 % of its size."""
        k = t / 30.0
        x, y = unit[..., 0], unit[..., 1]
        sway = 0.016 * np.sin(4.0 * k + self.phase) * np.cos(2.2 * y + 0.4)
        lift = 0.014 * np.sin(3.0 * k + 1.0) * np.sin(3.6 * x - 1.2)
        wave = 0.004 * np.sin(9.0 * y + 5.0 * k)
        return np.stack([sway + wave, lift], -1)


@dataclass(frozen=True)
class SyntheticClip:
    """The clip and its ground truth.

    frames: uint8 [T,H,W,3] sRGB. alpha: float32 [T,H,W], antialiased 0..1.
    fg_uv, bg_uv: float32 [T,H,W,2], the layer coordinates (x, y) of each pixel centre; the layer's
    canvas is the unit square.
    """

    frames: NDArray[np.uint8]
    alpha: F32
    fg_uv: F32
    bg_uv: F32
    motion: Motion

    def masks(self) -> NDArray[np.uint8]:
        """Hard masks of the swan: uint8 [T,H,W], 0 or 255."""
        return np.where(self.alpha >= 0.5, 255, 0).astype(np.uint8)

    def track(self, points_xy: F64, t0: int, t1: int, layer: LayerName) -> F64:
        """Where points painted on a layer at frame t0 are at frame t1.

        points_xy: [N,2] in pixels, pixel centres at +0.5. Ignores occlusion and the frame's edge.
        Returns float64 [N,2].
        """
        uv = self.motion.to_layer(np.asarray(points_xy, np.float64), t0, layer)
        return self.motion.to_pixel(uv, t1, layer)


def make_clip(
    frames: int = 30,
    height: int = 216,
    width: int = 384,
    seed: int = 0,
    look: Callable[[F32], F32] | None = None,
) -> SyntheticClip:
    """Render the clip. The seed changes the yarn, the bricks and the phase of the motion.

    look: makes another swan of its canvas, premultiplied RGBA [S,S,4]: a perfect edit of the clip.
    """
    rng = np.random.default_rng(seed)
    motion = Motion(height, width, phase=float(rng.uniform(0, 0.8)))
    side = int(SWAN * height * SUPERSAMPLE)
    swan = draw_swan(side, rng)
    if look is not None:
        swan = look(swan)
    wall = draw_wall(int(WALL[1] * height * SUPERSAMPLE), int(WALL[0] * width * SUPERSAMPLE), rng)

    fine = _pixel_grid(height, width, SUPERSAMPLE)
    coarse = _pixel_grid(height, width, 1)
    pictures, alphas, fg_uv, bg_uv = [], [], [], []
    for t in range(frames):
        fg = _sample(swan, motion.to_layer(fine, t, "foreground"), cv2.BORDER_CONSTANT)
        bg = _sample(wall, motion.to_layer(fine, t, "background"), cv2.BORDER_REFLECT)
        both = np.concatenate([fg[..., :3] + (1 - fg[..., 3:]) * bg, fg[..., 3:]], -1)
        both = cv2.resize(both, (width, height), interpolation=cv2.INTER_AREA)
        pictures.append(np.clip(both[..., :3] * 255 + 0.5, 0, 255).astype(np.uint8))
        alphas.append(np.clip(both[..., 3], 0, 1))
        fg_uv.append(motion.to_layer(coarse, t, "foreground").astype(np.float32))
        bg_uv.append(motion.to_layer(coarse, t, "background").astype(np.float32))
    return SyntheticClip(
        np.stack(pictures), np.stack(alphas), np.stack(fg_uv), np.stack(bg_uv), motion
    )


def _pixel_grid(height: int, width: int, per_pixel: int) -> F64:
    """Sample positions [H·k,W·k,2] in pixels."""
    y = (np.arange(height * per_pixel) + 0.5) / per_pixel
    x = (np.arange(width * per_pixel) + 0.5) / per_pixel
    return np.stack(np.meshgrid(x, y), -1)


def _sample(texture: F32, uv: F64, border: int) -> F32:
    """Bilinear lookup of unit-square coordinates."""
    size = np.array([texture.shape[1], texture.shape[0]])
    at = (uv * size - 0.5).astype(np.float32)
    seen = cv2.remap(texture, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=border)
    return np.asarray(seen, np.float32)


def smooth_noise(height: int, width: int, cell: float, rng: np.random.Generator) -> F32:
    """Smooth noise of unit variance with features about `cell` texels wide."""
    small = rng.normal(size=(int(height / cell) + 3, int(width / cell) + 3)).astype(np.float32)
    size = (int(width + 2 * cell), int(height + 2 * cell))
    rough = cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)[:height, :width]
    return np.asarray((rough - rough.mean()) / (rough.std() + 1e-6), np.float32)


def filled_outline(points: list[tuple[float, float]], side: int) -> F32:
    """Antialiased filled closed Catmull-Rom curve on a square canvas, [side,side] 0..1."""
    p = np.array(points)
    a, b, c, d = np.roll(p, 1, 0), p, np.roll(p, -1, 0), np.roll(p, -2, 0)
    s = np.linspace(0, 1, 24, endpoint=False)[:, None, None]
    curve = 0.5 * (
        2 * b + (c - a) * s + (2 * a - 5 * b + 4 * c - d) * s**2 + (3 * b - a - 3 * c + d) * s**3
    )
    curve = curve.transpose(1, 0, 2).reshape(-1, 2)
    big = np.zeros((side * 4, side * 4), np.uint8)
    cv2.fillPoly(big, [np.round(curve * side * 4).astype(np.int32)], 255)
    small = cv2.resize(big, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(255)


def _relief(shape: F32, reach: float) -> F32:
    """Shading of a padded shape, lit from the upper left: about −1..1, 0 where it is flat."""
    height = np.zeros_like(shape)
    for k in (0.35, 0.7, 1.4):
        height += cv2.GaussianBlur(shape, (0, 0), reach * k)
    gy, gx = np.gradient(height)
    slope = np.hypot(gx, gy)
    return np.asarray((0.55 * gx + 0.83 * gy) / (slope + 0.35 * slope.max()), np.float32)


def draw_swan(side: int, rng: np.random.Generator) -> F32:
    """The swan's canvas, premultiplied RGBA float32 [side,side,4]: blue knit, orange beak."""
    body, wing = filled_outline(BODY, side), filled_outline(WING, side)
    beak = body * filled_outline(BEAK, side)
    y, x = np.mgrid[:side, :side].astype(np.float32) / side

    # Stitches are columns of V shapes; heathered yarn and dark flecks keep them from repeating.
    column = x * 34 + 0.4 * smooth_noise(side, side, side / 5, rng)
    across = np.abs(column - np.floor(column) - 0.5) * 2
    row = y * 40 + 0.62 * across + 0.3 * smooth_noise(side, side, side / 5, rng)
    stitch = 0.5 + 0.5 * np.cos(2 * np.pi * row)
    knit = 0.55 * stitch + 0.45 * (1 - across**3)
    heather = 0.6 * smooth_noise(side, side, side / 60, rng) + 0.6 * smooth_noise(
        side, side, side / 18, rng
    )
    flecks = np.clip(smooth_noise(side, side, side / 75, rng) - 1.35, 0, 1)

    deep, bright = np.array([0.01, 0.08, 0.36]), np.array([0.10, 0.45, 0.92])
    mix = np.clip(0.22 + 0.42 * knit + 0.17 * heather, 0, 1)[..., None]
    colour = deep + (bright - deep) * mix
    colour = colour + flecks[..., None] * (np.array([0.55, 0.86, 1.0]) - colour) * 0.85

    light = 1 + 0.42 * _relief(body, side * 0.05) + 0.28 * wing * _relief(wing, side * 0.035)
    seam = np.clip(cv2.GaussianBlur(wing, (0, 0), side * 0.006) * 2 - 1, -1, 1)
    light = light * (1 - 0.45 * np.exp(-((seam / 0.45) ** 2)) * body)
    colour = colour * light[..., None]

    gloss = (
        0.92 + 0.10 * smooth_noise(side, side, side / 22, rng) + 0.35 * _relief(beak, side * 0.015)
    )
    orange = np.array([0.98, 0.55, 0.10]) * gloss[..., None]
    colour = colour + beak[..., None] * (orange - colour)
    away = np.hypot(x - EYE[0], y - EYE[1]) * side
    for radius, tone in ((0.021, 0.92), (0.015, 0.03)):
        disc = np.clip(radius * side - away + 0.5, 0, 1)[..., None]
        colour = colour + disc * (tone - colour)
    away = np.hypot(x - EYE[0] + 0.005, y - EYE[1] + 0.005) * side
    glint = np.clip(0.005 * side - away + 0.5, 0, 1)
    colour = np.clip(colour + glint[..., None] * (1 - colour), 0, 1)
    return np.concatenate([colour * body[..., None], body[..., None]], -1).astype(np.float32)


def draw_wall(height: int, width: int, rng: np.random.Generator) -> F32:
    """The wall, RGB float32 [height,width,3]: bricks that are all different, in rough mortar."""
    rows = 15
    tall = height / rows
    long = tall * 2.35
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x = x + 0.035 * tall * smooth_noise(height, width, tall * 0.6, rng)
    y = y + 0.035 * tall * smooth_noise(height, width, tall * 0.6, rng)
    row = np.clip(np.floor(y / tall), 0, rows - 1).astype(int)
    shift = (0.5 * (np.arange(rows) % 2) + rng.uniform(-0.1, 0.1, rows)).astype(np.float32)
    along = x / long + shift[row] + 1
    column = np.floor(along).astype(int)
    u, v = (along - column) * long, y - row * tall
    joint = 0.085 * tall
    inside = np.minimum(np.minimum(u, long - u), np.minimum(v, tall - v)) - joint
    inside = inside + 0.03 * tall * smooth_noise(height, width, tall * 0.16, rng)
    brick = np.clip(inside / (0.07 * tall) + 0.5, 0, 1)[..., None]

    many = (rows, int(column.max()) + 1)
    tint = rng.uniform(0, 1, many)[row, column][..., None]
    tone = rng.normal(1, 0.16, many)[row, column][..., None]
    clay = np.array([0.62, 0.25, 0.16]) * (1 - tint) + np.array([0.78, 0.47, 0.31]) * tint
    grain = 0.5 * smooth_noise(height, width, tall / 12, rng) + 0.6 * smooth_noise(
        height, width, tall / 4, rng
    )
    pits = np.clip(smooth_noise(height, width, tall / 9, rng) - 1.3, 0, 1)
    face = clay * (tone + (0.09 * grain - 0.45 * pits)[..., None])
    bevel = np.exp(-((inside / (0.09 * tall)) ** 2))
    lit = np.sign((tall / 2 - v) / tall) * bevel * 0.16
    face = face * (1 + lit[..., None])
    sand = 0.70 + 0.07 * smooth_noise(height, width, tall / 10, rng)
    mortar = sand[..., None] * np.array([0.95, 0.92, 0.86])
    weather = 1 + 0.06 * smooth_noise(height, width, height / 3, rng)
    fall = 1.06 - 0.24 * (y / height)
    wall = (mortar + brick * (face - mortar)) * (weather * fall)[..., None]
    return np.asarray(np.clip(wall, 0, 1), np.float32)


def write_clip(clip: SyntheticClip, folder: Path) -> None:
    """Write frames/%05d.png and masks/%05d.png (0 or 255) to a folder."""
    for name in ("frames", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for t, (frame, mask) in enumerate(zip(clip.frames, clip.masks(), strict=True)):
        cv2.imwrite(str(folder / "frames" / f"{t:05d}.png"), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        cv2.imwrite(str(folder / "masks" / f"{t:05d}.png"), mask)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.make_clip", description="Make the synthetic demo clip."
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for frames/ and masks/"
    )
    for name, default, text in (
        ("--frames", 30, "number of frames"),
        ("--height", 216, "height in pixels"),
        ("--width", 384, "width in pixels"),
        ("--seed", 0, "random seed"),
    ):
        parser.add_argument(name, type=int, default=default, help=f"{text} (default: %(default)s)")
    args = parser.parse_args()
    write_clip(make_clip(args.frames, args.height, args.width, args.seed), args.out)
    print(f"{args.frames} frames of {args.width}x{args.height} in {args.out}")


if __name__ == "__main__":
    main()
