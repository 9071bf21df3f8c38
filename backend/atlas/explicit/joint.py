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
from backend.atlas.explicit.colours import held_out_blocks
from backend.atlas.explicit.config import AtlasConfig
from backend.atlas.explicit.model import Atlas
from backend.atlas.explicit.optim import RowAdam
from backend.atlas.layers import opacities, over, prefix, shares
from backend.atlas.sampling import pixel_centres, sample
from backend.checkpoint import Checkpoint, State
from backend.motion import flow as flow_room
from backend.progress import Reporter

LATTICE = 4  # pixels between the points where maps are compared along flow
BETAS = (0.9, 0.99)
MAPS = ("knots0", "knots1")
ALL = (*MAPS, "alpha0", "alpha1", "gain", "image")


@dataclass
class Material:
    """What the fit looks at, on its device.

    frames: uint8 [T,3,H,W]. kept: bool [T,1,H,W], false where colours are held out. flow:
    (from, to) → [2,h,w] pixels and trusted → [1,h,w], on the lattice `points` [h,w,2].
    """

    frames: Tensor
    kept: Tensor
    flow: dict[tuple[int, int], tuple[Tensor, Tensor]]
    points: Tensor
    pairs: list[tuple[int, int]]


def _lattice(size: tuple[int, int]) -> tuple[int, int]:
    return -(-size[0] // LATTICE), -(-size[1] // LATTICE)


def gather(
    small: NDArray[np.uint8],
    flows: flow_room.Flows,
    config: AtlasConfig,
    device: torch.device,
    generator: torch.Generator,
) -> Material:
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
    return Material(
        frames=torch.from_numpy(small).permute(0, 3, 1, 2).contiguous().to(device),
        kept=kept.to(device),
        flow=thin,
        points=points.to(device),
        pairs=[(t, t + gap) for gap in flows.gaps for t in range(count - gap)],
    )


def _draw(pairs: list[tuple[int, int]], count: int, generator: torch.Generator) -> list[int]:
    """Indices of pairs, every gap as likely as another."""
    by_gap: dict[int, list[int]] = {}
    for i, (a, b) in enumerate(pairs):
        by_gap.setdefault(b - a, []).append(i)
    groups = list(by_gap.values())
    picks = torch.randint(0, 1 << 30, (count, 2), generator=generator).tolist()
    return [groups[a % len(groups)][b % len(groups[a % len(groups)])] for a, b in picks]


class _Step:
    """Frames of one step and where each one's partner is in the batch."""

    def __init__(self, material: Material, drawn: list[int], device: torch.device) -> None:
        pairs = [material.pairs[i] for i in drawn]
        numbers = sorted({t for pair in pairs for t in pair})
        place = {t: i for i, t in enumerate(numbers)}
        both = pairs + [(b, a) for a, b in pairs]
        self.t = torch.tensor(numbers, device=device)
        self.here = torch.tensor([place[a] for a, _ in both], device=device)
        self.there = torch.tensor([place[b] for _, b in both], device=device)
        self.near = torch.tensor([float(abs(a - b) <= 2) for a, b in both], device=device)
        self.flow = torch.stack([material.flow[key][0] for key in both])
        self.sure = torch.stack([material.flow[key][1] for key in both])
        points = material.points[None]
        self.start = points.expand(len(both), -1, -1, -1)
        self.end = points + self.flow.permute(0, 2, 3, 1)


def _fitted(atlas: Atlas, kinds: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the tensors of these kinds, of all layers; the background has no opacity."""
    names = (f"{prefix(layer)}_{kind}" for kind in kinds for layer in atlas.layers)
    return tuple(name for name in names if name in atlas.tensors)


def _rows(atlas: Atlas, t: Tensor, names: tuple[str, ...]) -> dict[str, Tensor | None]:
    """Rows of tensors that frames touch; None for all of them."""
    rows: dict[str, Tensor | None] = dict.fromkeys(names, t)
    for name in names:
        if name.startswith("bg_knots"):
            rows[name] = torch.unique(atlas.time_rows(t, int(name[-1]))[0])
        elif name.endswith("image"):
            rows[name] = None
    return rows


def _magnification(atlas: Atlas, layer: str, t: Tensor) -> Tensor:
    """How much a base map enlarges at the frame's centre, [B]."""
    m = atlas.tensors[f"{layer}_base"][t]
    h, w = atlas.work
    centre = m.new_tensor([w / 2, h / 2, 1.0])
    depth = m[:, 2] @ centre
    area: Tensor = torch.linalg.det(m).abs() / depth.abs().pow(3)
    return area.sqrt().clamp(0.05, 20)


def _map_losses(
    atlas: Atlas,
    step: _Step,
    here: dict[str, Tensor],
    there: dict[str, Tensor],
    config: AtlasConfig,
    w_flow: float,
) -> Tensor:
    """Flow agreement and rigidity of all layers' maps, on the lattice.

    here, there: the objects' opacities [pairs,1,h,w] at both ends of the flow, taken as given.
    """
    total = step.sure.new_zeros(())
    size = _lattice(atlas.work)
    spacing = (atlas.work[0] / size[0], atlas.work[1] / size[1])
    seen_here, seen_there = shares(here), shares(there)
    for layer in atlas.layers:
        k = prefix(layer)
        rigid = config.w_rigid_bg if k == "bg" else config.w_rigid_fg
        share = seen_here[layer] * seen_there[layer]
        flat = atlas.reference(layer, step.t, size)
        ahead = losses.look_up(flat.index_select(0, step.there), step.end, atlas.work)
        gap = losses.along_flow(
            flat.index_select(0, step.here), ahead, share * step.sure, config.flow_cap
        )
        scale = _magnification(atlas, k, step.t)
        total = total + w_flow * gap + rigid * losses.rigidity(flat, scale, spacing)
    return total


def _mask_losses(
    atlas: Atlas, t: Tensor, alphas: dict[str, Tensor], config: AtlasConfig
) -> tuple[Tensor, Tensor]:
    """`losses.mask_pull` of all objects, each only where no object in front of it may be."""
    pulls: list[tuple[Tensor, Tensor]] = []
    known: Tensor | None = None
    for layer, alpha in alphas.items():
        distance = atlas.distance(layer, t, (alpha.shape[2], alpha.shape[3]))
        pulls.append(losses.mask_pull(alpha, distance, config.edge_free, known))
        clear = distance > config.edge_free
        known = clear if known is None else known & clear
    pull, outside = zip(*pulls, strict=True)
    return torch.stack(pull).sum(), torch.stack(outside).sum()


def _unsteady(step: _Step, here: dict[str, Tensor], there: dict[str, Tensor]) -> Tensor:
    """Change of the objects' opacities along short flow; behind others it is not their flow."""
    changes: list[Tensor] = []
    left = step.sure * step.near[:, None, None, None]
    for layer, alpha in here.items():
        changes.append(((alpha - there[layer]).abs() * left).mean())
        left = left * (1 - alpha.detach()) * (1 - there[layer].detach())
    return torch.stack(changes).sum()


def unwrap(
    atlas: Atlas,
    material: Material,
    config: AtlasConfig,
    generator: torch.Generator,
    report: Reporter,
) -> None:
    """Fit all maps to flow and rigidity alone, on a coarse lattice; no colours, fixed opacity."""
    if not material.pairs:
        return
    names = _fitted(atlas, MAPS)
    optimiser = _optimiser(atlas, names, config)
    size = _lattice(atlas.work)
    batch = 12 if atlas.device.type == "cpu" else 48
    for i in range(config.uv_steps):
        report.step("Unwrapping", i, config.uv_steps)
        step = _Step(material, _draw(material.pairs, batch, generator), atlas.device)
        with torch.no_grad():
            alphas = opacities(atlas, step.t, size)
            here = {layer: alpha.index_select(0, step.here) for layer, alpha in alphas.items()}
            there = {
                layer: losses.look_up(alpha.index_select(0, step.there), step.end, atlas.work)
                for layer, alpha in alphas.items()
            }
        loss = _map_losses(atlas, step, here, there, config, config.w_flow_alone)
        torch.autograd.backward(loss)
        optimiser.step(_rows(atlas, step.t, names), _fall((1.0, 0.1), i / config.uv_steps))
    _freeze(atlas, names)


def _fall(ends: tuple[float, float], progress: float) -> float:
    """Geometric from the first to the second."""
    return float(ends[0] * (ends[1] / ends[0]) ** progress)


def _between(ends: tuple[float, float], progress: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * progress


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


def joint(
    atlas: Atlas,
    material: Material,
    config: AtlasConfig,
    generator: torch.Generator,
    report: Reporter,
    phase: str,
    checkpoint: Checkpoint,
    numbers: dict[str, float],
    saved: State | None = None,
) -> None:
    """Fit maps, opacity and colours together.

    phase: ``half``, on frames of half the working size, or ``full``. saved: a state of this phase
    to go on from; atlas and generator are as they were then. numbers: kept with each checkpoint.
    """
    half = phase == "half"
    total = config.half_steps + config.full_steps
    first, last = (0, config.half_steps) if half else (config.half_steps, total)
    size = ((atlas.work[0] + 1) // 2, (atlas.work[1] + 1) // 2) if half else atlas.work
    names = _fitted(atlas, ALL)
    optimiser = _optimiser(atlas, names, config)
    if saved is not None:
        optimiser.restore(saved.tensors)

    def state(after: int) -> State:
        tensors = {f"atlas.{name}": value for name, value in atlas.tensors.items()}
        tensors |= {**optimiser.state(), "generator": generator.get_state()}
        return State(phase, after, tensors, numbers)

    decay = config.half_decay if half else config.full_decay
    count = config.pairs if atlas.device.type == "cpu" else config.pairs_cuda
    pairs = material.pairs
    for i in range(first if saved is None else saved.step, last):
        report.step("Fitting the atlas", i, total)
        progress = i / max(1, total - 1)
        step = _Step(material, _draw(pairs, count, generator), atlas.device)
        target, kept = _at(material, step.t, size)

        alphas = opacities(atlas, step.t, size)
        seen = {}
        for layer in atlas.layers:
            image = atlas.image(layer)
            # At half size a pixel covers four; the atlas is blurred by as much.
            image = (
                F.avg_pool2d(image, 2, ceil_mode=True, count_include_pad=False) if half else image
            )
            seen[layer] = sample(image, atlas.uv(layer, step.t, size)) * atlas.gain(
                layer, step.t, size
            )
        error = over(seen, alphas) - target
        grids = [atlas.tensors[f"{prefix(layer)}_gain"][step.t] for layer in atlas.layers]
        light = torch.stack(grids).square().mean()
        pull, outside = _mask_losses(atlas, step.t, alphas, config)
        here, there = {}, {}
        for layer, alpha in alphas.items():
            here[layer] = losses.look_up(alpha.index_select(0, step.here), step.start, atlas.work)
            there[layer] = losses.look_up(alpha.index_select(0, step.there), step.end, atlas.work)
        steady = _unsteady(step, here, there)
        loss = (
            losses.colour(error, kept, config.w_gradient)
            + _between(config.w_mask, progress) * pull
            + config.w_outside * outside
            + config.w_binary
            * progress
            * torch.stack([losses.binary(alpha) for alpha in alphas.values()]).sum()
            + config.w_alpha_flow * steady
            + config.w_gain * light
            + _map_losses(
                atlas,
                step,
                {layer: alpha.detach() for layer, alpha in here.items()},
                {layer: alpha.detach() for layer, alpha in there.items()},
                config,
                _between(config.w_flow, progress),
            )
        )
        torch.autograd.backward(loss)
        for layer in atlas.layers:
            colours = atlas.image(layer).grad
            if colours is not None:  # texels that are not covered keep their neighbours' colour
                colours *= atlas.coverage(layer)
        rows = _rows(atlas, step.t, names)
        optimiser.step(rows, _fall(decay, (i - first) / max(1, last - first)))
        with torch.no_grad():
            for layer in atlas.layers:
                atlas.image(layer).clamp_(0, 1)
        checkpoint.keep(partial(state, i + 1))
    _freeze(atlas, names)


def _at(material: Material, t: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Frames 0..1 and their kept pixels at a size: [B,3,H,W] and [B,1,H,W]."""
    target = material.frames[t].float() / 255
    kept = material.kept[t].float()
    if target.shape[2:] != size:
        target = F.interpolate(target, size=size, mode="area")
        # A half-size pixel is used only if none of its four is held out.
        kept = (F.interpolate(kept, size=size, mode="area") > 0.999).float()
    return target, kept
