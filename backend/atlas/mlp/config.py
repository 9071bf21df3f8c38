"""Settings of the network engine: the paper's, a tuned variant, and the presets. No torch.

Kasten, Ofri, Wang, Dekel: Layered Neural Atlases for Consistent Video Editing (SIGGRAPH Asia 2021).
Equation numbers (E1)–(E13) are ours; they are listed in `networks` and `losses`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from backend.masks.tracker.config import DRAFT, FINE, TrackerConfig
from protocol.validate import check_preset

PAPER_SIDE = 768
"""Longer side of the paper's clips, pixels; its distances scale with the working size."""


@dataclass(frozen=True, kw_only=True)
class MlpConfig:
    """How the networks are fitted. Defaults are the paper's; pixels are of the working size."""

    long_side: int = PAPER_SIDE
    """Working size: the clip is shrunk until its longer side has this many pixels."""
    seed: int = 0
    """Seed of the networks' initial weights and of every draw of pixels."""
    held_out: float = 0.0
    """Share of 8×8 blocks whose colours are never fitted, for measuring; the paper: none."""

    map_width: int = 256
    """Units of a hidden layer of the mapping networks."""
    fg_layers: int = 6
    """Linear layers of the foreground's mapping network, the last one included."""
    bg_layers: int = 4
    """The same for the background, which bends less."""
    alpha_width: int = 256
    """Units of a hidden layer of the opacity network."""
    alpha_layers: int = 8
    """Linear layers of the opacity network."""
    alpha_frequencies: int = 5
    """Octaves of its positional encoding."""
    atlas_width: int = 256
    """Units of a hidden layer of the atlas network."""
    atlas_layers: int = 8
    """Linear layers of the atlas network."""
    atlas_frequencies: int = 10
    """Octaves of its positional encoding: the finest detail it can show."""
    atlas_skips: tuple[int, ...] = (4, 7)
    """Layers of the atlas network that get the encoded input again (skip connections)."""
    atlas_skip_gradient: bool = True
    """Whether these skips pass a gradient on to the coordinates. The released code detaches them,
    so that the mappings learn from colours through the first layer only."""
    coordinates: Literal["centre", "corner"] = "centre"
    """Where points are 0. ``centre``: at the middle of the frame and of the clip. ``corner``, as in
    the released code: both sides start at −1, at the first pixel's centre, and time ends at
    1 − 2/T."""
    uv_scale: float = 0.8
    """Share of an atlas quadrant that a frame covers at first; the rest is margin for motion."""

    steps: int = 400_000
    """Joint steps, as in the released configuration; the paper's text says about 300 000."""
    rays: int = 10_000
    """Random pixels per step."""
    lr: float = 1e-4
    """Adam's rate, for all networks, constant."""
    warm_passes: int = 100
    """Warm start of the mappings: passes over the frames, one Adam step per frame."""
    warm_until: float = 0.0
    """The warm start ends early once its mean error is below this many pixels; 0: never."""

    w_colour: float = 5000.0
    """(E5) squared colour error."""
    w_gradient: float = 1000.0
    """(E6) squared error of the colour's differences between neighbouring pixels."""
    w_sparsity: float = 1000.0
    """(E7) squared foreground colour where the foreground is not visible."""
    w_rigid: float = 1.0
    """(E8) rigidity of both mappings, from differences over one pixel."""
    w_global_fg: float = 5.0
    """(E9) the same over `global_px` for the foreground, in the first `global_steps`."""
    w_global_bg: float = 50.0
    """(E9) the same for the background."""
    global_px: float = 100.0
    """Distance of those differences, pixels of a frame 768 long."""
    global_steps: int = 5_000
    """Steps during which global rigidity counts."""
    w_flow: float = 5.0
    """(E10) disagreement of coordinates along optical flow of gap 1, pixels."""
    w_alpha_flow: float = 49.0
    """(E11) change of opacity along that flow."""
    w_mask: float = 2000.0
    """(E12) cross-entropy of opacity to the rough mask, in the first `mask_steps`."""
    mask_steps: int = 10_000
    """Steps during which the rough mask counts."""

    consistent: float = 1.0
    """Forward and backward flow agree when a round trip ends within this many pixels."""
    carry_gaps: tuple[int, ...] = (1, 2, 4, 8)
    """Gaps of the flow that carries masks to frames without one; the losses use gap 1 only."""
    tracker: TrackerConfig = FINE
    """How masks are tracked from key frames."""
    gradient_span: Literal["longer", "width"] = "longer"
    """What turns a neighbour's pixel into coordinates in (E6). ``longer``: the longer side, as
    everywhere. ``width``: the width, as in the released code; on portrait clips the neighbour is
    then not the point whose colour it is compared with."""

    bake: int = 1000
    """Texels along a whole atlas quadrant when the atlas network becomes an image."""
    chunk: int = 200
    """Rays per pass on a CPU; gradients of the passes add up to one step."""
    chunk_cuda: int = 10_000
    """The same on a GPU; a step has the same rays on either."""

    def weights(self, step: int) -> dict[str, float]:
        """Weight of every loss at a step, by its name in `losses`; 0 for one that has ended."""
        at_first = float(step < self.global_steps)
        return {
            "colour": self.w_colour,
            "gradient": self.w_gradient,
            "sparsity": self.w_sparsity,
            "rigid_fg": self.w_rigid,
            "rigid_bg": self.w_rigid,
            "global_fg": self.w_global_fg * at_first,
            "global_bg": self.w_global_bg * at_first,
            "flow_fg": self.w_flow,
            "flow_bg": self.w_flow,
            "alpha_flow": self.w_alpha_flow,
            "mask": self.w_mask if step < self.mask_steps else 0.0,
        }


PAPER = MlpConfig()
# A tenth of the pixels at ten times the rate, and a tenth of the steps.
TUNED = MlpConfig(
    rays=1000, lr=1e-3, steps=40_000, mask_steps=1_000, global_steps=500, warm_until=1.0
)
REFERENCE = replace(
    PAPER, gradient_span="width", atlas_skip_gradient=False, coordinates="corner"
)  # the released code
VARIANTS = {"paper": PAPER, "tuned": TUNED, "reference": REFERENCE}

_PRESETS = {
    # A quick check in a minute on a CPU: small networks, far from the paper.
    "draft": replace(
        TUNED, long_side=160, steps=600, rays=500, mask_steps=250, global_steps=150,
        map_width=64, alpha_width=64, atlas_width=64, alpha_layers=5, atlas_layers=5,
        atlas_skips=(3,), fg_layers=4, bg_layers=3, atlas_frequencies=7, warm_passes=10, bake=250,
        chunk=500, tracker=DRAFT,
    ),
    "preview": replace(TUNED, long_side=384, bake=600),
    "final": PAPER,
}  # fmt: skip


def preset(name: str, seed: int = 0) -> MlpConfig:
    """Config of preset ``draft``, ``preview`` or ``final``; JobError unknown_preset otherwise."""
    check_preset(name)
    return replace(_PRESETS[name], seed=seed)


_LATER = ("atlas_skip_gradient", "coordinates")


def identity(config: MlpConfig) -> dict[str, Any]:
    """All settings that decide an atlas.

    Fields that came later are left out at their defaults, so that atlases of earlier versions, some
    of them days of work, are found again.
    """
    fields = asdict(config)
    return {k: v for k, v in fields.items() if k not in _LATER or v != getattr(PAPER, k)}
