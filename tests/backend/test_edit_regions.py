"""Where a text is in a clip: one map in the atlas, shared by all frames."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from panning import CPU, STEP, TINY, H, Panning, T, W
from tiny_clip import tiny_model
from torch import Tensor

from backend.edit.config import EditConfig, EditTexts
from backend.edit.footage import EditRegions, Footage
from backend.edit.frame_stack import FrameStack
from backend.edit.regions import find_regions
from backend.edit.texts import TextTargets
from backend.progress import Silent

BOOTSTRAP = replace(TINY, bootstrap=10.0, bootstrap_steps=10)
COLUMN = 40
"""The atlas's column right of which the made-up text is."""


class Seer:
    """Sees every text in the right part of the wall, once dimly and once clearly; counts looks."""

    def __init__(self) -> None:
        self.looks = 0

    def relevancy(self, x: Tensor, text: Tensor, **_: Any) -> Tensor:
        t = round(float(x[0, 0, 0, 0]) * 255)
        self.looks += 1
        columns = torch.arange(x.shape[-1]) + STEP * t
        seen = (columns >= COLUMN).float().expand(1, 1, *x.shape[-2:])
        return seen * (0.5 if self.looks % 2 else 1.0)


def found(texts: EditTexts, layer: str = "background", config: EditConfig = BOOTSTRAP) -> Any:
    atlas = Panning()
    frames = atlas.clip()
    for t in range(T):
        frames[t, 0, 0] = t  # tells the seer which frame it is
    footage = Footage(frames, atlas, layer, config, CPU)
    targets = TextTargets(tiny_model(), texts)
    seer = Seer()
    regions = find_regions(footage, targets, seer, config, Silent())  # type: ignore[arg-type]
    return footage, regions, seer


def every(maps: FrameStack) -> torch.Tensor:
    return torch.cat(list(maps))


def test_without_a_text_it_is_the_layers_own_opacity() -> None:
    footage, regions, seer = found(EditTexts(prompt=("x",), source=("swan",)))
    assert torch.equal(every(regions.wanted.frames), every(footage.opacity))
    assert torch.equal(regions.wanted.atlas, footage.coverage)
    assert regions.avoid is None
    assert seer.looks == 0


def test_a_region_stays_on_the_same_part_of_the_wall_in_every_frame() -> None:
    footage, regions, seer = found(EditTexts(prompt=("x",), region=("wing",)))
    assert seer.looks == T
    for t in range(T):
        column = COLUMN - STEP * t
        visible = footage.opacity[t] > 0.5
        right, left = torch.zeros_like(visible), torch.zeros_like(visible)
        right[..., max(0, column + 2) :], left[..., : max(0, column - 2)] = True, True
        assert regions.wanted.frames[t][right & visible].min() > 0.45
        assert regions.wanted.frames[t][left & visible].max() < 0.05
        assert regions.wanted.frames[t][~visible].max() == 0
    both = footage.opacity[0][..., STEP:] * footage.opacity[1][..., :-STEP]
    wanted = regions.wanted.frames
    same = wanted[0][..., STEP:] - wanted[1][..., :-STEP]
    assert (same * both).abs().max() < 1e-3
    assert regions.wanted.atlas.max() == pytest.approx(1.0, abs=1e-4)


def test_only_some_frames_are_searched() -> None:
    config = replace(BOOTSTRAP, relevancy_frames=2)
    _, _, seer = found(EditTexts(prompt=("x",), region=("wing",)), config=config)
    assert seer.looks == 2


def test_a_region_to_avoid_is_found_in_the_same_way() -> None:
    _, region, _ = found(EditTexts(prompt=("x",), region=("wing",)))
    footage, regions, _ = found(EditTexts(prompt=("x",), avoid=("wing",)))
    assert torch.equal(every(regions.wanted.frames), every(footage.opacity))
    assert regions.avoid is not None
    product = every(regions.avoid.frames) * every(footage.opacity)
    torch.testing.assert_close(product, every(region.wanted.frames))
    smaller = regions.in_atlas((H // 2, W // 2))
    assert [x.shape[-2:] for x in smaller] == [(H // 2, W // 2)] * 2


def test_a_level_asks_for_less() -> None:
    footage, regions, _ = found(
        EditTexts(prompt=("x",)), config=replace(BOOTSTRAP, bootstrap_level=0.5)
    )
    assert torch.equal(every(regions.wanted.frames), every(footage.opacity) * 0.5)


def test_no_bootstrap_looks_for_nothing() -> None:
    texts = EditTexts(prompt=("x",), region=("wing",), avoid=("beak",))
    _, regions, seer = found(texts, config=TINY)
    assert seer.looks == 0
    assert regions.avoid is None
    assert isinstance(regions, EditRegions)
