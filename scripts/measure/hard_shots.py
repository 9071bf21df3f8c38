"""Shots that lose a mask, each for one reason, with exact masks.

Every shot is drawn: a textured object over a textured background. The mask of a frame is what can
be seen of the object. Shapes: T frames, H×W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.make_clip import draw_swan, draw_wall, filled_outline, smooth_noise

F32 = NDArray[np.float32]
SIZE = (216, 384)
FRAMES = 40
CANVAS = 220
"""Side of an object's canvas, pixels."""
SHUTTER, OPEN = 6, 0.3
"""Samples of the motion in a frame, and the share of a frame's time in which they lie."""
TORSO = [
    (0.22, 0.42),
    (0.45, 0.36),
    (0.72, 0.38),
    (0.84, 0.47),
    (0.8, 0.6),
    (0.5, 0.64),
    (0.25, 0.6),
]
LEG = [(0.47, 0.02), (0.56, 0.03), (0.57, 0.5), (0.55, 0.95), (0.45, 0.96), (0.44, 0.5)]
HEAD = [(0.3, 0.3), (0.55, 0.22), (0.75, 0.35), (0.72, 0.6), (0.45, 0.75), (0.25, 0.55)]


@dataclass(frozen=True)
class Shot:
    """frames: uint8 [T,H,W,3] sRGB. masks: bool [T,H,W], what is seen of the object."""

    name: str
    frames: NDArray[np.uint8]
    masks: NDArray[np.bool_]


@dataclass(frozen=True)
class Placed:
    """A canvas (premultiplied RGBA) in the frame: centre in pixels, scale, turn in radians.

    pivot: the canvas point, 0..1, that lies at the centre.
    """

    canvas: F32
    centre: tuple[float, float]
    scale: float = 1.0
    turn: float = 0.0
    pivot: tuple[float, float] = (0.5, 0.5)

    def drawn(self, shift: tuple[float, float] = (0.0, 0.0)) -> F32:
        """[H,W,4] premultiplied. shift: of the camera, pixels."""
        c, s = self.scale * math.cos(self.turn), self.scale * math.sin(self.turn)
        x, y = (p * side for p, side in zip(self.pivot, self.canvas.shape[1::-1], strict=True))
        matrix = np.array([
            [c, -s, self.centre[0] + shift[0] - c * x + s * y],
            [s, c, self.centre[1] + shift[1] - s * x - c * y],
        ])  # fmt: skip
        return np.asarray(
            cv2.warpAffine(self.canvas, matrix, SIZE[::-1], flags=cv2.INTER_AREA), np.float32
        )


@dataclass(frozen=True)
class Moment:
    """What there is at one time: the object, what is behind it and before it, camera, exposure."""

    object: tuple[Placed, ...]
    behind: tuple[Placed, ...] = ()
    before: tuple[Placed, ...] = ()
    camera: tuple[float, float] = (0.0, 0.0)
    exposure: float = 1.0


@cache
def canvases() -> dict[str, F32]:
    """What the shots are made of: premultiplied RGBA, by name; the wall is opaque."""
    rng = np.random.default_rng(5)
    wall = draw_wall(360, 640, rng)
    swan = draw_swan(CANVAS, rng)
    other = draw_swan(CANVAS, rng)[:, ::-1]
    post = np.clip(0.45 + 0.12 * smooth_noise(400, 60, 8, rng), 0, 1)[..., None]
    post = post * np.array([0.55, 0.6, 0.5])
    return {
        "wall": np.dstack([wall, np.ones(wall.shape[:2])]).astype(np.float32),
        "swan": swan,
        "other": np.ascontiguousarray(other),
        "post": np.dstack([post, np.ones(post.shape[:2])]).astype(np.float32),
        "torso": fur(TORSO, rng),
        "leg": fur(LEG, rng),
        "head": fur(HEAD, rng),
        "ball": ball(rng),
    }


def fur(outline: list[tuple[float, float]], rng: np.random.Generator) -> F32:
    """A spotted brown coat in this outline: premultiplied RGBA [CANVAS,CANVAS,4]."""
    shape = filled_outline(outline, CANVAS)[..., None]
    spots = np.clip(smooth_noise(CANVAS, CANVAS, 14, rng) * 2, 0, 1)[..., None]
    hair = 1 + 0.1 * smooth_noise(CANVAS, CANVAS, 2.5, rng)[..., None]
    colour = np.array([0.72, 0.52, 0.3]) * (1 - spots) + np.array([0.25, 0.14, 0.08]) * spots
    return np.concatenate([np.clip(colour * hair, 0, 1) * shape, shape], -1).astype(np.float32)


def ball(rng: np.random.Generator) -> F32:
    """A white ball with dark patches, lit from above: premultiplied RGBA [CANVAS,CANVAS,4]."""
    y, x = (np.mgrid[:CANVAS, :CANVAS] + 0.5) / CANVAS * 2 - 1
    shape = np.clip((0.96 - np.hypot(x, y)) * CANVAS / 2, 0, 1)[..., None]
    patches = np.clip(smooth_noise(CANVAS, CANVAS, 40, rng) * 4 - 2, 0, 1)[..., None]
    colour = (0.95 - 0.8 * patches) * (0.85 - 0.2 * y)[..., None] * np.ones(3)
    return np.concatenate([np.clip(colour, 0, 1) * shape, shape], -1).astype(np.float32)


