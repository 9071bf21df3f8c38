"""The picture an artist watches a training by: the composite so far, and the layer's α."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from backend.edit.config import EditConfig
from backend.edit.train import fit_size, resize, to_image

GAP = 4  # black pixels between the two


def preview_of(composite_13HW: Tensor, alpha_11HW: Tensor, config: EditConfig) -> NDArray[np.uint8]:
    """Both in one picture, uint8 [h,w,3]: α in grey below the composite, beside it if that is tall.

    Each has its long side at most config.preview_size.
    """
    height, width = composite_13HW.shape[-2:]
    size = fit_size(height, width, config.preview_size)
    shown, alpha = resize(composite_13HW, size), resize(alpha_11HW, size).expand(-1, 3, -1, -1)
    if width >= height:
        return to_image(torch.cat([F.pad(shown, (0, 0, 0, GAP)), alpha], dim=2))
    return to_image(torch.cat([F.pad(shown, (0, GAP)), alpha], dim=3))
