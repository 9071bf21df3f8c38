"""Look up an image at any scale: smooth when magnified, free of flicker when minified."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.atlas.sampling import sample

ONE_TAP = 1e-2  # squared distance of taps from the centre, pixels, below which one tap is enough


class Pyramid:
    """An image pyramid: levels[0] [1,C,h,w] as given, each level half the last, down to one texel.

    Every level spans the whole image, so the same coordinates hold for all. A coarse texel is
    exactly 0 if all its finer texels are.
    """

    def __init__(self, image: Tensor, padding: str = "border") -> None:
        """image: [1,C,h,w], premultiplied where it has alpha. padding: ``border`` or ``zeros``."""
        self.levels = [image]
        self.padding = padding
        while max(self.levels[-1].shape[-2:]) > 1:
            h, w = self.levels[-1].shape[-2:]
            half = (-(-h // 2), -(-w // 2))
            self.levels.append(F.adaptive_avg_pool2d(self.levels[-1], half))

    def lookup(self, uv: Tensor) -> Tensor:
        """The mean of the image over each pixel: uv [B,H,W,2], −1..1 on it → [B,C,H,W].

        Bilinear where neighbouring pixels are at most a texel apart. Otherwise four taps per pixel
        on the level where pixels are two texels apart: the taps' spread plus the level's own blur
        equals the variance of the pixel's area. More would soften fine paint.
        """
        across, down, sx, sy = self._footprint(uv)
        top = len(self.levels) - 1
        lod = (torch.maximum(sx, sy) / 2).clamp(min=1).log2().clamp(max=top)
        low = lod.floor()
        blur = torch.lerp(_blur(low), _blur(low + 1), lod - low)
        dx, dy = (_spread(s, blur) for s in (sx, sy))
        first, last = int(low.min()), int(lod.max().ceil())
        if max(float(dx.max()), float(dy.max())) ** 2 < ONE_TAP:
            taps = [uv]
        else:
            along, below = dx[..., None] * across, dy[..., None] * down
            taps = [uv + along + below, uv + along - below, uv - along + below, uv - along - below]
        out = None
        for level in range(first, last + 1):
            image = self.levels[level]
            seen = sample(image, taps[0], self.padding)
            for tap in taps[1:]:
                seen = seen + sample(image, tap, self.padding)
            if last > first:
                seen = seen * (1 - (lod - level).abs()).clamp(min=0)[:, None]
            out = seen if out is None else out + seen
        assert out is not None
        return out / len(taps)

    def _footprint(self, uv: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Steps of uv to the next column and row [B,H,W,2], and their lengths in texels [B,H,W]."""
        h, w = self.levels[0].shape[-2:]
        texels = uv.new_tensor([w / 2, h / 2])
        across, down = steps_along(uv, 2), steps_along(uv, 1)
        return across, down, (across * texels).norm(dim=-1), (down * texels).norm(dim=-1)


def _blur(level: Tensor) -> Tensor:
    """Variance of a bilinear lookup on a level, in texels of level 0: a tent of averaged boxes."""
    return torch.exp2(2 * level) / 4 - 1 / 12


def _spread(step: Tensor, blur: Tensor) -> Tensor:
    """Distance of the taps from the centre, in pixels of `step` texels."""
    lacking = 1 / 6 + (step * step - 1) / 12 - blur
    return lacking.clamp(min=0).sqrt() / step.clamp(min=1e-6)


def steps_along(uv: Tensor, axis: int) -> Tensor:
    """Differences along an axis, the last one repeated; 0 for a single pixel."""
    if uv.shape[axis] < 2:
        return torch.zeros_like(uv)
    steps = uv.diff(dim=axis)
    return torch.cat([steps, steps.narrow(axis, steps.shape[axis] - 1, 1)], axis)


class Occupancy:
    """A max-pyramid of where an image is not empty, to find the pixels that may show it."""

    def __init__(self, filled: Tensor, padding: str = "border") -> None:
        """filled: [1,1,h,w], > 0 where the image is not empty. padding: as the Pyramid's."""
        self.padding = padding
        level = (filled > 0).float()
        self.levels = [level]
        while max(level.shape[-2:]) > 1:
            level = F.max_pool2d(level, 2, ceil_mode=True)
            self.levels.append(level)

    def near(self, uv: Tensor) -> Tensor:
        """Samples at most two of their steps away from it: uv [B,H,W,2] → bool [B,H,W]."""
        h, w = self.levels[0].shape[-2:]
        at = (uv + 1) / 2 * uv.new_tensor([w, h])
        step = max(float(steps_along(at, axis).abs().max()) for axis in (1, 2))
        wanted = max(0, int(torch.tensor(max(2 * step, 1.0)).log2().ceil()))
        level = min(wanted, len(self.levels) - 1)
        wide = F.max_pool2d(self.levels[level], 3, 1, 1)[0, 0] > 0
        x = (at[..., 0] / 2**level).long().clamp(0, wide.shape[1] - 1)
        y = (at[..., 1] / 2**level).long().clamp(0, wide.shape[0] - 1)
        if self.padding == "border":
            return wide[y, x]
        beyond = torch.maximum(-at, at - at.new_tensor([w, h])).amax(-1)
        return wide[y, x] & (beyond < 2 * step)
