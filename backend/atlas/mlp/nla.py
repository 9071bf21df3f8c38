"""Import the networks of the released Layered Neural Atlases from its checkpoint.

The file holds a state dict for each of four networks: the mappings ``model_F_mapping1`` (object)
and ``model_F_mapping2`` (background), ``model_F_alpha`` and ``F_atlas``. They are ours but for the
order of the encoded input's columns, and their points start at the first pixel
(MlpConfig.coordinates ``corner``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.mlp.bake import Masked, bake, opacity
from backend.atlas.mlp.config import REFERENCE, MlpConfig
from backend.atlas.mlp.model import MlpAtlas
from backend.atlas.mlp.networks import Frame, Networks
from backend.atlas.quality import PHASE as CHECKING
from backend.atlas.quality import rebuild
from backend.device_errors import is_out_of_memory
from backend.progress import Reporter
from protocol.jobs import JobError

NETWORKS = {
    "map_fg": "model_F_mapping1_state_dict",
    "map_bg": "model_F_mapping2_state_dict",
    "opacity": "model_F_alpha_state_dict",
    "atlas": "F_atlas_state_dict",
}
MAX_WEIGHTS = 2**26  # of one network; the released ones have less than 2**20
SOLID = 0.5  # opacity from which a pixel counts as the object's
HALF_OPEN = 0.5  # raw opacity below which a pixel counts for the extent of the background's edits
EXTENT = ("nla_background_u", "nla_background_v", "nla_background_side")
"""Names of an imported atlas's numbers that say where its background's RGBA edits lie."""


@dataclass(frozen=True)
class Layers:
    """The weights of one network, layer by layer."""

    weights: list[Tensor]
    biases: list[Tensor]

    @property
    def width(self) -> int:
        """Units of a hidden layer."""
        return len(self.weights[0])


def read_networks(path: Path) -> Networks:
    """The four networks of a checkpoint file, on the CPU.

    Raises JobError: ``checkpoint_missing``, ``checkpoint_unreadable`` (not readable as tensors; no
    code in it is run), ``checkpoint_foreign`` (something else, or networks with another layout).
    """
    loaded = _load(path)
    if not all(isinstance(loaded.get(name), Mapping) for name in NETWORKS.values()):
        raise _foreign(path, f"it has no {', '.join(NETWORKS.values())}")
    try:
        layers = {own: _layers(loaded[name]) for own, name in NETWORKS.items()}
        config = _config_of(layers)
        networks = Networks(config)
        for own, one in layers.items():
            _fill(getattr(networks, own), one, _octaves(own, config))
    except (KeyError, ValueError, IndexError, RuntimeError) as why:
        raise _foreign(path, str(why).splitlines()[0] if str(why) else repr(why)) from why
    return networks.requires_grad_(False)


def import_atlas(
    networks: Networks,
    frames: NDArray[np.uint8],
    work: tuple[int, int],
    device: torch.device,
    report: Reporter,
) -> MlpAtlas:
    """The atlas of imported networks and the clip they were fitted to.

    frames: uint8 [T,H,W,3], all that they were fitted to. work: height and width at that time.
    """
    count, height, width = frames.shape[:3]
    config = networks.config
    networks = networks.to(device)
    frame = Frame(work, count, config.uv_scale, config.coordinates)
    everywhere = torch.ones(count, *work, dtype=torch.bool, device=device)
    with torch.no_grad():
        alpha = opacity(networks, frame, Masked(everywhere), report)
    atlas = bake(
        networks, frame, Masked(alpha[:, 0] > SOLID), (count, height, width), report, alpha
    )
    extent = dict(zip(EXTENT, _extent_of_edits(atlas, alpha), strict=True))
    atlas.numbers = {"psnr": _psnr(atlas, frames, report), **extent}
    return atlas


def repainted(atlas: MlpAtlas, layer: str, edit: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An RGBA edit made for the released code, as paint for our atlas of the same networks.

    edit: uint8 [S,S,4], straight alpha; the object's covers its whole square, the background's the
    part that it uses. Returns uint8 [Ha,Wa,4] of the atlas's size, clear where the edit ends.
    Raises JobError ``not_imported``.
    """
    if not all(name in atlas.numbers for name in EXTENT):
        raise JobError(
            "not_imported",
            "This atlas was not imported, so edits made for the released code do not fit it.",
            "Import the checkpoint with text2live-atlas import first.",
        )
    window = atlas.tensors["bg_window" if layer == "background" else "fg_window"].cpu()
    rows, columns = atlas.image(layer).shape[-2:]
    u = window[0] + (torch.arange(columns) + 0.5) / columns * (window[2] - window[0])
    v = window[1] + (torch.arange(rows) + 0.5) / rows * (window[3] - window[1])
    left, top, side = 0.0, 0.0, 1.0
    shift = 0.5
    if layer == "background":
        left, top, side = (atlas.numbers[name] for name in EXTENT)
        shift = -0.5
    # The released code reads texel i at i/S of the side, hence the half texel.
    size = edit.shape[0]
    x, y = (((one * 0.5 + shift - first) / side + 0.5 / size) * 2 - 1
            for one, first in ((u, left), (v, top)))  # fmt: skip
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None]
    rgba = torch.from_numpy(np.ascontiguousarray(edit)).float().permute(2, 0, 1)[None] / 255
    alpha = rgba[:, 3:]
    weighted = torch.cat([rgba[:, :3] * alpha, alpha], dim=1)
    seen = F.grid_sample(weighted, grid, align_corners=False)
    colour = seen[:, :3] / seen[:, 3:].clamp_min(1e-6)
    straight = torch.cat([colour * (seen[:, 3:] > 0), seen[:, 3:]], dim=1)
    rounded = (straight[0].permute(1, 2, 0).clamp(0, 1) * 255).round().to(torch.uint8)
    made: NDArray[np.uint8] = np.ascontiguousarray(rounded.numpy())
    return made


