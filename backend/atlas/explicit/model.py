"""The explicit engine's decomposition of a clip: per layer an atlas and UV maps, and opacities.

Shapes: T frames · B a batch of them · H,W rows and columns · Ha,Wa of an atlas.
Inside, lengths are pixels of the working size (h, w), pixel centres at +0.5. A layer's map is a
base map (homography or similarity) plus cubic B-splines: formulas, exact at any output size.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from backend.atlas import files
from backend.atlas.explicit.keyframes import bracket
from backend.atlas.explicit.splines import basis, surface, time_cells
from backend.atlas.layers import object_prefix, prefix
from backend.atlas.sampling import pixel_centres, resize
from protocol.jobs import LAYERS

UNPREFIXED = ("boxes", "distance", "reach", "alpha0", "alpha1")
GATE = 1.5  # pixels over which opacity is forced to 0 and 1 at the limits of its band


class Atlas:
    """A decomposed clip; everything is a plain tensor in `tensors`, saved as is.

    tensors, per layer (fg, fg2, fg3, front to back, and bg): ``*_base`` [T,3,3], pixel → reference
    pixel · ``*_knots0/1`` [rows,2,Ky,Kx], pixels · ``*_canvas`` [4], x0 y0 x1 y1 of the atlas in
    reference pixels · ``*_image`` [1,3,Ha,Wa], 0..1 · ``*_cover`` [1,1,Ha,Wa] · ``*_gain``
    [T,1,Hg,Wg], log of light. Per object (fg, fg2, fg3): ``*_boxes`` [T,4], x0 y0 x1 y1: where its
    splines live · ``*_distance`` [T,1,h/2,w/2], signed distance to its rough mask, negative inside;
    behind other objects the mask is continued · ``*_reach`` [T], half width of the band in which
    opacity is free · ``*_alpha0/1`` [T,1,h/2,w/2], [T,1,h/8,w/8], logits · if its look changes
    over time, ``*_times`` [K], keyframes, and ``*_keys`` [K,3,Ha,Wa], their colours.
    """

    def __init__(
        self,
        size: tuple[int, int, int],
        work: tuple[int, int],
        bg_every: tuple[int, ...],
        tensors: dict[str, Tensor],
        numbers: dict[str, float],
    ) -> None:
        self.frames, self.height, self.width = size
        self.work = work
        self.bg_every = bg_every
        self.tensors = tensors
        self.numbers = numbers

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return self.tensors["bg_base"].device

    @property
    def layers(self) -> tuple[str, ...]:
        """The objects' layers, front to back, and ``background``."""
        return tuple(layer for layer in LAYERS if f"{prefix(layer)}_base" in self.tensors)

    def _size(self, size: tuple[int, int] | None) -> tuple[int, int]:
        return (self.height, self.width) if size is None else size

    def reference(self, layer: str, t: Tensor, size: tuple[int, int]) -> Tensor:
        """Pixel → reference pixels of a layer; differentiable. t [B] long → [B,2,H,W]."""
        k = prefix(layer)
        y, x = pixel_centres(size, self.work, self.device)
        m = self.tensors[f"{k}_base"][t]
        across = m[:, :, 0, None, None] * x
        down = m[:, :, 1, None, None] * y[:, None] + m[:, :, 2, None, None]
        if k != "bg":  # a similarity: its third row is 0 0 1
            flat = across[:, :2] + down[:, :2]
        else:
            rays = across + down
            flat = rays[:, :2] / rays[:, 2:].clamp(min=1e-3)
        for level in (0, 1):
            knots = self.tensors[f"{k}_knots{level}"]
            ky, kx = knots.shape[-2] - 3, knots.shape[-1] - 3
            if k != "bg":
                box = self.tensors[f"{k}_boxes"][t]
                v = (y[None] - box[:, 1:2]) / (box[:, 3:4] - box[:, 1:2])
                u = (x[None] - box[:, 0:1]) / (box[:, 2:3] - box[:, 0:1])
                now = knots[t]
            else:
                v, u = y / self.work[0], x / self.work[1]
                rows, weights = self.time_rows(t, level)
                # Not knots[rows]: its gradient sums in any order, so runs would differ.
                picked = knots.index_select(0, rows.flatten()).view(*rows.shape, *knots.shape[1:])
                now = (picked * weights[..., None, None, None]).sum(1)
            flat = flat + surface(now, basis(v * ky, ky), basis(u * kx, kx))
        return flat

    def time_rows(self, t: Tensor, level: int) -> tuple[Tensor, Tensor]:
        """Temporal knots of the background at frames: rows [B,4] long and their weights [B,4]."""
        every, cells = self.bg_every[level], self._time_cells(level)
        weights = basis(t.to(torch.float32) / every, cells)
        first = (t // every).clamp(max=cells - 1)
        rows = first[:, None] + torch.arange(4, device=t.device)
        return rows, weights.gather(1, rows)

    def time_knots(self, numbers: Sequence[int], level: int) -> list[int]:
        """The rows that `time_rows` gives for any of these frames, sorted, without the device."""
        every, last = self.bg_every[level], self._time_cells(level) - 1
        firsts = {min(number // every, last) for number in numbers}
        return sorted({first + i for first in firsts for i in range(4)})

    def _time_cells(self, level: int) -> int:
        return time_cells(self.frames, self.bg_every[level])

    def normalise(self, layer: str, flat: Tensor) -> Tensor:
        """Reference pixels [B,2,H,W] → grid_sample coordinates [B,H,W,2]."""
        canvas = self.tensors[f"{prefix(layer)}_canvas"]
        scale = 2 / (canvas[2:] - canvas[:2])
        offset = -1 - canvas[:2] * scale
        scaled = torch.addcmul(offset[:, None, None], flat, scale[:, None, None])
        return scaled.permute(0, 2, 3, 1)

    def uv(self, layer: str, t: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Where pixels lie in a layer's atlas.

        layer: one of `layers`. t: [B] long. size: rows and columns of the output,
        default the clip's own; the map is a formula, not an image, so any size is exact.
        Returns [B,H,W,2], −1..1 on the atlas, for grid_sample with align_corners=False.
        """
        t = t.to(self.device)
        return self.normalise(layer, self.reference(layer, t, self._size(size)))

    def opacity(self, layer: str, t: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """An object's alpha: t [B] long → [B,1,H,W], 0..1, exactly 0 outside its band.

        Ignores objects in front; `layers.visibility` gives what a frame shows of a layer.
        """
        t, k = t.to(self.device), object_prefix(layer)
        size = self._size(size)
        coarse, fine = self.tensors[f"{k}_alpha1"][t], self.tensors[f"{k}_alpha0"][t]
        logit = resize(fine, size) + resize(coarse, size)
        away, reach = self.distance(layer, t, size), self._reach(k, t)
        outer = ((reach - away) / GATE).clamp(0, 1)
        inner = ((reach + away) / GATE).clamp(0, 1)
        return (1 - inner * torch.sigmoid(-logit)) * outer

    def _reach(self, k: str, t: Tensor) -> Tensor:
        return self.tensors[f"{k}_reach"][t][:, None, None, None]

    def gain(self, layer: str, t: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """How much brighter a frame shows a layer than its atlas: t [B] long → [B,1,H,W], > 0."""
        return resize(
            self.tensors[f"{prefix(layer)}_gain"][t.to(self.device)], self._size(size)
        ).exp()

    def distance(self, layer: str, t: Tensor, size: tuple[int, int]) -> Tensor:
        """Signed distance to an object's rough mask, working pixels, negative inside: [B,1,H,W]."""
        rough = self.tensors[f"{object_prefix(layer)}_distance"][t.to(self.device)]
        return resize(rough.to(torch.float32), size)

    def image(self, layer: str) -> Tensor:
        """The atlas as one image, to edit and to paint on: [1,3,Ha,Wa], 0..1 sRGB."""
        return self.tensors[f"{prefix(layer)}_image"]

    def texture(self, layer: str, t: Tensor) -> Tensor:
        """The atlas's colours at frames, t [B] long: [B,3,Ha,Wa], or [1,…] if they never change."""
        k = prefix(layer)
        if f"{k}_keys" not in self.tensors:
            return self.image(layer)
        times, keys = self.tensors[f"{k}_times"], self.tensors[f"{k}_keys"]
        before, share = bracket(times, t.to(self.device))
        share = share[:, None, None, None]
        return torch.lerp(keys[before].float(), keys[before + 1].float(), share)

    def coverage(self, layer: str) -> Tensor:
        """1 where some frame sees the texel, else 0: [1,1,Ha,Wa] float."""
        return self.tensors[f"{prefix(layer)}_cover"]

    def box(self, layer: str, t: Tensor) -> Tensor:
        """An object's box per frame: t [B] long → [B,4] long, x0 y0 x1 y1 in the clip's pixels.

        Outside it the opacity is 0. x1 and y1 are exclusive; all 0 where there is no object.
        """
        t = t.to(self.device)
        near = self.distance(layer, t, self.work) < self._reach(object_prefix(layer), t)
        scale = (self.height / self.work[0], self.width / self.work[1])
        boxes = []
        for one in near[:, 0]:
            rows, columns = one.any(1).nonzero(), one.any(0).nonzero()
            if len(rows) == 0:
                boxes.append([0, 0, 0, 0])
                continue
            y0, y1 = int(rows[0, 0]), int(rows[-1, 0]) + 1
            x0, x1 = int(columns[0, 0]), int(columns[-1, 0]) + 1
            # One working pixel more on each side: the band may bulge between samples.
            boxes.append(
                [
                    max(0, int((x0 - 1) * scale[1])),
                    max(0, int((y0 - 1) * scale[0])),
                    min(self.width, int((x1 + 1) * scale[1]) + 1),
                    min(self.height, int((y1 + 1) * scale[0]) + 1),
                ]
            )
        return torch.tensor(boxes, dtype=torch.long, device=self.device)

    def save(self, folder: Path) -> None:
        """Write the atlas into a folder atomically, replacing an existing one."""
        about = {
            "size": [self.frames, self.height, self.width],
            "work": list(self.work),
            "bg_every": list(self.bg_every),
            "numbers": self.numbers,
        }
        files.write(folder, files.EXPLICIT, self.tensors, about)

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> Atlas:
        """Read what `save` wrote. JobError atlas_unreadable if it cannot be read."""
        try:
            about, tensors = files.read(folder, files.EXPLICIT, device)
            if about["format"] < 3:  # one object, some of its tensors without a prefix
                tensors = {f"fg_{k}" if k in UNPREFIXED else k: v for k, v in tensors.items()}
            frames, height, width = about["size"]
            work_h, work_w = about["work"]
            return cls(
                (frames, height, width),
                (work_h, work_w),
                tuple(about["bg_every"]),
                tensors,
                about["numbers"],
            )
        except files.UNREADABLE as problem:
            raise files.unreadable(problem) from problem
