"""The two iterative parts of a fit: maps to optical flow alone, then maps, opacity and colours.

Shapes: T frames · B frames of a step · H,W the step's resolution · h,w the flow lattice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.explicit import losses
from backend.atlas.explicit.config import AtlasConfig
from backend.atlas.explicit.model import Atlas
from backend.atlas.inputs import held_out_blocks
from backend.atlas.layers import opacities, over, prefix, shares
from backend.atlas.row_adam import RowAdam
from backend.atlas.sampling import pixel_centres, sample
from backend.checkpoint import Checkpoint, State
from backend.motion.flow import Flows
from backend.progress import Reporter
from backend.to_device import constant, send_numbers

LATTICE = 4  # pixels between the points where maps are compared along flow
BETAS = (0.9, 0.99)
MAPS = ("knots0", "knots1")
ALL = (*MAPS, "alpha0", "alpha1", "gain", "image")
HALF, FULL = "half", "full"
"""Phases of the joint fit: on frames of half the working size, then of the whole."""


@dataclass
class FitData:
    """The data that an atlas is fitted to, on the device.

    frames: uint8 [T,3,H,W]. kept: bool [T,1,H,W], false where colours are held out. flow:
    (from, to) → [2,h,w] pixels and trusted → [1,h,w], on the lattice `points` [h,w,2]. pairs:
    (from, to), from < to.
    """

    frames: Tensor
    kept: Tensor
    flow: dict[tuple[int, int], tuple[Tensor, Tensor]]
    points: Tensor
    pairs: list[tuple[int, int]]


def prepare(
    small: NDArray[np.uint8],
    flows: Flows,
    config: AtlasConfig,
    device: torch.device,
    generator: torch.Generator,
) -> FitData:
    """Put frames uint8 [T,H,W,3] and their flow on the device; draw the held-out blocks."""
    count, h, w, _ = small.shape
    y, x = pixel_centres(_lattice((h, w)), (h, w), torch.device("cpu"))
    points = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    grid = (points * (2 / torch.tensor([w, h])) - 1)[None]
    thin = {}
    for key, field in flows.between.items():
        at = torch.from_numpy(field.astype(np.float32)).permute(2, 0, 1)[None]
        sure = torch.from_numpy(flows.trusted[key].astype(np.float32))[None, None]
        both = F.grid_sample(torch.cat([at, sure], 1), grid, align_corners=False)[0]
        thin[key] = (both[:2].to(device), (both[2:] > 0.99).float().to(device))
    kept = held_out_blocks((count, h, w), config.held_out, generator)
    return FitData(
        frames=torch.from_numpy(small).permute(0, 3, 1, 2).contiguous().to(device),
        kept=kept.to(device),
        flow=thin,
        points=points.to(device),
        pairs=[(t, t + gap) for gap in flows.gaps for t in range(count - gap)],
    )


def unwrap(
    atlas: Atlas,
    data: FitData,
    config: AtlasConfig,
    generator: torch.Generator,
    report: Reporter,
) -> None:
    """Fit all maps to flow and rigidity alone, on a coarse lattice; no colours, fixed opacity."""
    if not data.pairs:
        return
    names = _fitted(atlas, MAPS)
    optimiser = _optimiser(atlas, names, config)
    size = _lattice(atlas.work)
    for i in range(config.uv_steps):
        report.step("Unwrapping", i, config.uv_steps)
        batch = _Batch(data, _draw(data.pairs, config.uv_pairs, generator), atlas)
        with torch.no_grad():
            alphas = opacities(atlas, batch.t, size)
            here = {layer: alpha.index_select(0, batch.here) for layer, alpha in alphas.items()}
            there = {
                layer: losses.look_up(alpha.index_select(0, batch.there), batch.end, atlas.work)
                for layer, alpha in alphas.items()
            }
        loss = _map_losses(atlas, batch, here, there, config, config.w_flow_alone)
        torch.autograd.backward(loss)
        optimiser.step(_rows(batch, names), _geometric((1.0, 0.1), i / config.uv_steps))
    _freeze(atlas, names)


@dataclass
class JointFit:
    """Fits maps, opacity and colours of an atlas together.

    numbers: measures of the masks, saved with each checkpoint.
    """

    atlas: Atlas
    data: FitData
    config: AtlasConfig
    generator: torch.Generator
    report: Reporter
    checkpoint: Checkpoint
    numbers: dict[str, float]

    def run(self, phase: str, saved: State | None = None) -> None:
        """Run the phase ``half`` or ``full``.

        saved: a state of this phase to resume from; atlas and generator are as they were then.
        """
        atlas, config = self.atlas, self.config
        total = config.half_steps + config.full_steps
        first, last = (0, config.half_steps) if phase == HALF else (config.half_steps, total)
        decay = config.half_decay if phase == HALF else config.full_decay
        names = _fitted(atlas, ALL)
        optimiser = _optimiser(atlas, names, config)
        if saved is not None:
            optimiser.restore(saved.tensors)
        for i in range(first if saved is None else saved.step, last):
            self.report.step("Fitting the atlas", i, total)
            batch = _Batch(self.data, _draw(self.data.pairs, config.pairs, self.generator), atlas)
            torch.autograd.backward(self._loss(batch, phase, i / max(1, total - 1)))
            self._mask_colour_gradients()
            factor = _geometric(decay, (i - first) / max(1, last - first))
            optimiser.step(_rows(batch, names), factor)
            with torch.no_grad():
                for layer in atlas.layers:
                    atlas.image(layer).clamp_(0, 1)
            self.checkpoint.keep(partial(self._state, phase, i + 1, optimiser))
        _freeze(atlas, names)

    def _loss(self, batch: _Batch, phase: str, progress: float) -> Tensor:
        """The weighted sum of all losses on a batch. progress: through both phases, 0..1.

        Autograd sums gradients in the order of these lines; another order changes the last digits.
        """
        atlas, config, t = self.atlas, self.config, batch.t
        size = ((atlas.work[0] + 1) // 2, (atlas.work[1] + 1) // 2) if phase == HALF else atlas.work
        target, kept = _targets(self.data, t, size)
        alphas = opacities(atlas, t, size)
        error = over(self._seen(t, size, phase), alphas) - target
        grids = [atlas.tensors[f"{prefix(layer)}_gain"][t] for layer in atlas.layers]
        light = torch.stack(grids).square().mean()
        pull, outside = _mask_losses(atlas, t, alphas, config)
        here, there = {}, {}
        for layer, alpha in alphas.items():
            here[layer] = losses.look_up(alpha.index_select(0, batch.here), batch.start, atlas.work)
            there[layer] = losses.look_up(alpha.index_select(0, batch.there), batch.end, atlas.work)
        change = _opacity_change(batch, here, there)
        return (
            losses.colour(error, kept, config.w_gradient)
            + _linear(config.w_mask, progress) * pull
            + config.w_outside * outside
            + config.w_binary
            * progress
            * torch.stack([losses.binary(alpha) for alpha in alphas.values()]).sum()
            + config.w_alpha_flow * change
            + config.w_gain * light
            + _map_losses(
                atlas,
                batch,
                {layer: alpha.detach() for layer, alpha in here.items()},
                {layer: alpha.detach() for layer, alpha in there.items()},
                config,
                _linear(config.w_flow, progress),
            )
        )

    def _seen(self, t: Tensor, size: tuple[int, int], phase: str) -> dict[str, Tensor]:
        """Every layer's colours at frames t, [B,3,H,W], before the layers cover each other."""
        atlas = self.atlas
        seen = {}
        for layer in atlas.layers:
            image = atlas.image(layer)
            if phase == HALF:  # a pixel covers four, so the atlas is blurred as much
                image = F.avg_pool2d(image, 2, ceil_mode=True, count_include_pad=False)
            uv = atlas.uv(layer, t, size)
            seen[layer] = sample(image, uv) * atlas.gain(layer, t, size)
        return seen

    def _mask_colour_gradients(self) -> None:
        """Texels that are not covered keep the colour they were filled with."""
        for layer in self.atlas.layers:
            gradient = self.atlas.image(layer).grad
            if gradient is not None:
                gradient *= self.atlas.coverage(layer)

    def _state(self, phase: str, step: int, optimiser: RowAdam) -> State:
        tensors = {f"atlas.{name}": value for name, value in self.atlas.tensors.items()}
        tensors |= {**optimiser.state(), "generator": self.generator.get_state()}
        return State(phase, step, tensors, self.numbers)


