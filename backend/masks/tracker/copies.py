"""Augmented copies of a key frame: what the head learns the object from.

Half of them move the whole frame; the others move the object over the inpainted background, often
elsewhere, partly hidden or absent. All change colours and sharpness. The idea is Lucid Data
Dreaming's (Khoreva et al., 2019), with simpler moves.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.motion import fields
from backend.motion.flow import F32, grid

WHOLE = 0.5  # share of copies that move the whole frame
ABSENT = 0.12  # of the others: share without the object
ANYWHERE = 0.4  # of those with it: share where it may be anywhere
OCCLUDED = 0.35  # of the others: share with something in front
CELLS = (4, 6)  # of the grid of random bends


@dataclass(frozen=True)
class Example:
    """An image uint8 [h,w,3], the object's share of each pixel and the pixel's weight [h,w]."""

    image: NDArray[np.uint8]
    mask: F32
    weight: F32


@dataclass(frozen=True)
class _Move:
    """A random similarity with bends: log scale, degrees, shift and bends in pixels."""

    scale: float
    turn: float
    shift: tuple[float, float]
    mirrored: bool = False
    bend: float = 0.0
    stretch: float = 0.0

    def map(self, size: tuple[int, int], centre: F32, rng: np.random.Generator) -> F32:
        """Where each pixel comes from: [h,w,2]."""
        a = np.deg2rad(self.turn)
        turned = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
        shape = np.diag([np.exp(-self.scale - self.stretch), np.exp(-self.scale + self.stretch)])
        if self.mirrored:
            shape = np.diag([-1.0, 1.0]) @ shape
        start = np.asarray(centre + np.array(self.shift, np.float32), np.float32)
        at = (grid(size) - start) @ (shape @ turned).T.astype(np.float32)
        if self.bend > 0:
            bends = rng.normal(0, self.bend, (*CELLS, 2)).astype(np.float32)
            at = at + cv2.resize(bends, size[::-1], interpolation=cv2.INTER_CUBIC)
        return np.asarray(at + centre, np.float32)


class Copier:
    """Draws copies of one key frame. hidden: pixels in front of the object, bool [h,w]."""

    def __init__(self, example: Example, rng: np.random.Generator) -> None:
        self.key, self._rng = example, rng
        self._size = example.mask.shape
        self._middle = np.array([self._size[1] / 2, self._size[0] / 2], np.float32)
        inside = example.mask > 0.5
        ys, xs = np.nonzero(inside)
        self._centre = np.array([xs.mean(), ys.mean()], np.float32) if len(xs) else self._middle
        self._side = float(np.sqrt(len(xs)))
        self._background = inpainted(example.image, example.mask) if len(xs) else example.image

    def draw(self) -> Example:
        """One random copy."""
        if self._side < 1 or self._rng.random() < WHOLE:
            image, mask, weight = self._moved_frame()
        else:
            image, mask, weight = self._moved_object()
        return Example(self._regraded(image), np.clip(mask, 0, 1), weight)

    def _between(self, low: float, high: float) -> float:
        return float(self._rng.uniform(low, high))

    def _shift(self, share: float) -> tuple[float, float]:
        h, w = self._size
        return self._between(-share, share) * w, self._between(-share, share) * h

    def _moved_frame(self) -> tuple[F32, F32, F32]:
        move = _Move(
            self._between(-0.25, 0.35), self._between(-12, 12), self._shift(0.15),
            self._rng.random() < 0.25, self._between(0, 0.05) * self._side,
            self._between(-0.1, 0.1),
        )  # fmt: skip
        at = move.map(self._size, self._centre, self._rng)
        mask = _pull(self.key.mask, at, cv2.BORDER_CONSTANT)
        weight = _pull(self.key.weight, at, cv2.BORDER_REFLECT_101)
        return _pull(self.key.image, at), mask, weight

    def _moved_object(self) -> tuple[F32, F32, F32]:
        rng, (h, w) = self._rng, self._size
        image = self._other_background(self._between(-0.05, 0.35), 8, 0.1)
        mask = np.zeros(self._size, np.float32)
        weight = np.ones(self._size, np.float32)
        if rng.random() >= ABSENT:
            shift = self._shift(0.15)
            if rng.random() < ANYWHERE:
                shift = (
                    self._between(0.05, 0.95) * w - float(self._centre[0]),
                    self._between(0.05, 0.95) * h - float(self._centre[1]),
                )
            move = _Move(
                self._between(-0.4, 0.4), self._between(-20, 20), shift, rng.random() < 0.3,
                self._between(0, 0.08) * self._side, self._between(-0.15, 0.15),
            )  # fmt: skip
            at = move.map(self._size, self._centre, rng)
            mask = _pull(self.key.mask, at, cv2.BORDER_CONSTANT)
            own = _pull(self.key.image, at) * np.float32(self._between(0.85, 1.15))
            soft = cv2.GaussianBlur(mask, (0, 0), self._between(0.5, 1.2))[..., None]
            image = image * (1 - soft) + own * soft
        if rng.random() < OCCLUDED and (mask > 0.5).any():
            front = self._occluder(mask)
            image = image * (1 - front[..., None])
            image += self._other_background(self._between(0, 0.5), 30, 0.4) * front[..., None]
            mask = mask * (1 - front)
        return image.astype(np.float32), mask, weight

    def _other_background(self, scale: float, turn: float, shift: float) -> F32:
        """The background without the object, moved."""
        angle = self._between(-turn, turn)
        move = _Move(scale, angle, self._shift(shift), self._rng.random() < 0.3)
        return _pull(self._background, move.map(self._size, self._middle, self._rng))

    def _occluder(self, mask: F32) -> F32:
        """A random soft ellipse over part of the object: 0..1, [h,w]."""
        ys, xs = np.nonzero(mask > 0.5)
        i = int(self._rng.integers(len(xs)))
        axes = (
            int(self._side * self._between(0.15, 0.5)) + 2,
            int(self._side * self._between(0.2, 1.0)) + 2,
        )
        out = np.zeros(self._size, np.float32)
        at = (int(xs[i]), int(ys[i]))
        cv2.ellipse(out, at, axes, self._between(0, 180), 0, 360, 1.0, -1)
        return np.asarray(cv2.GaussianBlur(out, (0, 0), 1), np.float32)

    def _regraded(self, image: F32) -> NDArray[np.uint8]:
        """Random blur, gamma and colour."""
        kind = self._rng.random()
        if kind < 0.25:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), self._between(0.5, 2)), np.float32)
        elif kind < 0.45:
            length = int(self._rng.integers(3, 10))
            streak = np.zeros((length, length), np.float32)
            ends = self._rng.integers(0, length, 2)
            cv2.line(streak, (0, int(ends[0])), (length - 1, int(ends[1])), 1.0, 1)
            image = np.asarray(cv2.filter2D(image, -1, streak / streak.sum()), np.float32)
        graded = 255 * np.power(np.clip(image / 255, 1e-4, 1), self._between(0.75, 1.3))
        graded = graded * self._rng.uniform(0.92, 1.08, 3) + self._between(-12, 12)
        return np.clip(graded, 0, 255).astype(np.uint8)


def _pull(image: F32 | NDArray[np.uint8], at: F32, border: int = cv2.BORDER_REFLECT_101) -> F32:
    out = cv2.remap(image.astype(np.float32), at[..., 0], at[..., 1], cv2.INTER_LINEAR,
                    borderMode=border)  # fmt: skip
    return np.asarray(out, np.float32)


def inpainted(image: NDArray[np.uint8], mask: F32) -> NDArray[np.uint8]:
    """The image with the object's pixels filled from around it, at half size (Telea, 2004)."""
    h, w = mask.shape
    hole = fields.dilate(mask > 0.1, 3)
    half = (w // 2, h // 2)
    small = cv2.resize(image, half, interpolation=cv2.INTER_AREA)
    missing = cv2.resize(hole.astype(np.uint8), half, interpolation=cv2.INTER_NEAREST)
    filled = cv2.resize(cv2.inpaint(small, missing, 4, cv2.INPAINT_TELEA), (w, h))
    return np.where(hole[..., None], filled, image).astype(np.uint8)
