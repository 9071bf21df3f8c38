"""Copies from the host to a device that do not make the host wait for a GPU.

A copy from ordinary (pageable) memory waits for all that the GPU has still to do; one from pinned
memory is queued behind it. Reading a result back (``.item()``, ``.tolist()``) always waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor


def send(x: Tensor, device: torch.device) -> Tensor:
    """Copy a host tensor to the device without blocking."""
    if device.type != "cuda":
        return x.to(device)
    return x.pin_memory().to(device, non_blocking=True)


def send_numbers(lists: Sequence[Sequence[int]], device: torch.device) -> list[Tensor]:
    """Copy lists of integers to the device, all in one copy: an int64 tensor for each."""
    together = torch.tensor([number for one in lists for number in one], dtype=torch.long)
    return list(torch.split(send(together, device), [len(one) for one in lists]))


@lru_cache(maxsize=64)
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Numbers that never change, float32 [N], copied to the device once. Do not write to it."""
    return send(torch.tensor(values, dtype=torch.float32), device)
