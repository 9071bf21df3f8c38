"""Uniform cubic B-splines, evaluated on whole grids as small dense products."""

from __future__ import annotations

import torch
from torch import Tensor


def basis(x: Tensor, cells: int) -> Tensor:
    """Weights of the knots at positions.

    x: [...], in cells, 0..cells, clamped. Returns [..., cells+3]; rows are ≥ 0 and sum to 1.
    """
    x = x.clamp(0, cells)
    first = x.floor().clamp(max=cells - 1)
    f = x - first
    near = torch.stack(
        [
            (1 - f) ** 3 / 6,
            (3 * f**3 - 6 * f**2 + 4) / 6,
            (-3 * f**3 + 3 * f**2 + 3 * f + 1) / 6,
            f**3 / 6,
        ],
        -1,
    )
    at = first.long()[..., None] + torch.arange(4, device=x.device)
    return x.new_zeros(*x.shape, cells + 3).scatter(-1, at, near)


def surface(knots: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Tensor-product spline on a grid.

    knots: [B,C,Ky,Kx]; rows: basis at the grid's rows [H,Ky] or [B,H,Ky]; columns likewise
    [W,Kx] or [B,W,Kx]. Returns [B,C,H,W].
    """
    if rows.dim() == 3:
        rows, columns = rows[:, None], columns[:, None]
    return rows @ knots @ columns.transpose(-1, -2)


def time_cells(frames: int, every: int) -> int:
    """Cells of a temporal spline with a knot every `every` frames."""
    return max(1, -(-(frames - 1) // every))
