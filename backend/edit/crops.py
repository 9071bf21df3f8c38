"""Crops of a clip's frames, and the windows of the atlas that they show.

Shapes: H×W frame, Ha×Wa atlas.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# Smallest side of an atlas or frame crop, pixels: less gives the U-Net nothing to halve.
MIN_CROP = 48
CELL = 4  # side in pixels of the cells whose extents are stored
VISIBLE = 0.05  # opacity above which a pixel shows the layer


# --- windows of pixels ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels: rows top..bottom, columns left..right (end excluded)."""

    top: int
    left: int
    bottom: int
    right: int

    def grown(self, margin: int, height: int, width: int) -> Window:
        """The rectangle with a margin, inside an image height×width."""
        return Window(
            max(0, self.top - margin),
            max(0, self.left - margin),
            min(height, self.bottom + margin),
            min(width, self.right + margin),
        )

    def cut(self, x_BCHW: Tensor) -> Tensor:
        """The rectangle of an image or map [B,C,H,W]."""
        return x_BCHW[..., self.top : self.bottom, self.left : self.right]


def box(visible_HW: Tensor) -> Window:
    """The smallest window around what is visible; the whole if nothing is."""
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
    """Whole pixels around start..end inside 0..limit, at least MIN_CROP if limit allows it."""
    missing = max(0.0, MIN_CROP - (end - start))
    first = min(max(0, int(start - missing / 2)), max(0, limit - MIN_CROP))
    return first, min(limit, max(first + MIN_CROP, int(end + missing / 2) + 1))


# --- extents in the atlas ------------------------------------------------------------------------


@dataclass(frozen=True)
class Extent:
    """A box of atlas coordinates −1..1; empty if its low end exceeds its high end."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def empty(self) -> bool:
        """Whether nothing is in it."""
        return self.left > self.right

    def joined(self, other: Extent) -> Extent:
        """The smallest box around both."""
        return Extent(
            min(self.left, other.left), min(self.top, other.top),
            max(self.right, other.right), max(self.bottom, other.bottom),
        )  # fmt: skip


class Extents:
    """The extent in the atlas of every CELL×CELL cell of every frame.

    Kept on the host, so that finding a crop's extent never waits for a GPU.
    """

    def __init__(self) -> None:
        self._cells: list[Tensor] = []

    def add(self, uv_12HW: Tensor, opacity_11HW: Tensor) -> None:
        """Add the next frame: its UV map −1..1 and the layer's opacity."""
        shown = opacity_11HW > VISIBLE
        both = torch.cat([-uv_12HW, uv_12HW], dim=1)
        highest = torch.where(shown, both, -torch.inf)
        cells = F.max_pool2d(highest, CELL, ceil_mode=True)
        self._cells.append(cells[0].cpu())

    def of(self, t: int, window: Window) -> Extent:
        """The extent of the layer that a window of frame t shows, rounded outwards to cells."""
        rows, columns = (
            slice(window.top // CELL, -(-window.bottom // CELL)),
            slice(window.left // CELL, -(-window.right // CELL)),
        )
        low_u, low_v, high_u, high_v = self._cells[t][:, rows, columns].amax((1, 2)).tolist()
        return Extent(-low_u, -low_v, high_u, high_v)
