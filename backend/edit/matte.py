"""Make the layer's α clean: no veil where nothing should change."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.edit.config import EditConfig


def clear_haze(layer_B4HW: Tensor, config: EditConfig) -> Tensor:
    """Stretch α so that matte[0] and below become 0, matte[1] and above become 1.

    A sigmoid never reaches 0: untouched, the layer would veil the whole picture by a few percent.
    """
    low, high = config.matte
    alpha_B1HW = ((layer_B4HW[:, 3:] - low) / (high - low)).clamp(0, 1)
    return torch.cat([layer_B4HW[:, :3], alpha_B1HW], dim=1)
