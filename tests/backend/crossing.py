"""Textured blobs that pass in front of each other before a wall, and the truth about them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from protocol.layers import layers_of

F64 = NDArray[np.float64]

FINE = 3  # samples per pixel side
TEXTURE = 160  # side of a texture in texels
# Per object, front to back: centre and speed (shares of width and height, of the way through the
# clip), half size (share of the height), turn and its speed (radians), colours.
OBJECTS = (
    ((0.30, 0.55), (0.30, -0.03), 0.24, (0.2, 0.35), ((210, 120, 40), (90, 30, 20))),
    ((0.70, 0.42), (-0.32, 0.08), 0.27, (-0.1, -0.4), ((60, 120, 220), (220, 230, 250))),
    ((0.45, 0.20), (0.12, 0.38), 0.22, (0.0, 0.25), ((70, 190, 90), (20, 60, 40))),
)


@dataclass(frozen=True)
class Crossing:
    """A clip of count objects. Pixels are (x, y) with centres at +0.5."""

    count: int
    frames_count: int
    height: int
    width: int
    seed: int = 0

    @property
    def layers(self) -> tuple[str, ...]:
        """Front to back, the background last."""
        return layers_of(self.count)

    def to_layer(self, points: F64, t: float, layer: str) -> F64:
        """Pixels [...,2] at frame t → the layer's own coordinates; an object is in −1..1."""
        centre, turn, half = self._pose(t, layer)
        c, s = np.cos(turn), np.sin(turn)
        away = points - centre
        x, y = away[..., 0], away[..., 1]
        return np.stack([c * x + s * y, c * y - s * x], -1) / half

    def track(self, points: F64, start: int, end: int, layer: str) -> F64:
        """Where points [N,2] on a layer at frame start are at frame end."""
        own = self.to_layer(points, start, layer)
        centre, turn, half = self._pose(end, layer)
        c, s = np.cos(turn), np.sin(turn)
        x, y = own[..., 0] * half, own[..., 1] * half
        return np.stack([c * x - s * y, s * x + c * y], -1) + centre

    def _pose(self, t: float, layer: str) -> tuple[F64, float, float]:
        through = t / max(1, self.frames_count - 1)
        size = np.array([self.width, self.height])
        if layer == "background":
            drift = np.array([0.5 + 0.05 * through, 0.5 - 0.03 * through])
            return drift * size, 0.03 * through, self.width
        centre, speed, half, turn, _ = OBJECTS[self.layers.index(layer)]
        at = (np.array(centre) + np.array(speed) * through) * size
        return at, turn[0] + turn[1] * through, half * self.height

    @cached_property
    def _made(self) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        rng = np.random.default_rng(self.seed)
        textures = [_texture(rng, *one[4]) for one in OBJECTS[: self.count]]
        textures.append(_texture(rng, (150, 140, 120), (60, 70, 75)))
        y = (np.arange(self.height * FINE) + 0.5) / FINE
        x = (np.arange(self.width * FINE) + 0.5) / FINE
        points = np.stack(np.meshgrid(x, y), -1)
        frames, shares = [], []
        for t in range(self.frames_count):
            left = np.ones(points.shape[:2])
            picture = np.zeros((*points.shape[:2], 3))
            own = []
            for layer, texture in zip(self.layers, textures, strict=True):
                at = self.to_layer(points, t, layer)
                inside = (
                    np.ones_like(left)
                    if layer == "background"
                    else ((np.abs(at) ** 3).sum(-1) < 1).astype(float)
                )
                texel = ((at + 1) / 2 * TEXTURE - 0.5).astype(np.float32)
                seen = cv2.remap(texture, texel[..., 0], texel[..., 1], cv2.INTER_LINEAR,
                                 borderMode=cv2.BORDER_REFLECT)  # fmt: skip
                share = left * inside
                picture += share[..., None] * seen
                left = left * (1 - inside)
                own.append(cv2.resize(share, (self.width, self.height),
                                      interpolation=cv2.INTER_AREA))  # fmt: skip
            small = cv2.resize(picture, (self.width, self.height), interpolation=cv2.INTER_AREA)
            frames.append(np.clip(small + 0.5, 0, 255).astype(np.uint8))
            shares.append(np.stack(own))
        return np.stack(frames), np.stack(shares, 1).astype(np.float32)

    @property
    def frames(self) -> NDArray[np.uint8]:
        """[T,H,W,3], sRGB."""
        return self._made[0]

    def share(self, layer: str) -> NDArray[np.float32]:
        """What the frames show of a layer: [T,H,W], 0..1."""
        return self._made[1][self.layers.index(layer)]

    def masks(self, layer: str) -> dict[int, NDArray[np.uint8]]:
        """What is seen of an object as masks: frame → [H,W], 0 or 255."""
        inside = self.share(layer) >= 0.5
        return {t: np.where(one, 255, 0).astype(np.uint8) for t, one in enumerate(inside)}


def _texture(
    rng: np.random.Generator, light: tuple[int, int, int], dark: tuple[int, int, int]
) -> NDArray[np.float32]:
    """Spots of several sizes between two colours: [TEXTURE,TEXTURE,3]."""
    mixed = np.zeros((TEXTURE, TEXTURE), np.float32)
    for cells, weight in ((5, 0.5), (14, 0.8), (36, 0.5)):
        small = rng.normal(size=(cells, cells)).astype(np.float32)
        mixed += weight * cv2.resize(small, (TEXTURE, TEXTURE), interpolation=cv2.INTER_CUBIC)
    share = (1 / (1 + np.exp(-2.0 * mixed)))[..., None]
    return np.asarray(share * np.array(light) + (1 - share) * np.array(dark), np.float32)
