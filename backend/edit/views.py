"""Random views of an image, drawn once and applied to several images: batched, differentiable.

A view maps each of its own points back into the image (a 3×3 homography in the −1..1 coordinates of
grid_sample, align_corners=False) and then changes the colours. Source and output share a draw, so
that their embeddings differ by the edit alone.

Shapes: B images, V views, C=3 channels, H×W image, h×w view.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.edit.config import ViewConfig
from backend.to_device import constant, send

LUMINANCE = (0.299, 0.587, 0.114)
# A crop keeps the view's aspect ratio up to this factor. Beyond it, squeezing would distort objects
# too much.
MAX_ASPECT = 1.45
# The largest aspect ratio of a view with its image's shape: 320 pixels to 224.
MAX_LENGTH = 320 / 224
# YIQ: a rotation in its I-Q plane rotates the hue.
_YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


@dataclass(frozen=True)
class Views:
    """A draw of views. homography [V,3,3]: view point → image point. colour [V,3,3], contrast [V].

    fill: value outside the image. aspect: width of a view divided by its height. crops [V,4]: left,
    top, right and bottom of each view's crop in −1..1, beyond which the fill begins; None: beyond
    the image.
    """

    homography: Tensor
    colour: Tensor
    contrast: Tensor
    fill: float
    aspect: float = 1.0
    crops: Tensor | None = None

    def __len__(self) -> int:
        return len(self.homography)

    def some(self, first: int, last: int) -> Views:
        """Views first..last−1."""
        if last - first == len(self):
            return self
        part = slice(first, last)
        return replace(
            self,
            homography=self.homography[part],
            colour=self.colour[part],
            contrast=self.contrast[part],
            crops=None if self.crops is None else self.crops[part],
        )

    def size(self, side: int, patch: int = 1) -> tuple[int, int]:
        """Height and width of a view with this short side, both in whole patches."""
        long = round(side * max(self.aspect, 1 / self.aspect) / patch) * patch
        return (side, long) if self.aspect > 1 else (long, side)


def draw_views(config: ViewConfig, height: int, width: int, generator: torch.Generator) -> Views:
    """Draw `config.count` views of images height×width; the first shows the whole image.

    All views at once, from one draw of numbers: drawn one by one they would keep a GPU waiting.
    """
    draws = torch.rand(config.count, 24, generator=generator)
    chances = (config.flip, config.affine, config.perspective, config.jitter, config.grey)
    flip, turn, bend, tint, grey = (draws[:, :5] < torch.tensor(chances)).float().T
    aspect = 1.0
    if config.shape == "picture":
        aspect = min(max(width / height, 1 / MAX_LENGTH), MAX_LENGTH)
    matrix = _crops(config, height * aspect, width, draws[:, 5:9])
    matrix[:1] = torch.eye(3)
    crops = _extents(matrix) if config.beyond_crop == "fill" else None
    matrix[:, :, 0] *= 1 - 2 * flip[:, None]
    angle, right, down = ((2 * draws[:, 9:12] - 1) * turn[:, None]).T
    shift = 2 * config.translate
    turned = affine(math.radians(config.degrees) * angle, shift * right * aspect, shift * down)
    level = torch.tensor([aspect, 1.0, 1.0])  # rotate where both sides have the same unit
    matrix = matrix @ (turned * level / level[:, None])
    inward = draws[:, 12:20] * bend[:, None] * config.distortion
    matrix = matrix @ perspective(inward.reshape(-1, 4, 2))
    colour, contrast = _jitters(config.jitter_strength, draws[:, 20:24])
    colour = torch.lerp(torch.eye(3), colour, tint[:, None, None])
    colour = torch.lerp(colour, torch.tensor([LUMINANCE] * 3) @ colour, grey[:, None, None])
    contrast = torch.lerp(torch.ones(()), contrast, tint)
    return Views(matrix, colour, contrast, config.fill, aspect, crops)


def apply_views(views: Views, x_BCHW: Tensor, side: int, patch: int = 1) -> Tensor:
    """All views of all images, [V·B,C,h,w], view-major. x: 0..1; differentiable in x.

    side: a view's short side, pixels; the other is a multiple of the patch.
    """
    count, batch = len(views.homography), len(x_BCHW)
    # grid_sample does not average: bring the image to the views' resolution first.
    factor = side / 0.8 / min(x_BCHW.shape[-2:])
    if factor < 1:
        size = [max(side, round(n * factor)) for n in x_BCHW.shape[-2:]]
        x_BCHW = F.interpolate(x_BCHW, size, mode="bilinear", antialias=True, align_corners=False)
    device = x_BCHW.device
    grid_Vhw2 = homography_grid(send(views.homography, device), *views.size(side, patch))
    tiled = x_BCHW[None].expand(count, -1, -1, -1, -1).flatten(0, 1)
    grids = grid_Vhw2.repeat_interleave(batch, dim=0)
    seen = F.grid_sample(tiled, grids, padding_mode="border", align_corners=False)
    if views.crops is None:
        inside = (grids.abs() <= 1).all(dim=-1)[:, None]
    else:
        crops = send(views.crops, device).repeat_interleave(batch, dim=0)[:, None, None]
        within = (grids >= crops[..., :2]) & (grids <= crops[..., 2:])
        inside = within.all(dim=-1)[:, None]
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


def crop_matrix(
    left: Tensor | float, top: Tensor | float, width: Tensor | float, height: Tensor | float
) -> Tensor:
    """View of a crop whose corner and size are shares (0..1) of the image, float32 [...,3,3]."""
    return _matrix(width, 0, 2 * left + width - 1, 0, height, 2 * top + height - 1, 0, 0, 1)


def affine(angle: Tensor | float, shift_x: Tensor | float, shift_y: Tensor | float) -> Tensor:
    """View rotated by angle (radians) and shifted (units of half a side), float32 [...,3,3]."""
    c, s = torch.as_tensor(angle).cos(), torch.as_tensor(angle).sin()
    return _matrix(c, -s, shift_x, s, c, shift_y, 0, 0, 1)


def perspective(inward_42: Tensor) -> Tensor:
    """View in which the square's corners have moved inwards, float32 [...,3,3].

    inward: [...,4,2], how far each corner (clockwise from top left) moves in x and y, in units of
    half a side. The matrix maps the moved corners back to the square's (eight linear equations).
    """
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]).double()
    x, y = (corners * (1 - inward_42.double())).unbind(-1)
    u, v = corners.unbind(-1)
    no, one = torch.zeros_like(x), torch.ones_like(x)
    of_u = torch.stack([x, y, one, no, no, no, -u * x, -u * y], dim=-1)
    of_v = torch.stack([no, no, no, x, y, one, -v * x, -v * y], dim=-1)
    rows = torch.cat([of_u, of_v], dim=-2)
    solved = torch.linalg.solve(rows, torch.cat([u, v]).expand(rows.shape[:-1]))
    return torch.cat([solved, one[..., :1]], dim=-1).reshape(*x.shape[:-1], 3, 3).float()


def jitter(strength: float, generator: torch.Generator) -> tuple[Tensor, float]:
    """Random brightness, saturation and hue as one RGB matrix [3,3], and a contrast factor."""
    colour, contrast = _jitters(strength, torch.rand(1, 4, generator=generator))
    return colour[0], float(contrast)


def jitter_colours(x_13HW: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """One image with its colours randomly jittered."""
    colour, contrast = jitter(strength, generator)
    return apply_colour(
        x_13HW, send(colour[None], x_13HW.device), x_13HW.new_full((1, 1, 1, 1), contrast)
    )


def _jitters(strength: float, draws_V4: Tensor) -> tuple[Tensor, Tensor]:
    """RGB matrices [V,3,3] and contrasts [V] from draws in 0..1."""
    change_V4 = strength * (2 * draws_V4 - 1)
    brightness, saturation, contrast = (1 + change_V4[:, :3]).T
    turn = 2 * math.pi * change_V4[:, 3]
    yiq = torch.tensor(_YIQ, dtype=torch.float64)
    c, s = turn.double().cos(), turn.double().sin()
    hue = torch.linalg.solve(yiq, _matrix(1, 0, 0, 0, c, -s, 0, s, c) @ yiq).float()
    grey, saturation = torch.tensor([LUMINANCE] * 3), saturation[:, None, None]
    return brightness[:, None, None] * (saturation * hue + (1 - saturation) * grey), contrast


def _matrix(*numbers: Tensor | float) -> Tensor:
    """Nine numbers, or tensors of them, row by row: [...,3,3]."""
    kind = next((n.dtype for n in numbers if isinstance(n, Tensor)), torch.float32)
    nine: tuple[Tensor, ...] = torch.broadcast_tensors(  # type: ignore[no-untyped-call]
        *(torch.as_tensor(number, dtype=kind) for number in numbers)
    )
    return torch.stack(nine, dim=-1).reshape(*nine[0].shape, 3, 3)


def _crops(config: ViewConfig, height: float, width: float, draws_V4: Tensor) -> Tensor:
    """Crops of an image whose sides are given in units of the view's."""
    low, high = config.crop
    h, w = (low + (high - low) * draws_V4[:, :2]).T
    if config.one_share:
        w = h
    h = torch.minimum(h, MAX_ASPECT * w * width / height)
    w = torch.minimum(w, MAX_ASPECT * h * height / width)
    left, top = draws_V4[:, 2:].T
    return crop_matrix(left * (1 - w), top * (1 - h), w, h)


def _extents(crops_V33: Tensor) -> Tensor:
    """Left, top, right and bottom of crops in the image's −1..1, [V,4]."""
    middle_V2, half_V2 = crops_V33[:, :2, 2], crops_V33.diagonal(dim1=1, dim2=2)[:, :2]
    return torch.cat([middle_V2 - half_V2, middle_V2 + half_V2], dim=1)