# --- the shots: each a function of time in frames ------------------------------------------------


def swan_at(x: float, y: float = 118, scale: float = 0.62, turn: float = 0.0) -> Placed:
    """The swan with its centre there."""
    return Placed(canvases()["swan"], (x, y), scale, turn)


def occluder(t: float) -> Moment:
    """The swan passes behind a post as wide as its neck and half of its body."""
    swan = swan_at(310 - 6.0 * t, 118 + 4 * math.sin(t / 5))
    return Moment((swan,), before=(Placed(canvases()["post"], (190, 108), 0.9),))


def leaves(t: float) -> Moment:
    """The swan leaves the frame, is away for eight frames, and comes back."""
    away = 120 - 300 * math.sin(math.pi * min(1.0, max(0.0, (t - 6) / 28)))
    return Moment((swan_at(away, 118 + 3 * math.sin(t / 4)),))


def look_alike(t: float) -> Moment:
    """A second swan of the same yarn comes within a few pixels of the first."""
    near = 265 - 40 * math.sin(math.pi * t / FRAMES)
    return Moment((swan_at(105 + 1.2 * t, 112),), behind=(
        Placed(canvases()["other"], (near + 20, 122), 0.6),
    ))  # fmt: skip


def flash(t: float) -> Moment:
    """A flash of two frames, and later one of a single frame, while the swan moves on."""
    lit = 3.2 if 12 <= t < 14 or 27 <= t < 28 else 1.0
    return Moment((swan_at(270 - 3.5 * t),), exposure=lit)


def fade(t: float) -> Moment:
    """The light falls to a quarter and comes back."""
    return Moment((swan_at(120 + 3.0 * t),), exposure=0.625 + 0.375 * math.cos(math.tau * t / 39))


def shake(t: float) -> Moment:
    """A camera held by a runner: up to 12 pixels to and fro, with motion blur."""
    x = 9 * math.sin(1.9 * t) + 5 * math.sin(4.3 * t + 1)
    y = 8 * math.sin(2.3 * t + 2) + 4 * math.sin(5.1 * t)
    return Moment((swan_at(200 - 1.0 * t),), camera=(x, y))


def fast(t: float) -> Moment:
    """A small object that moves farther than its own width in a frame."""
    x = 192 + 150 * math.sin(0.22 * t)
    y = 108 + 60 * math.sin(0.31 * t + 1)
    return Moment((Placed(canvases()["ball"], (x, y), 0.14, 0.2 * t),))


def puppet(t: float) -> Moment:
    """A walking animal: four legs swing at their hips, the head nods."""
    x, y, scale = 250 - 3.0 * t, 96.0, 0.75
    torso, leg, head = (canvases()[name] for name in ("torso", "leg", "head"))
    side = CANVAS * scale
    parts = []
    for number, hip in enumerate((-0.2, 0.24, -0.15, 0.29)):
        swing = 0.55 * math.sin(0.55 * t + math.pi * (number % 2) + 0.5 * number)
        at = (x + hip * side, y + 0.07 * side)
        parts.append(Placed(leg, at, 0.36, swing, pivot=(0.5, 0.05)))
    parts.append(Placed(torso, (x, y), scale))
    nod = 0.25 * math.sin(0.4 * t)
    parts.append(Placed(head, (x - 0.24 * side, y - 0.04 * side), 0.36, nod, pivot=(0.75, 0.7)))
    return Moment(tuple(parts))


SHOTS: dict[str, Callable[[float], Moment]] = {
    "occluder": occluder, "leaves": leaves, "look-alike": look_alike, "flash": flash, "fade": fade,
    "shake": shake, "fast": fast, "puppet": puppet,
}  # fmt: skip


def make_shot(name: str) -> Shot:
    """Draw a shot of SHOTS: FRAMES frames of SIZE, the same on every call. Raises KeyError."""
    rng = np.random.default_rng(sum(map(ord, name)))
    frames, masks = [], []
    for t in range(FRAMES):
        image, seen = expose(SHOTS[name], t)
        noisy = image + rng.normal(0, 2 / 255, image.shape)
        frames.append(np.clip(noisy * 255 + 0.5, 0, 255).astype(np.uint8))
        masks.append(seen >= 0.5)
    return Shot(name, np.stack(frames), np.stack(masks))


def expose(moment_at: Callable[[float], Moment], t: int) -> tuple[F32, F32]:
    """The frame [H,W,3] 0..1 and the object's share of every pixel [H,W], over the shutter."""
    image, seen = np.zeros((*SIZE, 3), np.float32), np.zeros(SIZE, np.float32)
    for sample in range(SHUTTER):
        moment = moment_at(t + OPEN * sample / SHUTTER)
        wall = Placed(canvases()["wall"], (192, 108))
        whole, object_seen = wall.drawn(moment.camera)[..., :3], np.zeros(SIZE, np.float32)
        for placed, is_object in (
            *((one, False) for one in moment.behind),
            *((one, True) for one in moment.object),
            *((one, False) for one in moment.before),
        ):
            layer = placed.drawn(moment.camera)
            rest = 1 - layer[..., 3]
            whole = layer[..., :3] + rest[..., None] * whole
            object_seen = object_seen * rest + (layer[..., 3] if is_object else 0)
        image += np.clip(whole * moment_at(t).exposure, 0, 1) / SHUTTER
        seen += object_seen / SHUTTER
    return image, seen