@torch.no_grad()
def _psnr(atlas: MlpAtlas, frames: NDArray[np.uint8], report: Reporter) -> float:
    """How closely the atlas reproduces the clip at the working size, dB."""
    error = 0.0
    for index, frame in enumerate(frames):
        report.step(CHECKING, index, len(frames))
        made, _ = rebuild(atlas, torch.tensor([index], device=atlas.device), atlas.work)
        wanted = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float() / 255
        wanted = F.interpolate(wanted, atlas.work, mode="bilinear", antialias=True)
        error += float((made.clamp(0, 1).cpu() - wanted).square().mean()) / len(frames)
    return -10 * math.log10(max(error, 1e-10))


def _load(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise JobError(
            "checkpoint_missing", f"There is no checkpoint at {path}.", "Correct the path."
        )
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as why:  # what torch.load raises for damaged files has no common kind
        if is_out_of_memory(why):
            raise
        raise JobError(
            "checkpoint_unreadable",
            f"The checkpoint {path} is damaged, or contains more than tensors.",
            "Copy or download it again.",
        ) from why
    if not isinstance(loaded, Mapping):
        raise _foreign(path, "it is not a set of networks")
    return loaded


def _foreign(path: Path, why: str) -> JobError:
    return JobError(
        "checkpoint_foreign",
        f"{path} is not a checkpoint of Layered Neural Atlases with its usual networks: {why}.",
        "Choose the file “checkpoint” that the training wrote.",
    )


def _layers(state: Mapping[str, Tensor]) -> Layers:
    count = len(state) // 2
    names = [f"hidden.{i}" for i in range(count)]
    if set(state) != {f"{n}.{kind}" for n in names for kind in ("weight", "bias")}:
        raise ValueError("its layers are not called hidden.0, hidden.1, …")
    if not all(isinstance(one, Tensor) and one.is_floating_point() for one in state.values()):
        raise ValueError("its layers are no tensors of numbers")
    # By their sizes: a tensor of any size may stand for one number in the file.
    if sum(one.numel() for one in state.values()) > MAX_WEIGHTS:
        raise ValueError("its layers are too large")
    weights = [state[f"{n}.weight"].float() for n in names]
    biases = [state[f"{n}.bias"].float() for n in names]
    if any(one.ndim != 2 or not one.numel() for one in weights):
        raise ValueError("its layers are no matrices")
    if not all(torch.isfinite(one).all() for one in (*weights, *biases)):
        raise ValueError("it holds numbers that are not finite")
    return Layers(weights, biases)


def _config_of(layers: Mapping[str, Layers]) -> MlpConfig:
    """The sizes of the networks, from the shapes of their weights."""
    fg, bg, alpha, atlas = (layers[name] for name in NETWORKS)
    if fg.weights[0].shape[1] != 3 or bg.weights[0].shape[1] != 3:
        raise ValueError("its mappings take encoded points, which is not supported")
    if fg.width != bg.width:
        raise ValueError("its two mappings differ in width, which is not supported")
    if alpha.weights[0].shape[1] % 6 or atlas.weights[0].shape[1] % 4:
        raise ValueError("the encoded points have an odd number of values")
    inner = enumerate(atlas.weights[1:], start=1)
    return replace(
        REFERENCE, map_width=fg.width, fg_layers=len(fg.weights), bg_layers=len(bg.weights),
        alpha_width=alpha.width, alpha_layers=len(alpha.weights),
        alpha_frequencies=alpha.weights[0].shape[1] // 6, atlas_width=atlas.width,
        atlas_layers=len(atlas.weights), atlas_frequencies=atlas.weights[0].shape[1] // 4,
        atlas_skips=tuple(i for i, one in inner if one.shape[1] > atlas.width),
    )  # fmt: skip


def _octaves(name: str, config: MlpConfig) -> int:
    return {"opacity": config.alpha_frequencies, "atlas": config.atlas_frequencies}.get(name, 0)


def _fill(network: Any, layers: Layers, octaves: int) -> None:
    """Copy the weights, with the columns of the encoded input in our order."""
    encoded = layers.weights[0].shape[1]
    order = _columns(encoded, octaves)
    for index, (own, weight, bias) in enumerate(
        zip(network.layers, layers.weights, layers.biases, strict=True)
    ):
        if octaves and (index == 0 or index in network.skips):
            before = weight.shape[1] - encoded
            weight = torch.cat([weight[:, :before], weight[:, before:][:, order]], dim=1)
        if own.weight.shape != weight.shape or own.bias.shape != bias.shape:
            raise ValueError(f"layer {index} has an unexpected shape {list(weight.shape)}")
        own.weight.data.copy_(weight)
        own.bias.data.copy_(bias)


def _columns(encoded: int, octaves: int) -> Tensor:
    """Where each of our encoded values lies in theirs.

    Theirs: octave by octave, the sines of all coordinates, then the cosines. Ours: all sines, then
    all cosines, coordinate by coordinate.
    """
    if not octaves:
        return torch.arange(encoded)
    theirs = torch.arange(encoded).reshape(octaves, 2, -1)
    return theirs.permute(1, 2, 0).flatten()


def _extent_of_edits(atlas: MlpAtlas, alpha: Tensor) -> tuple[float, float, float]:
    """Corner and side of the square that the released code shows of the background's atlas.

    It is the range of the background's coordinates where the opacity network is below one half of
    its −1..1, in the plane that both layers share.
    """
    low, high = torch.full((2,), 1.0), torch.full((2,), -1.0)
    # Opacity 0..1 stands for −1..1.
    level = (HALF_OPEN + 1) / 2
    for t in range(atlas.frames):
        plane = atlas.plane("background", torch.tensor([t]), atlas.work)[0].cpu()
        shown = (plane * 0.5 - 0.5)[:, alpha[t, 0].cpu() < level]
        if shown.numel():
            low = torch.minimum(low, shown.amin(1))
            high = torch.maximum(high, shown.amax(1))
    low, high = low.clamp(min=-1), high.clamp(max=1)
    return float(low[0]), float(low[1]), float((high - low).max().clamp_min(1e-6))
