"""The network engine: the paper's constants and losses in closed form, its draws and steps."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_mlp import CPU, TINY, H, T, W, footage_of, keys

from backend.atlas.mlp import losses
from backend.atlas.mlp.config import PAPER, TUNED, VARIANTS, MlpConfig, preset
from backend.atlas.mlp.networks import Frame, Networks, encode
from backend.atlas.mlp.objective import terms
from backend.atlas.mlp.train import Trainer, prepare
from backend.masks.prompts import MaskPrompts
from backend.motion import flow
from backend.progress import Silent
from protocol.jobs import JobError
from scripts.make_clip import SyntheticClip, make_clip

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def clip() -> SyntheticClip:
    return make_clip(T, H, W, seed=1)


# What the paper says


def test_the_papers_constants_are_the_defaults() -> None:
    assert PAPER == MlpConfig() == VARIANTS["paper"] == preset("final")
    assert (PAPER.steps, PAPER.rays, PAPER.lr) == (400_000, 10_000, 1e-4)
    assert (TUNED.rays, TUNED.lr) == (1000, 1e-3)
    networks = Networks(PAPER)
    depths = [
        len(part.layers)
        for part in (networks.map_fg, networks.map_bg, networks.opacity, networks.atlas)
    ]
    assert depths == [6, 4, 8, 8]
    assert {layer.out_features for layer in networks.atlas.layers[:-1]} == {256}
    assert networks.atlas.layers[0].in_features == 2 * 2 * 10
    assert networks.opacity.layers[0].in_features == 3 * 2 * 5


@pytest.mark.parametrize(
    ("name", "last"), [("mask", 9_999), ("global_fg", 4_999), ("global_bg", 4_999)]
)
def test_what_only_counts_at_first_ends_on_its_step(name: str, last: int) -> None:
    assert PAPER.weights(last)[name] > 0
    assert PAPER.weights(last + 1)[name] == 0
    assert PAPER.weights(last + 1)["colour"] == 5000


def test_presets_grow_and_an_unknown_one_is_refused() -> None:
    steps = [preset(name, 3).steps for name in ("draft", "preview", "final")]
    assert steps == sorted(set(steps))
    assert preset("draft", 3).seed == 3
    with pytest.raises(JobError) as caught:
        preset("best")
    assert caught.value.problem.code == "unknown_preset"


def test_positional_encoding_doubles_its_frequency() -> None:
    x = torch.tensor([[0.25, -0.5]])
    expected = [f(2**k * math.pi * v) for f in (math.sin, math.cos) for v in x[0].tolist()
                for k in range(3)]  # fmt: skip
    assert encode(x, 3)[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_each_layer_has_its_own_square_of_the_atlas() -> None:
    networks = Networks(TINY)
    asked: list[torch.Tensor] = []
    networks.atlas.register_forward_pre_hook(lambda _, args: asked.append(args[0]))
    corners = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    for layer, square in (("fg", [[0.0, 0.0], [1.0, 1.0]]), ("bg", [[-1.0, -1.0], [0.0, 0.0]])):
        networks.colour(layer, corners)
        expected = encode(torch.tensor(square), TINY.atlas_frequencies)
        assert torch.allclose(asked.pop(), expected)


def test_a_pixel_is_the_mix_of_both_layers_and_alpha_is_never_quite_0_or_1() -> None:
    networks = Networks(TINY)
    p = torch.rand(50, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1
    seen, alpha = networks.render(p)
    fg, bg = (networks.colour(k, networks.uv(k, p)) for k in ("fg", "bg"))
    assert torch.allclose(seen, alpha * fg + (1 - alpha) * bg)
    for bias, end in ((100.0, 0.991), (-100.0, 0.001)):
        networks.opacity.layers[-1].bias.data.fill_(bias)
        assert torch.allclose(networks.alpha(p), torch.tensor(end))


def test_points_are_centred_and_scaled_by_the_longer_side() -> None:
    frame = Frame((40, 64), 5, 0.8)
    points = frame.points(torch.tensor([[32.0, 20.0], [64.0, 40.0]]), torch.tensor([0, 4]))
    assert points.tolist() == [[0.0, 0.0, -1.0], [1.0, pytest.approx(0.625), 1.0]]
    assert frame.pixels_per_uv == pytest.approx(40)


# Losses: 0 where all is well, their value where it is not


def rows(*values: list[float]) -> torch.Tensor:
    return torch.tensor(values)


def test_colour_and_gradient() -> None:
    a, b = rows([0.1, 0.2, 0.3]), rows([0.4, 0.2, 0.7])
    assert float(losses.colour(a, a)) == 0
    assert float(losses.colour(a, b)) == pytest.approx(0.25)
    assert float(losses.gradient(a, b, a + 0.2, b + 0.2)) == pytest.approx(0, abs=1e-12)
    assert float(losses.gradient(a, a, a, b)) == pytest.approx(0.25)


def test_sparsity_wants_black_where_nothing_is_seen() -> None:
    white = torch.ones(1, 3)
    assert float(losses.sparsity(rows([1.0]), white)) == 0
    assert float(losses.sparsity(rows([0.0]), 0 * white)) == 0
    assert float(losses.sparsity(rows([0.5]), white)) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("right", "down", "expected"),
    [
        ([1.0, 0.0], [0.0, 1.0], 0.0),
        ([0.6, 0.8], [-0.8, 0.6], 0.0),
        ([1.0, 0.0], [0.0, -1.0], 0.0),  # a mirror image is an isometry too
        ([2.0, 0.0], [0.0, 2.0], math.sqrt(2) * (4 + 1 / 4) - 2 * math.sqrt(2)),
        ([1.0, 0.0], [1.0, 1.0], 2 * math.sqrt(7) - 2 * math.sqrt(2)),
    ],
)
def test_rigidity_is_0_for_isometries(
    right: list[float], down: list[float], expected: float
) -> None:
    here = rows([0.3, -0.2])
    got = losses.rigidity(here, here + rows(right) / 40, here + rows(down) / 40, 40.0)
    assert float(got) == pytest.approx(expected, abs=0.02)


def test_rigidity_of_a_fold_is_large_but_finite_and_can_be_undone() -> None:
    flat = rows([1.0, 0.0]).requires_grad_()
    got = losses.rigidity(rows([0.0, 0.0]), flat, rows([1.0, 1e-4]), 1.0)
    assert 100 < got.item() < 1e6
    got.sum().backward()
    assert bool(flat.grad.isfinite().all())
    assert float(flat.grad.norm()) > 0


def test_flow_alpha_flow_mask_and_warm_start() -> None:
    here, there = rows([0.1, 0.1]), rows([0.4, 0.5])
    assert float(losses.flow(here, here, rows([1.0]), 40.0)) == pytest.approx(0, abs=1e-4)
    assert float(losses.flow(here, there, rows([0.5]), 40.0)) == pytest.approx(10)
    assert float(losses.alpha_flow(rows([0.3]), rows([0.3]))) == 0
    assert float(losses.alpha_flow(rows([0.3]), rows([0.8]))) == pytest.approx(0.5)
    assert float(losses.mask(rows([0.25]), rows([1.0]))) == pytest.approx(math.log(4))
    assert float(losses.mask(rows([0.25]), rows([0.0]))) == pytest.approx(math.log(4 / 3))
    point = rows([0.5, -0.25, 1.0])
    assert float(losses.warm(0.8 * point[:, :2], point, 0.8)) == pytest.approx(0, abs=1e-5)
    assert float(losses.warm(rows([0.0, 0.0]), point, 0.8)) == pytest.approx(0.8 * 0.559017)


# The draw and the step


def test_rays_are_what_the_clip_shows(clip: SyntheticClip) -> None:
    footage = footage_of(clip)
    place = torch.tensor([5 * W + 7, 5 * W + W - 1, (H - 1) * W + 3])
    rays = footage.at(torch.tensor([0, 1, T - 1]), place)
    assert rays.xy.tolist() == [[7.5, 5.5], [W - 0.5, 5.5], [3.5, H - 0.5]]
    assert np.allclose(rays.right[0] * 255, clip.frames[0, 5, 8])
    assert np.allclose(rays.down[0] * 255, clip.frames[0, 6, 7])
    assert rays.of_right[1] == 0, "nothing is to the right of the frame"
    assert rays.of_down[2] == 0, "nor below it"
    assert rays.of_flow[0, 1] == 0, "nothing is before the first frame"
    assert rays.of_flow[2, 0] == 0, "nor after the last"
    drawn = footage.draw(300, torch.Generator().manual_seed(0))
    for weight in (drawn.of_all, drawn.of_colour, drawn.of_right, drawn.of_down):
        assert float(weight.sum()) == pytest.approx(1, abs=1e-5)
    assert float(drawn.of_flow.sum()) == pytest.approx(1, abs=1e-5)


def test_masks_for_every_frame_need_no_far_flow(
    clip: SyntheticClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, ...]] = []
    real = flow.estimate

    def estimate(frames: np.ndarray, gaps: tuple[int, ...], *rest: Any) -> flow.Flows:
        asked.append(gaps)
        return real(frames, gaps, *rest)

    monkeypatch.setattr(flow, "estimate", estimate)
    prepare(clip.frames, MaskPrompts("all", keys(clip)), TINY, CPU, Silent())
    assert asked == [(1,)]


def test_a_step_in_parts_is_the_same_step(clip: SyntheticClip) -> None:
    footage = footage_of(clip)
    whole, parts = (Trainer(footage, replace(TINY, chunk=chunk)) for chunk in (256, 37))
    for trainer in (whole, parts):
        trainer.step(Silent())
    assert parts.losses.keys() == whole.losses.keys()
    for name, value in whole.losses.items():
        assert float(parts.losses[name]) == pytest.approx(float(value), rel=1e-4, abs=1e-5), name
    weighted = sum(w * float(whole.losses[k]) for k, w in TINY.weights(0).items() if w)
    assert float(whole.losses["total"]) == pytest.approx(weighted, rel=1e-4)


def test_what_is_held_out_is_not_fitted() -> None:
    long = make_clip(8, H, W, seed=1)
    footage = footage_of(long, replace(TINY, held_out=0.5))
    rays = footage.draw(400, torch.Generator().manual_seed(0))
    kept = footage.kept[rays.t, rays.xy[:, 1].long(), rays.xy[:, 0].long()]
    assert bool(kept.any())
    assert not bool(kept.all())
    assert float(rays.of_colour[~kept].abs().max()) == 0


@pytest.mark.parametrize(("size", "differs"), [((40, 64), False), ((64, 40), True)])
def test_the_released_gradient_differs_on_portrait_clips_only(
    size: tuple[int, int], differs: bool
) -> None:
    footage = footage_of(make_clip(2, *size, seed=1))
    rays = footage.draw(64, torch.Generator().manual_seed(0))
    networks, frame = Networks(TINY), Frame(size, 2, TINY.uv_scale)
    ours, theirs = (
        terms(networks, frame, rays, replace(TINY, gradient_span=span), far=True)
        for span in ("longer", "width")
    )
    assert bool(ours["gradient"] != theirs["gradient"]) == differs
    for name in ours.keys() - {"gradient"}:
        other = pytest.approx(theirs[name].item(), rel=1e-4, abs=1e-6)
        assert ours[name].item() == other, name


def test_the_warm_start_lays_the_frame_flat(clip: SyntheticClip) -> None:
    config = replace(TINY, warm_passes=60, warm_until=2.0)
    trainer = Trainer(footage_of(clip), config)
    trainer.warm_start(Silent())
    xy = torch.tensor([[10.0, 10.0], [50.0, 30.0]])
    points = trainer.frame.points(xy, torch.tensor([1, 2]))
    for layer in ("fg", "bg"):
        away = losses.warm(trainer.networks.uv(layer, points), points, config.uv_scale)
        assert away.max().item() * trainer.frame.pixels_per_uv < 6
