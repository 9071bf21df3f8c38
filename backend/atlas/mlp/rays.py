"""The clip on its device, and random pixels of it with everything the losses compare.

Shapes: T frames · H,W the working size · N rays. Pixels are (x, y) with centres at +0.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.motion.flow import Flows
from backend.to_device import send


@dataclass(frozen=True)
class Rays:
    """Random pixels. Fields that begin with ``of_`` are weights [N] that sum to 1 over the draw.

    t [N] long · xy [N,2] · colour, right, down [N,3]: of the pixel and its two neighbours · inside
    [N,1]: rough mask · ahead, behind [N,2]: where flow takes it in the next and the previous frame.
    of_flow has both directions, [N,2]: half of it forward, half backward.
    """

    t: Tensor
    xy: Tensor
    colour: Tensor
    right: Tensor
    down: Tensor
    inside: Tensor
    ahead: Tensor
    behind: Tensor
    of_all: Tensor
    of_colour: Tensor
    of_right: Tensor
    of_down: Tensor
    of_flow: Tensor

    def parts(self, size: int) -> Iterator[Rays]:
        """The same rays in parts of at most `size`."""
        pieces = [getattr(self, f.name).split(size) for f in fields(self)]
        for piece in zip(*pieces, strict=True):
            yield Rays(*piece)


class RaySampler:
    """Draws rays from a clip's frames, rough masks and flow between neighbouring frames.

    frames: uint8 [T,H,W,3]. masks: float32 [T,H,W], 0..1. kept: bool [T,1,H,W], false where no
    colour may be fitted.
    """

    def __init__(
        self,
        frames: NDArray[np.uint8],
        masks: NDArray[np.float32],
        flows: Flows,
        kept: Tensor,
        device: torch.device,
    ) -> None:
        self.count, self.height, self.width, _ = frames.shape
        self.device = device
        self.frames = torch.from_numpy(np.ascontiguousarray(frames)).to(device)
        self.masks = torch.from_numpy(masks).to(device)
        self.kept = kept[:, 0].to(device)
        # Row t holds the flow t → t+1, and t → t−1; the missing ends are never trusted.
        shape = (self.count, self.height, self.width)
        self.flow = torch.zeros(2, *shape, 2, device=device)
        self.sure = torch.zeros(2, *shape, dtype=torch.bool, device=device)
        for t in range(self.count - 1):
            for way, (start, end) in enumerate(((t, t + 1), (t + 1, t))):
                field, trusted = flows.full(start, end)
                self.flow[way, start] = torch.from_numpy(field).to(device)
                self.sure[way, start] = torch.from_numpy(trusted).to(device)

    def draw(self, count: int, generator: torch.Generator, frame: int | None = None) -> Rays:
        """Random pixels, of one frame if given. generator: on the CPU, so devices draw alike."""
        area = self.height * self.width
        total = area if frame is not None else area * self.count
        index = send(torch.randint(total, (count,), generator=generator), self.device)
        t = torch.full_like(index, frame) if frame is not None else index // area
        return self.at(t, index % area)

    def at(self, t: Tensor, place: Tensor) -> Rays:
        """Rays of the pixels numbered `place`, row by row, of frames t: both [N] long."""
        y, x = place // self.width, place % self.width
        right, down = (x + 1).clamp(max=self.width - 1), (y + 1).clamp(max=self.height - 1)
        kept = self.kept[t, y, x]
        has_right = (x + 1 < self.width) & kept & self.kept[t, y, right]
        has_down = (y + 1 < self.height) & kept & self.kept[t, down, x]
        xy = torch.stack([x, y], 1) + 0.5
        sure = self.sure[:, t, y, x]
        return Rays(
            t=t,
            xy=xy,
            colour=self.frames[t, y, x].float() / 255,
            right=self.frames[t, y, right].float() / 255,
            down=self.frames[t, down, x].float() / 255,
            inside=self.masks[t, y, x, None],
            ahead=xy + self.flow[0, t, y, x],
            behind=xy + self.flow[1, t, y, x],
            of_all=_equal(torch.ones_like(kept)),
            of_colour=_equal(kept),
            of_right=_equal(has_right),
            of_down=_equal(has_down),
            of_flow=torch.stack([_equal(sure[0]), _equal(sure[1])], 1) / 2,
        )


def _equal(valid: Tensor) -> Tensor:
    """Equal weights that sum to 1, or to 0 if nothing is valid: [N] bool → [N]."""
    weight = valid.float()
    return weight / weight.sum().clamp(min=1)
