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

from backend.atlas import flow as flow_room
from backend.atlas import losses
from backend.atlas.checkpoint import Checkpoint, State
from backend.atlas.colours import held_out_blocks
from backend.atlas.config import AtlasConfig
from backend.atlas.model import Atlas
from backend.atlas.optim import RowAdam
from backend.atlas.sampling import pixel_centres, sample
from backend.progress import Reporter

LATTICE = 4  # pixels between the points where maps are compared along flow
LAYERS = (("fg", "foreground"), ("bg", "background"))
BETAS = (0.9, 0.99)
MAPS = ("fg_knots0", "fg_knots1", "bg_knots0", "bg_knots1")
ALL = (*MAPS, "alpha0", "alpha1", "fg_gain", "bg_gain", "fg_image", "bg_image")


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
    atlas: Atlas, step: _Step, a_here: Tensor, a_there: Tensor, config: AtlasConfig, w_flow: float
) -> Tensor:
    """Flow agreement and rigidity of both layers' maps, on the lattice.

    a_here, a_there [pairs,1,h,w]: opacity at both ends of the flow, taken as given.
    """
    total = a_here.new_zeros(())
    size = _lattice(atlas.work)
    spacing = (atlas.work[0] / size[0], atlas.work[1] / size[1])
    for k, layer in LAYERS:
        rigid = config.w_rigid_fg if k == "fg" else config.w_rigid_bg
        share = a_here * a_there if k == "fg" else (1 - a_here) * (1 - a_there)
        flat = atlas.reference(layer, step.t, size)
        there = losses.look_up(flat[step.there], step.end, atlas.work)
        gap = losses.along_flow(flat[step.here], there, share * step.sure, config.flow_cap)
        scale = _magnification(atlas, k, step.t)
        total = total + w_flow * gap + rigid * losses.rigidity(flat, scale, spacing)
    return total


def unwrap(
    atlas: Atlas,
    material: Material,
    config: AtlasConfig,
    generator: torch.Generator,
    report: Reporter,
) -> None:
    """Fit both maps to flow and rigidity alone, on a coarse lattice; no colours, fixed opacity."""
    if not material.pairs:
        return
    optimiser = _optimiser(atlas, MAPS, config)
    size = _lattice(atlas.work)
    batch = 12 if atlas.device.type == "cpu" else 48
    for i in range(config.uv_steps):
        report.step("Unwrapping", i, config.uv_steps)
        step = _Step(material, _draw(material.pairs, batch, generator), atlas.device)
        with torch.no_grad():
            alpha = atlas.opacity(step.t, size)
            a_there = losses.look_up(alpha[step.there], step.end, atlas.work)
        loss = _map_losses(atlas, step, alpha[step.here], a_there, config, config.w_flow_alone)
        torch.autograd.backward(loss)
        optimiser.step(_rows(atlas, step.t, MAPS), _fall((1.0, 0.1), i / config.uv_steps))
    _freeze(atlas, MAPS)


def _fall(ends: tuple[float, float], progress: float) -> float:
    """Geometric from the first to the second."""
    return float(ends[0] * (ends[1] / ends[0]) ** progress)


def _between(ends: tuple[float, float], progress: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * progress


def _optimiser(atlas: Atlas, names: tuple[str, ...], config: AtlasConfig) -> RowAdam:
    for name in names:
        atlas.tensors[name].requires_grad_(True)
    by_kind = {
        "fg_knots": config.lr_fg,
        "bg_knots": config.lr_bg,
        "alpha": config.lr_alpha,
        "fg_gain": config.lr_gain,
        "bg_gain": config.lr_gain,
        "fg_image": config.lr_image,
        "bg_image": config.lr_image,
    }
    rates = {name: by_kind[name.rstrip("01")] for name in names}
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
    optimiser = _optimiser(atlas, ALL, config)
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

        alpha = atlas.opacity(step.t, size)
        seen = {}
        for k, layer in LAYERS:
            image = atlas.tensors[f"{k}_image"]
            # At half size a pixel covers four; the atlas is blurred by as much.
            image = (
                F.avg_pool2d(image, 2, ceil_mode=True, count_include_pad=False) if half else image
            )
            seen[k] = sample(image, atlas.uv(layer, step.t, size)) * atlas.gain(layer, step.t, size)
        error = seen["bg"] + alpha * (seen["fg"] - seen["bg"]) - target
        light = torch.stack([atlas.tensors[f"{k}_gain"][step.t] for k, _ in LAYERS]).square().mean()
        distance = atlas.distance(step.t, size)
        pull, outside = losses.mask_pull(alpha, distance, config.edge_free)
        a_here = losses.look_up(alpha[step.here], step.start, atlas.work)
        a_there = losses.look_up(alpha[step.there], step.end, atlas.work)
        steady = ((a_here - a_there).abs() * step.sure * step.near[:, None, None, None]).mean()
        loss = (
            losses.colour(error, kept, config.w_gradient)
            + _between(config.w_mask, progress) * pull
            + config.w_outside * outside
            + config.w_binary * progress * losses.binary(alpha)
            + config.w_alpha_flow * steady
            + config.w_gain * light
            + _map_losses(
                atlas,
                step,
                a_here.detach(),
                a_there.detach(),
                config,
                _between(config.w_flow, progress),
            )
        )
        torch.autograd.backward(loss)
        for k, _ in LAYERS:
            colours = atlas.tensors[f"{k}_image"].grad
            if colours is not None:  # texels that are not covered keep their neighbours' colour
                colours *= atlas.tensors[f"{k}_cover"]
        rows = _rows(atlas, step.t, ALL)
        optimiser.step(rows, _fall(decay, (i - first) / max(1, last - first)))
        with torch.no_grad():
            for k, _ in LAYERS:
                atlas.tensors[f"{k}_image"].clamp_(0, 1)
        checkpoint.keep(partial(state, i + 1))
    _freeze(atlas, ALL)


def _at(material: Material, t: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Frames 0..1 and their kept pixels at a size: [B,3,H,W] and [B,1,H,W]."""
    target = material.frames[t].float() / 255
    kept = material.kept[t].float()
    if target.shape[2:] != size:
        target = F.interpolate(target, size=size, mode="area")
        # A half-size pixel is used only if none of its four is held out.
        kept = (F.interpolate(kept, size=size, mode="area") > 0.999).float()
    return target, kept
