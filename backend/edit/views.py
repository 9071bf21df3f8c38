"""Random views of a picture, drawn once and applied to many: batched, differentiable.

A view maps each of its own points back into the picture (a 3×3 homography in −1..1 coordinates of
grid_sample, align_corners=False) and then changes colours. The same draw is used for source and
output, so their embeddings differ by the edit alone.

Shapes: B pictures, V views, C=3 channels, H×W picture, S view's side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.edit.config import ViewConfig
from backend.edit.transfer import constant, send

LUMINANCE = (0.299, 0.587, 0.114)
# A crop keeps the picture's shape, up to this ratio of its sides: squeezed further into the square
# view, objects would no longer look like themselves.
MAX_ASPECT = 1.45
# YIQ: in its I-Q plane a turn by an angle turns the hue.
_YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


@dataclass(frozen=True)
class Views:
    """A draw. homography [V,3,3]: view point → picture point. colour [V,3,3], contrast [V]."""

    homography: Tensor
    colour: Tensor
    contrast: Tensor
    fill: float

    def __len__(self) -> int:
        return len(self.homography)

    def some(self, first: int, last: int) -> Views:
        """Views first..last−1."""
        if last - first == len(self):
            return self
        part = slice(first, last)
        return Views(self.homography[part], self.colour[part], self.contrast[part], self.fill)


def draw_views(config: ViewConfig, height: int, width: int, generator: torch.Generator) -> Views:
    """Draw `config.count` views of pictures height×width; the first shows the whole picture."""
    homographies, colours, contrasts = [], [], []
    for index in range(config.count):
        matrix = torch.eye(3) if index == 0 else _crop(config, height, width, generator)
        if _happens(config.flip, generator):
            matrix = matrix @ torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
        if _happens(config.affine, generator):
            angle = math.radians(config.degrees) * _signed(generator)
            shift = [2 * config.translate * _signed(generator) for _ in range(2)]
            matrix = matrix @ affine(angle, shift[0], shift[1])
        if _happens(config.perspective, generator):
            inward = torch.rand(4, 2, generator=generator) * config.distortion
            matrix = matrix @ perspective(inward)
        homographies.append(matrix)
        colour, contrast = torch.eye(3), 1.0
        if _happens(config.jitter, generator):
            colour, contrast = jitter(config.jitter_strength, generator)
        if _happens(config.grey, generator):
            colour = torch.tensor([LUMINANCE] * 3) @ colour
        colours.append(colour)
        contrasts.append(contrast)
    return Views(
        torch.stack(homographies), torch.stack(colours), torch.tensor(contrasts), config.fill
    )


def apply_views(views: Views, x_BCHW: Tensor, side: int) -> Tensor:
    """All views of all pictures, [V·B,C,S,S], view-major. x: 0..1; differentiable in x."""
    count, batch = len(views.homography), len(x_BCHW)
    # grid_sample does not average: bring the picture to the views' resolution first.
    factor = side / 0.8 / min(x_BCHW.shape[-2:])
    if factor < 1:
        size = [max(side, round(n * factor)) for n in x_BCHW.shape[-2:]]
        x_BCHW = F.interpolate(x_BCHW, size, mode="bilinear", antialias=True, align_corners=False)
    device = x_BCHW.device
    grid_VSS2 = homography_grid(send(views.homography, device), side, side)
    tiled = x_BCHW[None].expand(count, -1, -1, -1, -1).flatten(0, 1)
    grids = grid_VSS2.repeat_interleave(batch, dim=0)
    seen = F.grid_sample(tiled, grids, padding_mode="border", align_corners=False)
    inside = (grids.abs() <= 1).all(dim=-1)[:, None]
    seen = torch.where(inside, seen, views.fill)
    colour = send(views.colour, device).repeat_interleave(batch, dim=0)
    contrast = send(views.contrast, device).repeat_interleave(batch).reshape(-1, 1, 1, 1)
    return apply_colour(seen, colour, contrast)


def apply_colour(x_BCHW: Tensor, colour_B33: Tensor, contrast_B111: Tensor) -> Tensor:
    """Contrast around the mean luminance, then a linear map of RGB, clamped to 0..1."""
    weights = constant(LUMINANCE, x_BCHW.device).reshape(1, 3, 1, 1)
    mean_B111 = (x_BCHW * weights).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    x_BCHW = mean_B111 + (x_BCHW - mean_B111) * contrast_B111
    return torch.einsum("brc,bchw->brhw", colour_B33, x_BCHW).clamp(0, 1)


def homography_grid(matrix_V33: Tensor, height: int, width: int) -> Tensor:
    """Sampling grid of homographies for views height×width, [V,H,W,2], for F.grid_sample."""
    device = matrix_V33.device
    x_W = (torch.arange(width, device=device) * 2 + 1) / width - 1
    y_H = (torch.arange(height, device=device) * 2 + 1) / height - 1
    ones_HW = torch.ones(height, width, device=device)
    points_HW3 = torch.stack([x_W * ones_HW, y_H[:, None] * ones_HW, ones_HW], dim=-1)
    mapped_VHW3 = torch.einsum("vij,hwj->vhwi", matrix_V33, points_HW3)
    return mapped_VHW3[..., :2] / mapped_VHW3[..., 2:]


def crop_matrix(left: float, top: float, width: float, height: float) -> Tensor:
    """View of a crop whose corner and size are shares (0..1) of the picture, float32 [3,3]."""
    return torch.tensor(
        [
            [width, 0.0, 2 * left + width - 1],
            [0.0, height, 2 * top + height - 1],
            [0.0, 0.0, 1.0],
        ]
    )


def affine(angle: float, shift_x: float, shift_y: float) -> Tensor:
    """View rotated by angle (radians) and shifted (units of half a side), float32 [3,3]."""
    c, s = math.cos(angle), math.sin(angle)
    return torch.tensor([[c, -s, shift_x], [s, c, shift_y], [0.0, 0.0, 1.0]])


def perspective(inward_42: Tensor) -> Tensor:
    """View in which the square's corners have moved inwards, float32 [3,3].

    inward: how far each corner (clockwise from top left) moves in x and y, in units of half a
    side. The matrix maps the moved corners back to the square's, as eight linear equations say.
    """
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    moved = corners * (1 - inward_42)
    rows, right = [], []
    for (x, y), (u, v) in zip(moved.tolist(), corners.tolist(), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    solved = torch.linalg.solve(
        torch.tensor(rows, dtype=torch.float64), torch.tensor(right, dtype=torch.float64)
    )
    return torch.cat([solved, solved.new_ones(1)]).reshape(3, 3).float()


def jitter(strength: float, generator: torch.Generator) -> tuple[Tensor, float]:
    """Random brightness, saturation and hue as one RGB matrix [3,3], and a contrast factor."""
    brightness, saturation, contrast = (1 + strength * _signed(generator) for _ in range(3))
    turn = 2 * math.pi * strength * _signed(generator)
    c, s = math.cos(turn), math.sin(turn)
    yiq = torch.tensor(_YIQ, dtype=torch.float64)
    rotate = torch.tensor([[1, 0, 0], [0, c, -s], [0, s, c]], dtype=torch.float64)
    hue = (torch.linalg.solve(yiq, rotate @ yiq)).float()
    grey = torch.tensor([LUMINANCE] * 3)
    return brightness * (saturation * hue + (1 - saturation) * grey), contrast


def _crop(config: ViewConfig, height: int, width: int, generator: torch.Generator) -> Tensor:
    low, high = config.crop
    h, w = (low + (high - low) * torch.rand(2, generator=generator)).tolist()
    h = min(h, MAX_ASPECT * w * width / height)
    w = min(w, MAX_ASPECT * h * height / width)
    left, top = torch.rand(2, generator=generator).tolist()
    return crop_matrix(left * (1 - w), top * (1 - h), w, h)


def _happens(probability: float, generator: torch.Generator) -> bool:
    return bool(torch.rand((), generator=generator) < probability)


def _signed(generator: torch.Generator) -> float:
    """Uniform in −1..1."""
    return float(torch.rand((), generator=generator)) * 2 - 1
