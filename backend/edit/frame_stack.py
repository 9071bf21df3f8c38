"""One map per frame of a clip: on the device, or in host memory where the device is too small.

Shapes: C channels, H×W frame, h×w crop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from backend.edit.crops import Window
from backend.to_device import send


class FrameStack:
    """Maps [1,C,H,W] in the order of the frames; what is read is always on the device.

    on_host: keep them in host memory, and copy a crop to the device whenever it is read.
    """

    def __init__(self, device: torch.device, *, on_host: bool = False) -> None:
        self.device, self.on_host = device, on_host
        self._maps: list[Tensor] = []

    @classmethod
    def of(cls, maps: Iterable[Tensor], device: torch.device, *, on_host: bool) -> FrameStack:
        """A stack of these maps."""
        stack = cls(device, on_host=on_host)
        for one in maps:
            stack.add(one)
        return stack

    def add(self, map_1CHW: Tensor) -> None:
        """Append the next frame's map."""
        self._maps.append(map_1CHW.cpu() if self.on_host else map_1CHW)

    def cut(self, t: int, window: Window) -> Tensor:
        """A crop of frame t, [1,C,h,w]."""
        crop = window.cut(self._maps[t])
        return send(crop.contiguous(), self.device) if self.on_host else crop

    def __getitem__(self, t: int) -> Tensor:
        """Frame t, [1,C,H,W]."""
        whole = self._maps[t]
        return send(whole, self.device) if self.on_host else whole

    def __len__(self) -> int:
        return len(self._maps)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[t] for t in range(len(self)))
