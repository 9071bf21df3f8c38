"""Features of a clip's frames at the tracker's size, computed once and kept in half precision."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from backend.masks.tracker.config import LEAST
from backend.masks.tracker.network import CHANNELS, Network
from backend.motion.flow import F32, Mask

KEPT_BYTES = 2**30  # of the maps that are kept; others are computed again when needed
COARSE = 112  # channels of the last block at stride 16, which label propagation compares
FINE_SHARE = 0.5  # weight of stride 8 in that comparison, stride 16 has 1


@dataclass(frozen=True)
class Features:
    """One image: maps [1,C,h,w] at strides 2, 4, 8, 16, 32, and its colours [1,3,h/2,w/2], ±1."""

    maps: list[Tensor]
    colours: Tensor

    @property
    def nbytes(self) -> int:
        """Of all tensors."""
        return sum(one.nbytes for one in (*self.maps, self.colours))


def extract(image: NDArray[np.uint8], network: Network) -> Features:
    """Features of an image uint8 [h,w,3], sides multiples of 16; half precision."""
    x = torch.from_numpy(np.ascontiguousarray(image)).to(network.device)
    x = x.permute(2, 0, 1)[None].float()
    maps = [one.half() for one in network.features(x)]
    return Features(maps, (F.avg_pool2d(x, 2) / 127.5 - 1).half())


def full_precision(features: Features) -> Features:
    """The same in float32."""
    return Features([one.float() for one in features.maps], features.colours.float())


class ClipFeatures:
    """Features of all frames of a clip, uint8 [T,h,w,3] at the tracker's size."""

    def __init__(self, frames: NDArray[np.uint8], network: Network) -> None:
        self.frames, self.network = frames, network
        self._kept: dict[int, Features] = {}
        self._keys: dict[int, Tensor] = {}
        self._bytes = 0

    def of(self, t: int) -> Features:
        """Of frame t, float32."""
        found = self._kept.get(t)
        if found is None:
            found = extract(self.frames[t], self.network)
            if self._bytes + found.nbytes < KEPT_BYTES:
                self._kept[t] = found
                self._bytes += found.nbytes
        return full_precision(found)

    def key(self, t: int) -> Tensor:
        """What label propagation compares, [C,N]: unit vectors of frame t's places at stride 8."""
        found = self._keys.get(t)
        if found is None:
            found = _key(self.of(t).maps).half()
            self._keys[t] = found
        return found.float()


def _key(maps: list[Tensor]) -> Tensor:
    fine = maps[2]
    coarse = maps[3][:, CHANNELS[3] - COARSE :]
    coarse = F.interpolate(coarse, fine.shape[-2:], mode="bilinear", align_corners=False)
    both = torch.cat([FINE_SHARE * F.normalize(fine, dim=1), F.normalize(coarse, dim=1)], 1)
    return F.normalize(both, dim=1)[0].flatten(1)


def tracker_size(shape: tuple[int, int], long_side: int) -> tuple[int, int]:
    """Rows and columns of the tracker's frames: multiples of 16, of about the same shape.

    shape: of the working frames.
    """
    scale = min(long_side, max(LEAST, *shape)) / max(shape)
    rows, columns = (max(48, 16 * round(side * scale / 16)) for side in shape)
    return rows, columns


def resized(frames: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Frames uint8 [T,h,w,3] at another size."""
    how = cv2.INTER_AREA if size[0] <= frames.shape[1] else cv2.INTER_LINEAR
    return np.stack([np.asarray(cv2.resize(one, size[::-1], interpolation=how), np.uint8)
                     for one in frames])  # fmt: skip


def to_size(mask: Mask, size: tuple[int, int]) -> F32:
    """A mask bool [h,w] at another size, by area: 0..1."""
    out = cv2.resize(mask.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(out, np.float32)
