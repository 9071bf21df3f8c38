"""The footage's own detail in a layer: what counts as detail, and where it goes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_edit import TINY, disc, edited
from torch import Tensor

from backend.edit.config import EditConfig
from backend.edit.detail import STRONGEST, Detail, blurred, smooth, tone
from backend.edit.generator import Generator, finished

CONFIG = EditConfig(size=64, detail=1.0, detail_radius=4 / 64)


def stripes(period: int, side: int = 64, low: float = 0.3, high: float = 0.5) -> Tensor:
    """[1,3,side,side], bars of a period in pixels."""
    level = low + (high - low) * (torch.arange(side) * 2 // period % 2)
    return level.expand(1, 3, side, side).clone()


def of(picture: Tensor, share: Tensor | None = None, config: EditConfig = CONFIG) -> Tensor:
    inside = torch.ones_like(picture[:, :1]) if share is None else share
    return Detail(picture, inside, config).map


def test_detail_is_what_is_finer_than_the_radius() -> None:
    fine, coarse = of(stripes(4)), of(stripes(64))
    middle = slice(24, 30)  # of the coarse bar, away from its edge
    step = float(torch.tensor(0.5).logit() - torch.tensor(0.3).logit())
    assert fine[..., 16:48].std() == pytest.approx(step / 2, rel=0.1)
    assert fine[..., 16:48].mean() == pytest.approx(0, abs=0.05)
    flat = of(torch.full((1, 3, 64, 64), 0.7))
    assert flat.abs().max() < 1e-4
    assert coarse[..., 8:16].abs().max() < 0.1 * fine[..., middle].abs().max()


def test_equal_ratios_weigh_the_same_in_the_dark() -> None:
    bright, dark = of(stripes(4, low=0.2, high=0.3)), of(stripes(4, low=0.07, high=0.115))
    assert dark.std() == pytest.approx(float(bright.std()), rel=0.1)
    assert of(stripes(4, low=0.0, high=0.02)).abs().max() < 1e-4  # noise


def test_a_glint_stays_within_bounds() -> None:
    picture = torch.full((1, 3, 64, 64), 0.1)
    picture[..., 30:32, 30:32] = 1.0
    found = of(picture, config=replace(CONFIG, detail=2.0))
    assert 0.9 * 2 * STRONGEST < found.max() <= 2 * STRONGEST


def test_surroundings_of_the_layer_leave_no_halo() -> None:
    picture = torch.full((1, 3, 64, 64), 0.2)
    picture[..., 32:] = 0.9
    share = torch.zeros(1, 1, 64, 64)
    share[..., :32] = 1
    found = of(picture, share)
    assert found.abs().max() < 1e-2
    assert of(picture)[..., 31].abs().min() > 0.5  # without a share there is one


def test_an_empty_layer_has_no_detail() -> None:
    assert of(stripes(4), torch.zeros(1, 1, 64, 64)).abs().max() == 0


def test_smooth_far_from_the_layer_is_its_mean() -> None:
    share = torch.zeros(1, 1, 64, 64)
    share[..., :4] = 1
    found = smooth(tone(stripes(4)), share, 2.0)
    assert torch.isfinite(found).all()
    mean = tone(stripes(4))[..., :4].mean()
    torch.testing.assert_close(found[..., 40:].mean(), mean, atol=0.01, rtol=0)


def test_a_blur_keeps_the_sum_and_has_its_deviation() -> None:
    point = torch.zeros(1, 2, 65, 65)
    point[..., 32, 32] = 1
    made = blurred(point, 3.0)
    assert float(made[0, 1].sum()) == pytest.approx(1, abs=1e-5)
    where = torch.arange(65) - 32.0
    assert float((made[0, 0].sum(0) * where.square()).sum()) == pytest.approx(9, rel=0.03)


def test_detail_moves_colours_alike_and_leaves_alpha() -> None:
    logits = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    plain, moved = finished(logits), finished(logits, torch.full((1, 1, 8, 8), 0.5))
    torch.testing.assert_close(moved[:, 3], plain[:, 3])
    torch.testing.assert_close(moved[:, :3].logit(), plain[:, :3].logit() + 0.5)


def test_the_finest_layer_has_the_detail_of_the_finer_image() -> None:
    fine = stripes(4, side=128)  # at half the size its bars are one pixel wide
    coarse = torch.nn.functional.interpolate(fine, (64, 64), mode="area")
    own = Detail(coarse, torch.ones(1, 1, 64, 64), CONFIG)
    made = own.finest(torch.zeros(1, 4, 64, 64), fine, torch.ones(1, 1, 128, 128))
    assert made.shape == (1, 4, 128, 128)
    inner = made[0, 0, 32:96, 32:96].logit()
    step = float(torch.tensor(0.5).logit() - torch.tensor(0.3).logit())
    assert float(inner.max() - inner.min()) == pytest.approx(step, rel=0.1)
    torch.testing.assert_close(made[:, 3], torch.full((1, 128, 128), 0.5))


def test_the_generator_adds_the_detail() -> None:
    network = Generator(channels=4, scales=2, side=32, seed=0)
    picture = stripes(4, side=32)
    more = of(picture)
    wanted = finished(network.logits(picture), more)
    torch.testing.assert_close(network(picture, more), wanted)
    assert (wanted - network(picture)).abs().max() > 0.02


def knitted() -> np.ndarray:
    """The disc, every second column of it darker."""
    image = disc(80, 112)
    image[:, ::2] //= 2
    return image


@pytest.mark.slow
def test_an_image_keeps_its_own_resolution_in_the_layer() -> None:
    """The picture is twice as large as what is edited: one column is less than a pixel there."""
    colour = {}
    for detail in (0.0, 1.0):
        config = replace(TINY, size=56, detail=detail, matte=(0.0, 1.0))
        made = edited(config, image=knitted())
        assert made.shape == (80, 112, 4)
        colour[detail] = made[20:60, 30:80, :3].astype(float).mean(2)
    gap = {k: float((v[:, 1::2] - v[:, ::2]).mean()) for k, v in colour.items()}
    assert abs(gap[0.0]) < 2
    assert gap[1.0] > 20
