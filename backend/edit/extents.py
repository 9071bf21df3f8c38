"""Which part of the atlas a crop of a frame looks at, known on the host before any GPU is asked."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

CELL = 4  # pixels a side; a crop's part is found to within one
VISIBLE = 0.05  # opacity above which a pixel shows the layer


@dataclass(frozen=True)
class Extent:
    """A box of atlas coordinates −1..1; empty where low exceeds high."""

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
    """Of every frame, in cells of CELL×CELL pixels, the box of what it shows of the layer."""

    def __init__(self) -> None:
        self._cells: list[Tensor] = []

    def add(self, uv_12HW: Tensor, opacity_11HW: Tensor) -> None:
        """The next frame: its map −1..1 and the layer's opacity."""
        shown = opacity_11HW > VISIBLE
        both = torch.cat([-uv_12HW, uv_12HW], dim=1)
        highest = torch.where(shown, both, -torch.inf)
        cells = F.max_pool2d(highest, CELL, ceil_mode=True)
        self._cells.append(cells[0].cpu())

    def of(self, t: int, top: int, left: int, bottom: int, right: int) -> Extent:
        """What the pixels of frame t from top, left to before bottom, right look at."""
        rows, columns = (
            slice(top // CELL, -(-bottom // CELL)),
            slice(left // CELL, -(-right // CELL)),
        )
        low_u, low_v, high_u, high_v = self._cells[t][:, rows, columns].amax((1, 2)).tolist()
        return Extent(-low_u, -low_v, high_u, high_v)
