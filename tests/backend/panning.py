"""A clip and its atlas whose geometry is known by heart: a window pans over a wall."""

from __future__ import annotations

import torch

from backend.edit.config import EditConfig, ViewConfig

CPU = torch.device("cpu")
H, W, T, STEP = 60, 80, 6, 4
TINY = EditConfig(
    steps=3, size=80, channels=4, scales=3, bootstrap_steps=0, views=ViewConfig(count=2, fill=0.0),
    preview_every=2, whole_every=2, atlas_limit=160, matte=(0.0, 1.0),
)  # fmt: skip


class Panning:
    """Frame t shows the atlas's columns STEP·t .. STEP·t + W; the object is a fixed rectangle."""

    frames, height, width = T, H, W
    layers = ("foreground", "background")

    def __init__(self, factor=1):
        noise = torch.rand(1, 3, 15, 25, generator=torch.Generator().manual_seed(0))
        size = (H * factor, (W + STEP * (T - 1)) * factor)
        self.colours = torch.nn.functional.interpolate(noise, size, mode="bicubic").clamp(0, 1)
        self.seen = torch.ones(1, 1, *size)

    def uv(self, layer, t, size=None):
        height, width = size or (H, W)
        x = (torch.arange(width) + 0.5) / width * W + STEP * t[:, None, None]
        y = ((torch.arange(height) + 0.5) / height * H)[None, :, None]
        u, v = 2 * x / (W + STEP * (T - 1)) - 1, 2 * y / H - 1
        return torch.stack(torch.broadcast_tensors(u, v), dim=-1)

    def opacity(self, layer, t, size=None):
        height, width = size or (H, W)
        made = torch.zeros(len(t), 1, height, width)
        made[..., height // 4 : height * 3 // 4, width // 4 : width // 2] = 1
        return made

    def image(self, layer):
        return self.colours

    def coverage(self, layer):
        return self.seen

    def clip(self):
        made = [
            self.colours.detach()[0, :, :, STEP * t : STEP * t + W].permute(1, 2, 0)
            for t in range(T)
        ]
        return (torch.stack(made) * 255).round().to(torch.uint8).numpy()
