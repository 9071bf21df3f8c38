"""Make a coarse map follow the edges of its image: the guided filter.

He, Sun, Tang, "Guided Image Filtering" (TPAMI 2013), the version for colour guides; the sums are
taken at a reduced size (He, Sun, "Fast Guided Filter", 2015).

Shapes: B images, C=3 channels, H×W pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 128  # long side at which the sums are taken, pixels
LEAST = 1e-3  # variance below which the image has no edge to follow


def follow_edges(map_B1HW: Tensor, image_BCHW: Tensor, reach: float) -> Tensor:
    """The map as a linear function of the colours around every pixel, clamped to 0..1.

    Both float32 in 0..1. reach: half the side of that neighbourhood, as a share of the short side.
    """
    height, width = image_BCHW.shape[-2:]
    factor = min(1.0, SIDE / max(height, width))
    size = (max(1, round(height * factor)), max(1, round(width * factor)))
    colours, wanted = _shrunk(image_BCHW, size), _shrunk(map_B1HW, size)
    radius = max(1, min(round(reach * min(size)), (min(size) - 1) // 2))

    def mean(x: Tensor) -> Tensor:
        # Separable, along rows and then columns: a box as large as a patch has thousands of pixels.
        for kernel, pad in (((1, 2 * radius + 1), (0, radius)), ((2 * radius + 1, 1), (radius, 0))):
            x = F.avg_pool2d(x, kernel, 1, pad, count_include_pad=False)
        return x

    channels = colours.shape[1]
    m_BCHW, p_B1HW = mean(colours), mean(wanted)
    joint_BCHW = mean(colours * wanted) - m_BCHW * p_B1HW
    products = (colours[:, :, None] * colours[:, None]).flatten(1, 2)
    own = (m_BCHW[:, :, None] * m_BCHW[:, None]).flatten(1, 2)
    spread_BHWX = (mean(products) - own).permute(0, 2, 3, 1)
    spread_BHWCC = spread_BHWX.reshape(*spread_BHWX.shape[:3], channels, channels)
    spread_BHWCC = spread_BHWCC + LEAST * torch.eye(channels, device=colours.device)
    slope_BHWC = torch.linalg.solve(spread_BHWCC, joint_BCHW.permute(0, 2, 3, 1))
    slope_BCHW = slope_BHWC.permute(0, 3, 1, 2)
    offset_B1HW = p_B1HW - (slope_BCHW * m_BCHW).sum(1, keepdim=True)
    line = F.interpolate(
        torch.cat([mean(slope_BCHW), mean(offset_B1HW)], dim=1),
        (height, width), mode="bilinear", align_corners=False,
    )  # fmt: skip
    refined: Tensor = (line[:, :channels] * image_BCHW).sum(1, keepdim=True) + line[:, channels:]
    return refined.clamp(0, 1)


def _shrunk(x_BCHW: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(x_BCHW.shape[-2:]) == size:
        return x_BCHW
    return F.interpolate(x_BCHW, size, mode="bilinear", antialias=True, align_corners=False)
