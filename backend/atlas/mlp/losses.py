"""The paper's losses, per ray; the caller averages. Weights are in MlpConfig.

Shapes: N rays · colours [N,3] 0..1 · α [N,1] · (u, v) [N,2]. Every function gives [N].
(E5)  L_colour   = ‖c − ĉ‖²                                              × 5000
(E6)  L_gradient = ‖Δx c − Δx ĉ‖² + ‖Δy c − Δy ĉ‖², 1-pixel differences  × 1000
(E7)  L_sparsity = ‖(1 − α)·c_f‖²                                        × 1000
(E8)  L_rigid    = ‖JᵀJ‖_F + ‖(JᵀJ)⁻¹‖_F, J from 1-pixel differences     × 1
(E9)  L_global   = the same from 100-pixel differences, at first         × 5 fg, × 50 bg
(E10) L_flow     = α·‖M_f(p) − M_f(p')‖ and (1 − α)·‖M_b(p) − M_b(p')‖   × 5
(E11) L_αflow    = |α(p) − α(p')|, p' where optical flow carries p       × 49
(E12) L_mask     = −m·log α − (1 − m)·log(1 − α), at first               × 2000
(E13) L_warm     = ‖M(p) − 0.8·(x, y)‖, before everything else
"""

from __future__ import annotations

from torch import Tensor

RIDGE = 1e-3  # added to JᵀJ before inverting, so that a fold costs much, but not infinitely
ISOMETRY = 2 * 2**0.5  # (E8) of an isometry, its minimum


def colour(seen: Tensor, target: Tensor) -> Tensor:
    """(E5) squared distance of colours."""
    return (seen - target).square().sum(1)


def gradient(seen: Tensor, beside: Tensor, target: Tensor, target_beside: Tensor) -> Tensor:
    """(E6) for one axis: squared error of the difference between a pixel and its neighbour."""
    return ((beside - seen) - (target_beside - target)).square().sum(1)


def sparsity(alpha: Tensor, foreground: Tensor) -> Tensor:
    """(E7) unused foreground colour, which should be black where α is 0."""
    return ((1 - alpha) * foreground).square().sum(1)


def rigidity(here: Tensor, right: Tensor, down: Tensor, scale: float) -> Tensor:
    """(E8), (E9) minus their minimum 2√2: about 0 for an isometry.

    here, right, down: (u, v) of a pixel and of the points one distance to its right and below it.
    scale: turns a difference of (u, v) over that distance into pixels per pixel.
    """
    across, along = (right - here) * scale, (down - here) * scale
    a, b, d = (across * across).sum(1), (across * along).sum(1), (along * along).sum(1)
    return _norm(a, b, d) + _inverse_norm(a, b, d) - ISOMETRY


def _norm(a: Tensor, b: Tensor, d: Tensor) -> Tensor:
    """Frobenius norm of the symmetric [[a, b], [b, d]]."""
    return (a * a + 2 * b * b + d * d).add(1e-12).sqrt()


def _inverse_norm(a: Tensor, b: Tensor, d: Tensor) -> Tensor:
    """Frobenius norm of the inverse: for 2×2, the norm over the determinant."""
    a, d = a + RIDGE, d + RIDGE
    return _norm(a, b, d) / (a * d - b * b).clamp(min=RIDGE * RIDGE)


def flow(here: Tensor, there: Tensor, share: Tensor, pixels_per_uv: float) -> Tensor:
    """(E10) pixels between (u, v) at both ends of the flow, times the layer's share [N,1]."""
    gap = (here - there).square().sum(1).add(1e-12).sqrt() * pixels_per_uv
    return gap * share[:, 0]


def alpha_flow(here: Tensor, there: Tensor) -> Tensor:
    """(E11) change of opacity along the flow."""
    return (here - there).abs()[:, 0]


def mask(alpha: Tensor, inside: Tensor) -> Tensor:
    """(E12) cross-entropy of opacity to the rough mask [N,1], 0..1."""
    return -(inside * alpha.log() + (1 - inside) * (1 - alpha).log())[:, 0]


def warm(uv: Tensor, points: Tensor, uv_scale: float) -> Tensor:
    """(E13) distance of (u, v) to the frame laid flat; points [N,3]."""
    return (uv - uv_scale * points[:, :2]).square().sum(1).add(1e-12).sqrt()
