"""Settings of the explicit engine and its three presets. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from backend.masks.tracker.config import DRAFT, FINE, TrackerConfig
from protocol.validate import check_preset


@dataclass(frozen=True, kw_only=True)
class AtlasConfig:
    """How a clip is decomposed. Lengths are in pixels of the working size unless said otherwise."""

    long_side: int
    """Working size: the clip is shrunk until its longer side has this many pixels."""
    uv_steps: int
    """Steps that fit the coordinate maps to optical flow alone, before any colour."""
    half_steps: int
    """Joint steps on half-size frames."""
    full_steps: int
    """Joint steps on working-size frames."""
    seed: int = 0
    """Seed of the frames drawn at each step and of the held-out blocks."""

    tracker: TrackerConfig = DRAFT
    """How masks are tracked from key frames."""

    gaps: tuple[int, ...] = (1, 2, 4, 8)
    """Frame distances at which optical flow is measured; each is twice the one before."""
    consistent: float = 1.0
    """Forward and backward flow agree when a round trip ends within this distance."""

    fg_cells: tuple[tuple[int, int], ...] = ((4, 4), (12, 12))
    """Spline cells (short side, long side) over the object's box, coarse and fine, per frame."""
    bg_cells: tuple[tuple[int, int], ...] = ((5, 8), (16, 28))
    """Spline cells over the frame, coarse and fine."""
    bg_every: tuple[int, ...] = (2, 4)
    """Frames between two temporal knots of the background's grids, coarse and fine."""
    fg_texels: float = 1.5
    """Foreground atlas texels per pixel."""
    bg_texels: float = 1.0
    """Background atlas texels per pixel; denser lowers the held-out quality."""
    max_canvas: float = 4.0
    """An atlas is at most this many frames wide and high; beyond it, its edge colour repeats."""

    keys: int = 20
    """Most keyframe images of a layer over time; 1: one for all frames. They capture water, and
    an object that turns or shines. They share coordinates, so an edit is still one image."""
    key_every: float = 5.0
    """Frames between two keyframes, roughly; more if there would be too many."""
    key_texels: float = 16e6
    """Most texels in all keyframes of a layer: large atlases have fewer keyframes."""
    key_blur: float = 0.7
    """Pixels over which differences between keyframes are blurred, to drop single frames' noise."""

    gain_cell: float = 12.0
    """Side of a cell of the light grids."""

    band: float = 0.08
    """Alpha is free within band·√(object's area) of the rough mask's edge ..."""
    band_least: float = 3.0
    """... but within at least this distance ..."""
    band_most: float = 0.03
    """... and at most this share of the frame's width."""
    edge_free: float = 1.5
    """Pixels closer to the mask's edge than this are free of the mask loss."""

    uv_pairs: int = 12
    """Frame pairs per step of the maps alone."""
    pairs: int = 2
    """Frame pairs per joint step."""
    sweeps: int = 3
    """Linear colour sweeps after the splat and after each joint phase."""
    sweep_gain: float = 1.2
    """Over-relaxation of a sweep."""
    held_out: float = 0.03
    """Share of 8×8 blocks that colours are not fitted to until the quality has been measured."""

    lr_fg: float = 0.15
    """Adam's rate for the foreground's knots, pixels."""
    lr_bg: float = 0.15
    """Adam's rate for the background's knots, pixels."""
    lr_image: float = 0.03
    """Adam's rate for the atlas colours, 0..1."""
    lr_alpha: float = 0.1
    """Adam's rate for the opacity, logits."""
    lr_gain: float = 0.01
    """Adam's rate for the light grids, logarithm."""
    half_decay: tuple[float, float] = (1.0, 0.25)
    """All rates are multiplied by a factor that falls from the first value to the second ..."""
    full_decay: tuple[float, float] = (0.7, 0.04)
    """... in the half-size and in the working-size phase."""

    w_gradient: float = 0.5
    """Absolute spatial gradient of the colour error; the absolute error itself has weight 1."""
    w_mask: tuple[float, float] = (0.1, 0.02)
    """Cross-entropy to the rough mask, from first to last joint step."""
    w_outside: float = 0.05
    """Opacity outside the mask and its free edge."""
    w_binary: float = 0.03
    """α(1−α), growing from 0 over the joint phases."""
    w_flow: tuple[float, float] = (2e-3, 5e-4)
    """Disagreement of coordinates along optical flow, per pixel, from first to last joint step."""
    w_flow_alone: float = 0.05
    """The same before any colour is fitted, when only rigidity opposes it."""
    flow_cap: float = 5.0
    """Largest disagreement that counts, pixels."""
    w_alpha_flow: float = 0.05
    """Change of opacity along flow of gaps 1 and 2."""
    w_gain: float = 0.02
    """Square of the light grids' logarithm."""
    w_rigid_fg: float = 1e-3
    """Departure of the foreground's map from an isometry of its base map."""
    w_rigid_bg: float = 2e-3
    """The same for the background."""


_PRESETS = {
    "draft": AtlasConfig(long_side=320, uv_steps=60, half_steps=100, full_steps=60),
    "preview": AtlasConfig(
        long_side=384, uv_steps=120, half_steps=350, full_steps=250, tracker=FINE
    ),
    "final": AtlasConfig(long_side=768, uv_steps=160, half_steps=400, full_steps=120, tracker=FINE),
}


def preset(name: str, seed: int = 0) -> AtlasConfig:
    """Config of preset ``draft``, ``preview`` or ``final``; JobError unknown_preset otherwise."""
    check_preset(name)
    return replace(_PRESETS[name], seed=seed)