class _Batch:
    """Frames of one step and where each one's partner is in the batch.

    t [B]; here, there [P]: places of a pair's frames in t; near [P]: 1 for neighbouring frames;
    knots: rows of the background's temporal knots that the frames use, by level. All of them are
    known to the host, and go to the device in one copy.
    """

    def __init__(self, data: FitData, drawn: list[int], atlas: Atlas) -> None:
        pairs = [data.pairs[i] for i in drawn]
        numbers = sorted({t for pair in pairs for t in pair})
        place = {t: i for i, t in enumerate(numbers)}
        both = pairs + [(b, a) for a, b in pairs]
        self.t, self.here, self.there, near, *self.knots = send_numbers(
            [
                numbers,
                [place[a] for a, _ in both],
                [place[b] for _, b in both],
                [int(abs(a - b) <= 2) for a, b in both],
                *(atlas.time_knots(numbers, level) for level in range(len(atlas.bg_every))),
            ],
            atlas.device,
        )
        self.near = near.float()
        self.flow = torch.stack([data.flow[key][0] for key in both])
        self.sure = torch.stack([data.flow[key][1] for key in both])
        points = data.points[None]
        self.start = points.expand(len(both), -1, -1, -1)
        self.end = points + self.flow.permute(0, 2, 3, 1)


