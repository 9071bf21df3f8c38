"""The networks' decomposition as a LayeredAtlas: tables baked from the networks once.

Shapes: T frames · h,w the working size · B,H,W the requested output · Ha,Wa of an atlas.
The mappings have no fine detail (no positional encoding), so they are stored on a lattice and
interpolated; opacity is stored at every working pixel. The networks themselves are saved too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.atlas import files
from backend.atlas.layers import prefix
from backend.atlas.mlp.config import MlpConfig
from backend.atlas.mlp.networks import Networks
from backend.atlas.sampling import pixel_centres, resize
from protocol.layers import layers_of

NETWORK = "network."
LAYERS = layers_of(1)


class MlpAtlas:
    """A clip decomposed by networks; see `LayeredAtlas` for its methods.

    tensors, per layer (fg, bg): ``*_uv`` [T,2,Ky,Kx], (u, v) on a lattice from edge to edge of the
    frame · ``*_window`` [4], u0 v0 u1 v1 of the baked part · ``*_image`` [1,3,Ha,Wa], 0..1 ·
    ``*_cover`` [1,1,Ha,Wa]. ``alpha`` [T,1,h,w] half · ``boxes`` [T,4], x0 y0 x1 y1, working
    pixels · ``distance`` [T,1,h/2,w/2] half, to the rough mask · ``network.*``: the weights.
    """

    def __init__(
        self,
        size: tuple[int, int, int],
        work: tuple[int, int],
        architecture: dict[str, Any],
        tensors: dict[str, Tensor],
        numbers: dict[str, float],
    ) -> None:
        self.frames, self.height, self.width = size
        self.work = work
        self.architecture = architecture
        self.tensors = tensors
        self.numbers = numbers

    @property
    def layers(self) -> tuple[str, ...]:
        """``foreground`` and ``background``: the networks separate one object."""
        return LAYERS

    def _prefix(self, layer: str) -> str:
        if layer not in LAYERS:
            raise ValueError(f"layer is one of {LAYERS}, not {layer!r}")
        return prefix(layer)

    def _object(self, layer: str) -> None:
        if self._prefix(layer) != "fg":
            raise ValueError(f"an object is {LAYERS[:-1]}, not {layer!r}")

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return self.tensors["boxes"].device

    def networks(self) -> Networks:
        """The fitted networks, rebuilt from the stored weights."""
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in self.architecture.items()
        }
        networks = Networks(MlpConfig(**fields)).to(self.device)
        own = {k: v for k, v in self.tensors.items() if k.startswith(NETWORK)}
        networks.load_state_dict({k.removeprefix(NETWORK): v for k, v in own.items()})
        return networks

    def _size(self, size: tuple[int, int] | None) -> tuple[int, int]:
        return (self.height, self.width) if size is None else size

    def plane(self, layer: str, t: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """(u, v) of the paper, −1..1 on the layer's whole square: t [B] long → [B,2,H,W]."""
        y, x = pixel_centres(self._size(size), (2, 2), self.device)
        grid = torch.stack(torch.meshgrid(x - 1, y - 1, indexing="xy"), -1)
        table = self.tensors[f"{self._prefix(layer)}_uv"][t.to(self.device)]
        grid = grid.expand(len(table), -1, -1, -1)
        # The lattice's outermost points lie on the frame's edges, hence align_corners.
        return F.grid_sample(table, grid, padding_mode="border", align_corners=True)

    def uv(self, layer: str, t: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Where pixels lie in a layer's baked atlas: t [B] long → [B,H,W,2], −1..1."""
        window = self.tensors[f"{self._prefix(layer)}_window"]
        flat = self.plane(layer, t, size).permute(0, 2, 3, 1)
        return (flat - window[:2]) * (2 / (window[2:] - window[:2])) - 1

    def opacity(self, layer: str, t: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """The object's alpha: t [B] long → [B,1,H,W], 0..1, exactly 0 outside its box."""
        self._object(layer)
        t, size = t.to(self.device), self._size(size)
        y, x = pixel_centres(size, self.work, self.device)
        box = self.tensors["boxes"][t][:, :, None].float()
        rows = (y >= box[:, 1]) & (y < box[:, 3])
        columns = (x >= box[:, 0]) & (x < box[:, 2])
        inside = rows[:, None, :, None] & columns[:, None, None, :]
        return resize(self.tensors["alpha"][t].float(), size) * inside

    def gain(self, layer: str, t: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """1 everywhere, [B,1,H,W]: the paper's atlases have no lighting."""
        self._prefix(layer)
        return torch.ones(len(t), 1, *self._size(size), device=self.device)

    def distance(self, layer: str, t: Tensor, size: tuple[int, int]) -> Tensor:
        """Signed distance to the rough mask in working pixels, negative inside: [B,1,H,W]."""
        self._object(layer)
        return resize(self.tensors["distance"][t.to(self.device)].float(), size)

    def image(self, layer: str) -> Tensor:
        """The baked atlas: [1,3,Ha,Wa], 0..1 sRGB."""
        return self.tensors[f"{self._prefix(layer)}_image"]

    def texture(self, layer: str, t: Tensor) -> Tensor:
        """The same at every frame."""
        return self.image(layer)

    def coverage(self, layer: str) -> Tensor:
        """1 where some frame sees the texel, else 0: [1,1,Ha,Wa] float."""
        return self.tensors[f"{self._prefix(layer)}_cover"]

    def box(self, layer: str, t: Tensor) -> Tensor:
        """The object's box per frame: t [B] long → [B,4] long, x0 y0 x1 y1 in the clip's pixels.

        Outside it the opacity is 0. x1 and y1 are exclusive; all 0 where there is no object.
        """
        self._object(layer)
        boxes = self.tensors["boxes"][t.to(self.device)].double()
        scale = boxes.new_tensor([self.width / self.work[1], self.height / self.work[0]])
        first, last = (boxes[:, :2] * scale).floor(), (boxes[:, 2:] * scale).ceil()
        return torch.cat([first, last], 1).long()

    def save(self, folder: Path) -> None:
        """Write the atlas into a folder atomically, replacing an existing one."""
        about = {
            "size": [self.frames, self.height, self.width],
            "work": list(self.work),
            "architecture": self.architecture,
            "numbers": self.numbers,
        }
        files.write(folder, files.MLP, self.tensors, about)

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> MlpAtlas:
        """Read what `save` wrote. JobError atlas_unreadable if it cannot be read."""
        try:
            about, tensors = files.read(folder, files.MLP, device)
            frames, height, width = about["size"]
            h, w = about["work"]
            size = (frames, height, width)
            return cls(size, (h, w), about["architecture"], tensors, about["numbers"])
        except files.UNREADABLE as problem:
            raise files.unreadable(problem) from problem
