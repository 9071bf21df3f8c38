"""Add the footage's own fine detail to the layer: feathers, knit, folds, the seams of doors.

A short run learns no detail itself, and an opaque layer without detail hides the footage's.
So the high frequencies of the image's tone are added to the logits of the layer's colours, both in
training and in the result: the text-image model sees them, and the generator can cancel them where
a pattern should replace them. For a clip they are read from the atlas, so that the layer stays one
image. This is ours, not the paper's.

Shapes: B images, C channels, H×W pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.edit.config import EditConfig
from backend.edit.generator import finished
from backend.to_device import constant

LUMA = (0.299, 0.587, 0.114)
DARKEST = 0.03  # below this luma, and above 1 minus it, differences are noise
STRONGEST = 1.0  # limit of the detail, logits: a glint must not become a hole


class Detail:
    """The detail of images that is finer than a radius.

    map: [B,1,H,W], as logits; all 0 if config.detail is 0. image: [B,3,H,W] in 0..1, at the size
    that is edited. share: [B,1,H,W], how much of a pixel belongs to the layer. Only what belongs to
    it counts in its smooth tone; otherwise outlines would have halos.
    """

    def __init__(self, image_B3HW: Tensor, share_B1HW: Tensor, config: EditConfig) -> None:
        self.weight = config.detail
        if self.weight:
            self._smooth_B1HW = smooth(
                tone(image_B3HW), share_B1HW, config.detail_radius * config.size
            )
        self.map = self._of(image_B3HW, share_B1HW)

    def finest(self, logits_B4HW: Tensor, image_B3HW: Tensor, share_B1HW: Tensor) -> Tensor:
        """Logits → layer at the size of a finer version of the image, with all of its detail."""
        size = image_B3HW.shape[-2:]
        return finished(enlarged(logits_B4HW, size), self._of(image_B3HW, share_B1HW))

    def _of(self, image_B3HW: Tensor, share_B1HW: Tensor) -> Tensor:
        if not self.weight:
            return share_B1HW.new_zeros(1).expand_as(share_B1HW)  # takes no memory
        above = tone(image_B3HW) - enlarged(self._smooth_B1HW, image_B3HW.shape[-2:])
        return self.weight * share_B1HW * STRONGEST * (above / STRONGEST).tanh()


def tone(image_B3HW: Tensor) -> Tensor:
    """Logit of the luma of images in 0..1: [B,1,H,W]. Equal steps are about equally visible."""
    weights = constant(LUMA, image_B3HW.device).reshape(1, 3, 1, 1)
    return (image_B3HW * weights).sum(1, keepdim=True).clamp(DARKEST, 1 - DARKEST).logit()


def smooth(tone_B1HW: Tensor, share_B1HW: Tensor, sigma: float) -> Tensor:
    """Gaussian mean over the pixels that belong to the layer, sigma in pixels: [B,1,H,W]."""
    both_B2HW = torch.cat([tone_B1HW * share_B1HW, share_B1HW], dim=1)
    # Far from the layer both blur to nothing; the layer's overall mean takes over there.
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
    """Bilinear resize without antialiasing, to a larger or slightly smaller size."""
    if x_BCHW.shape[-2:] == size:
        return x_BCHW
    return F.interpolate(x_BCHW, size, mode="bilinear", align_corners=False)