def _draw(pairs: list[tuple[int, int]], count: int, generator: torch.Generator) -> list[int]:
    """Random indices of pairs; every gap is equally likely."""
    by_gap: dict[int, list[int]] = {}
    for i, (a, b) in enumerate(pairs):
        by_gap.setdefault(b - a, []).append(i)
    groups = list(by_gap.values())
    picks = torch.randint(0, 1 << 30, (count, 2), generator=generator).tolist()
    return [groups[a % len(groups)][b % len(groups[a % len(groups)])] for a, b in picks]


def _targets(data: FitData, t: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Frames 0..1 and their kept pixels at a size: [B,3,H,W] and [B,1,H,W]."""
    target = data.frames[t].float() / 255
    kept = data.kept[t].float()
    if target.shape[2:] != size:
        target = F.interpolate(target, size=size, mode="area")
        # A half-size pixel is used only if none of its four is held out.
        kept = (F.interpolate(kept, size=size, mode="area") > 0.999).float()
    return target, kept


def _lattice(size: tuple[int, int]) -> tuple[int, int]:
    return -(-size[0] // LATTICE), -(-size[1] // LATTICE)


def _fitted(atlas: Atlas, kinds: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the tensors of these kinds, of all layers; the background has no opacity."""
    names = (f"{prefix(layer)}_{kind}" for kind in kinds for layer in atlas.layers)
    return tuple(name for name in names if name in atlas.tensors)


def _rows(batch: _Batch, names: tuple[str, ...]) -> dict[str, Tensor | None]:
    """Rows of tensors that a step touches; None for all of them."""
    rows: dict[str, Tensor | None] = dict.fromkeys(names, batch.t)
    for name in names:
        if name.startswith("bg_knots"):
            rows[name] = batch.knots[int(name[-1])]
        elif name.endswith("image"):
            rows[name] = None
    return rows


def _optimiser(atlas: Atlas, names: tuple[str, ...], config: AtlasConfig) -> RowAdam:
    for name in names:
        atlas.tensors[name].requires_grad_(True)
    by_kind = {"alpha": config.lr_alpha, "gain": config.lr_gain, "image": config.lr_image}
    rates = {}
    for name in names:
        k, _, kind = name.partition("_")
        knots = config.lr_bg if k == "bg" else config.lr_fg
        rates[name] = by_kind.get(kind.rstrip("01"), knots)
    return RowAdam({k: atlas.tensors[k] for k in names}, rates, BETAS)


def _freeze(atlas: Atlas, names: tuple[str, ...]) -> None:
    for name in names:
        atlas.tensors[name].requires_grad_(False)


def _map_losses(
    atlas: Atlas,
    batch: _Batch,
    here: dict[str, Tensor],
    there: dict[str, Tensor],
    config: AtlasConfig,
    w_flow: float,
) -> Tensor:
    """Flow agreement and rigidity of all layers' maps, on the lattice.

    here, there: the objects' opacities [pairs,1,h,w] at both ends of the flow, held constant.
    """
    total = batch.sure.new_zeros(())
    size = _lattice(atlas.work)
    spacing = (atlas.work[0] / size[0], atlas.work[1] / size[1])
    seen_here, seen_there = shares(here), shares(there)
    for layer in atlas.layers:
        k = prefix(layer)
        rigid = config.w_rigid_bg if k == "bg" else config.w_rigid_fg
        share = seen_here[layer] * seen_there[layer]
        flat = atlas.reference(layer, batch.t, size)
        ahead = losses.look_up(flat.index_select(0, batch.there), batch.end, atlas.work)
        gap = losses.along_flow(
            flat.index_select(0, batch.here), ahead, share * batch.sure, config.flow_cap
        )
        scale = _magnification(atlas, k, batch.t)
        total = total + w_flow * gap + rigid * losses.rigidity(flat, scale, spacing)
    return total


def _magnification(atlas: Atlas, layer: str, t: Tensor) -> Tensor:
    """How much a base map enlarges at the frame's centre, [B]."""
    m = atlas.tensors[f"{layer}_base"][t]
    h, w = atlas.work
    centre = constant((w / 2, h / 2, 1.0), m.device).to(m.dtype)
    depth = m[:, 2] @ centre
    area: Tensor = torch.linalg.det(m).abs() / depth.abs().pow(3)
    return area.sqrt().clamp(0.05, 20)


def _mask_losses(
    atlas: Atlas, t: Tensor, alphas: dict[str, Tensor], config: AtlasConfig
) -> tuple[Tensor, Tensor]:
    """`losses.mask_pull` summed over objects, each only where no object in front may cover it."""
    pulls: list[tuple[Tensor, Tensor]] = []
    known: Tensor | None = None
    for layer, alpha in alphas.items():
        distance = atlas.distance(layer, t, (alpha.shape[2], alpha.shape[3]))
        pulls.append(losses.mask_pull(alpha, distance, config.edge_free, known))
        clear = distance > config.edge_free
        known = clear if known is None else known & clear
    pull, outside = zip(*pulls, strict=True)
    return torch.stack(pull).sum(), torch.stack(outside).sum()


def _opacity_change(batch: _Batch, here: dict[str, Tensor], there: dict[str, Tensor]) -> Tensor:
    """Change of opacity along short flow, summed over objects, each where nothing covers it."""
    changes: list[Tensor] = []
    left = batch.sure * batch.near[:, None, None, None]
    for layer, alpha in here.items():
        changes.append(((alpha - there[layer]).abs() * left).mean())
        left = left * (1 - alpha.detach()) * (1 - there[layer].detach())
    return torch.stack(changes).sum()


def _geometric(ends: tuple[float, float], progress: float) -> float:
    """Geometric interpolation from start to end. progress: 0..1."""
    return float(ends[0] * (ends[1] / ends[0]) ** progress)


def _linear(ends: tuple[float, float], progress: float) -> float:
    """Linear interpolation from start to end. progress: 0..1."""
    return ends[0] + (ends[1] - ends[0]) * progress
