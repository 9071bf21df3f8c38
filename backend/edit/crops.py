"""Rectangles of pixels: of frames and of the atlas, at random and around what is visible."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Smallest side of an atlas or frame crop, pixels: less gives the U-Net nothing to halve.
MIN_CROP = 48


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels: rows top..bottom, columns left..right (end excluded)."""

    top: int
    left: int
    bottom: int
    right: int

    def grown(self, margin: int, height: int, width: int) -> Window:
        """The rectangle with a margin, inside a picture height×width."""
        return Window(
            max(0, self.top - margin),
            max(0, self.left - margin),
            min(height, self.bottom + margin),
            min(width, self.right + margin),
        )

    def cut(self, x_BCHW: Tensor) -> Tensor:
        """The rectangle of a picture or map [B,C,H,W]."""
        return x_BCHW[..., self.top : self.bottom, self.left : self.right]


def box(visible_HW: Tensor) -> Window:
    """The smallest window around what is visible; the whole where nothing is."""
    rows, columns = visible_HW.any(1).nonzero(), visible_HW.any(0).nonzero()
    if len(rows) == 0:
        return Window(0, 0, *visible_HW.shape)
    return Window(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def crop_span(
    start: int, end: int, keep: float, limit: int, random: torch.Generator
) -> tuple[int, int]:
    """A random part, at least `keep`, of start..end along one side."""
    draw_length, draw_place = torch.rand(2, generator=random).tolist()
    length = (end - start) * (keep + (1 - keep) * draw_length)
    first = start + draw_place * (end - start - length)
    return span(first, first + length, limit)


def span(start: float, end: float, limit: int) -> tuple[int, int]:
    """Whole pixels around start..end inside 0..limit, at least MIN_CROP where there is room."""
    missing = max(0.0, MIN_CROP - (end - start))
    first = min(max(0, int(start - missing / 2)), max(0, limit - MIN_CROP))
    return first, min(limit, max(first + MIN_CROP, int(end + missing / 2) + 1))
