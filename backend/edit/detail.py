"""The footage's own fine detail, given to the layer: feathers, knit, folds, the seams of doors.

A short run learns no detail of its own, and an opaque layer without any wipes out what was there.
So what the picture's tone has above a radius is added to the layer's colours before their sigmoid,
while training and after it alike: the text-image model sees it, and the generator may work against
it where a pattern is to replace it. For a clip it is read from the atlas, so that the layer stays
one picture. Ours, not the paper's.

Shapes: B pictures, C channels, H×W pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.edit.config import EditConfig
from backend.edit.generator import finished
from backend.edit.transfer import constant

LUMA = (0.299, 0.587, 0.114)
DARKEST = 0.03  # luma below which, and above 1 − which, differences are noise
STRONGEST = 1.0  # logits that detail stays within: a glint may not become a hole


class Detail:
    """What pictures show finer than a radius: map [B,1,H,W], as logits; all 0 without a weight.

    picture: [B,3,H,W] in 0..1, of the size that is edited. share: [B,1,H,W], how far a pixel
    belongs to the layer; what lies beside it has no part in its tone, or outlines had halos.
    """

    def __init__(self, picture_B3HW: Tensor, share_B1HW: Tensor, config: EditConfig) -> None:
        self.weight = config.detail
        if self.weight:
            self._smooth_B1HW = smooth(
                tone(picture_B3HW), share_B1HW, config.detail_radius * config.size
            )
        self.map = self._of(picture_B3HW, share_B1HW)

    def finest(self, logits_B4HW: Tensor, picture_B3HW: Tensor, share_B1HW: Tensor) -> Tensor:
        """The layer of logits at the size of a finer picture, with all the detail that one has."""
        size = picture_B3HW.shape[-2:]
        return finished(enlarged(logits_B4HW, size), self._of(picture_B3HW, share_B1HW))

    def _of(self, picture_B3HW: Tensor, share_B1HW: Tensor) -> Tensor:
        if not self.weight:
            return share_B1HW.new_zeros(1).expand_as(share_B1HW)  # takes no memory
        above = tone(picture_B3HW) - enlarged(self._smooth_B1HW, picture_B3HW.shape[-2:])
        return self.weight * share_B1HW * STRONGEST * (above / STRONGEST).tanh()


def tone(picture_B3HW: Tensor) -> Tensor:
    """Logit of the luma of pictures in 0..1: [B,1,H,W]. Equal steps are about equally visible."""
    weights = constant(LUMA, picture_B3HW.device).reshape(1, 3, 1, 1)
    return (picture_B3HW * weights).sum(1, keepdim=True).clamp(DARKEST, 1 - DARKEST).logit()


def smooth(tone_B1HW: Tensor, share_B1HW: Tensor, sigma: float) -> Tensor:
    """Gaussian mean of what belongs to the layer, sigma in pixels: [B,1,H,W]."""
    both_B2HW = torch.cat([tone_B1HW * share_B1HW, share_B1HW], dim=1)
    # Far from the layer both blur to nothing: there its own mean stands in.
    mean_B211 = both_B2HW.mean((2, 3), keepdim=True) / share_B1HW.mean(
        (2, 3), keepdim=True
    ).clamp_min(1e-6)
    blurred_B2HW = blurred(both_B2HW, sigma) + 1e-4 * mean_B211
    return blurred_B2HW[:, :1] / blurred_B2HW[:, 1:].clamp_min(1e-8)


def blurred(x_BCHW: Tensor, sigma: float) -> Tensor:
    """Gaussian blur, 0 outside."""
    channels, reach = x_BCHW.shape[1], max(1, round(3 * sigma))
    steps = torch.arange(-reach, reach + 1, dtype=x_BCHW.dtype, device=x_BCHW.device)
    bell = (-0.5 * (steps / sigma).square()).exp()
    kernel = (bell / bell.sum()).repeat(channels, 1, 1)
    down = F.conv2d(x_BCHW, kernel[..., None], padding=(reach, 0), groups=channels)
    return F.conv2d(down, kernel[:, :, None], padding=(0, reach), groups=channels)


def enlarged(x_BCHW: Tensor, size: tuple[int, ...]) -> Tensor:
    """Bilinear, to a size that is hardly smaller."""
    if x_BCHW.shape[-2:] == size:
        return x_BCHW
    return F.interpolate(x_BCHW, size, mode="bilinear", align_corners=False)
