"""All losses of a set of rays, with as few passes through the networks as possible."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from backend.atlas.mlp import losses
from backend.atlas.mlp.config import PAPER_SIDE, MlpConfig
from backend.atlas.mlp.networks import Frame, Networks
from backend.atlas.mlp.rays import Rays
from backend.to_device import constant


def terms(
    networks: Networks, frame: Frame, rays: Rays, config: MlpConfig, far: bool
) -> dict[str, Tensor]:
    """Every loss, averaged over the rays, unweighted, by its name in MlpConfig.weights.

    far: whether to compute (E9).
    """
    xy, t, one = rays.xy, rays.t, constant((1.0, 0.0), rays.xy.device)
    beside = [frame.points(xy + step, t) for step in (one, one.flip(0))]
    span = frame.size[1] if config.gradient_span == "width" else frame.longer
    near = beside
    if span != frame.longer:
        near = [frame.points(xy + step, t, span) for step in (one, one.flip(0))]
    places = [
        frame.points(xy, t), *near, frame.points(rays.ahead, t + 1),
        frame.points(rays.behind, t - 1),
    ]  # fmt: skip
    a, a_right, a_down, a_ahead, a_behind = _split(networks.alpha, places)
    shares = {"fg": a, "bg": 1 - a}

    out: dict[str, Tensor] = {}
    seen: dict[str, list[Tensor]] = {}
    more = beside if span != frame.longer else []
    distance = config.global_px * frame.longer / PAPER_SIDE
    if far:
        more = more + [frame.points(xy + step * distance, t) for step in (one, one.flip(0))]
    for k in ("fg", "bg"):
        uv = _split(partial(networks.uv, k), places + more)
        right, down = uv[1:3] if span == frame.longer else uv[5:7]
        seen[k] = _split(partial(networks.colour, k), uv[:3])
        scale = frame.pixels_per_uv
        out[f"rigid_{k}"] = _sum(losses.rigidity(uv[0], right, down, scale), rays.of_all)
        if far:
            stretch = losses.rigidity(uv[0], uv[-2], uv[-1], scale / distance)
            out[f"global_{k}"] = _sum(stretch, rays.of_all)

        out[f"flow_{k}"] = sum(
            (
                _sum(losses.flow(uv[0], there, shares[k], scale), rays.of_flow[:, way])
                for way, there in enumerate(uv[3:5])
            ),
            start=xy.new_zeros(()),
        )
    alphas = (a, a_right, a_down)
    c, c_right, c_down = (
        alpha * fg + (1 - alpha) * bg
        for alpha, fg, bg in zip(alphas, seen["fg"], seen["bg"], strict=True)
    )
    out["colour"] = _sum(losses.colour(c, rays.colour), rays.of_colour)
    out["gradient"] = _sum(
        losses.gradient(c, c_right, rays.colour, rays.right), rays.of_right
    ) + _sum(losses.gradient(c, c_down, rays.colour, rays.down), rays.of_down)
    out["sparsity"] = _sum(losses.sparsity(a, seen["fg"][0]), rays.of_all)
    out["alpha_flow"] = _sum(losses.alpha_flow(a, a_ahead), rays.of_flow[:, 0]) + _sum(
        losses.alpha_flow(a, a_behind), rays.of_flow[:, 1]
    )
    out["mask"] = _sum(losses.mask(a, rays.inside), rays.of_all)
    return out


def _sum(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum()


def _split(network: Callable[[Tensor], Tensor], inputs: list[Tensor]) -> list[Tensor]:
    """One pass for several sets of N points: one large product is faster than many small ones."""
    return list(network(torch.cat(inputs)).chunk(len(inputs)))
