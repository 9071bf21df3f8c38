"""Small numbers on their way to the device: nothing here makes the host wait for a GPU."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


def send(x: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host, on the device; from pinned memory, or the copy would wait."""
    if device.type != "cuda":
        return x.to(device)
    return x.pin_memory().to(device, non_blocking=True)


@lru_cache(maxsize=64)
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Numbers that never change, float32 [N]; sent once. Not to be written to."""
    return torch.tensor(values, dtype=torch.float32, device=device)
