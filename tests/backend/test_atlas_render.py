"""Rendering a painted atlas: no shimmer, no steps, no trace where nothing is painted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from flat_atlas import FlatAtlas

from backend.atlas.pyramid import Occupancy, Pyramid
from backend.atlas.render import render_layer
from backend.atlas.sampling import sample
from backend.progress import Silent


def checkerboard(size: int, cell: int) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    grey = ((y // cell + x // cell) % 2).float()
    return torch.stack([grey, grey, grey, torch.ones_like(grey)])[None]


def rendered(atlas: FlatAtlas, rgba: torch.Tensor, layer: str = "background", **more) -> np.ndarray:
    return np.stack(list(render_layer(atlas, layer, rgba, Silent(), **more)))  # type: ignore[arg-type]


@pytest.mark.parametrize("cell", [1, 2])
def test_a_minified_checkerboard_is_grey_and_does_not_shimmer(cell: int) -> None:
    atlas = FlatAtlas((16, 32, 32), (160, 160), scale=4.0, shift=0.29, object=(0, 0, 0, 0))
    inner = rendered(atlas, checkerboard(160, cell))[:, 4:-4, 4:-4, 0].astype(int)
    assert np.abs(inner - 127.5).max() < 14
    assert np.abs(np.diff(inner, axis=0)).max() < 14


def test_a_magnified_gradient_has_no_steps() -> None:
    atlas = FlatAtlas((1, 40, 300), (40, 38), scale=1 / 8, object=(0, 0, 0, 0))
    ramp = torch.linspace(0, 1, 38).expand(1, 3, 40, 38)
    out = rendered(atlas, torch.cat([ramp, torch.ones(1, 1, 40, 38)], 1))[0, 10, 8:-8, 0].astype(
        int
    )
    assert set(np.diff(out)) <= {0, 1}
    assert out[-1] - out[0] > 220


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_at_scale_one_and_above_it_is_the_bilinear_lookup(scale: float) -> None:
    atlas = FlatAtlas((1, 24, 32), (24, 32), scale=scale, shift=0.0)
    image = torch.rand(1, 4, 24, 32, generator=torch.Generator().manual_seed(0))
    uv = atlas.uv("background", torch.tensor([0])) + 0.011
    torch.testing.assert_close(Pyramid(image).lookup(uv), sample(image, uv), atol=1e-3, rtol=0)


def test_a_long_thin_footprint_is_averaged_along_its_length_only() -> None:
    stripes = (torch.arange(64) % 2).float()
    uv = FlatAtlas((1, 16, 16), (64, 64), scale=1.0).uv("background", torch.tensor([0]))
    uv = uv * torch.tensor([2.0, 1.0]) + torch.tensor([1.0, 0.0])  # two columns a pixel, one row
    across = Pyramid(stripes.expand(1, 1, 64, 64)).lookup(uv)
    along = Pyramid(stripes[:, None].expand(1, 1, 64, 64)).lookup(uv)
    assert (across - 0.5).abs().max() < 0.05
    assert (along - stripes[:16, None]).abs().max() < 0.05


@pytest.mark.parametrize("scale", [0.4, 1.0, 3.0, 7.3])
def test_where_nothing_is_painted_the_layer_is_exactly_0(scale: float) -> None:
    atlas = FlatAtlas((2, 90, 120), (900, 900), scale=scale, shift=0.7, object=(0, 0, 0, 0))
    rgba = torch.rand(1, 4, 900, 900, generator=torch.Generator().manual_seed(0))
    rgba[:, 3] = 0
    rgba[:, 3, 30:60, 20:50] = 1
    out = rendered(atlas, rgba)
    y, x = np.mgrid[:90, :120] + 0.5
    reach = max(2.5 * scale, 1.5)  # a pixel and its neighbours, or a texel
    for t in range(2):
        u, v = x * scale + 0.7 * t, y * scale + 0.7 * t
        inside = (u > 20 - reach) & (u < 50 + reach) & (v > 30 - reach) & (v < 60 + reach)
        assert not out[t][~inside].any()
        assert (out[t][(u > 22) & (u < 48) & (v > 32) & (v < 58), 3] > 120).all()
    rgba[:, 3] = 0
    assert not rendered(atlas, rgba).any()


def test_a_speck_is_found_wherever_it_is() -> None:
    atlas = FlatAtlas((1, 90, 120), (90, 120), object=(0, 0, 120, 90))
    for y, x in ((0, 0), (89, 119), (4, 60), (43, 7), (44, 8)):
        rgba = torch.zeros(1, 4, 90, 120)
        rgba[..., y, x] = 1
        out = rendered(atlas, rgba, "foreground")[0, ..., 3]
        assert out[y, x] == 255
        assert (out > 0).sum() == 1


def test_a_range_of_frames_is_those_frames() -> None:
    atlas = FlatAtlas((6, 20, 30), (40, 50), shift=1.0, object=(3, 3, 20, 15))
    rgba = torch.rand(1, 4, 40, 50, generator=torch.Generator().manual_seed(0))
    whole = rendered(atlas, rgba, "foreground")
    assert np.array_equal(rendered(atlas, rgba, "foreground", frames=(2, 4)), whole[2:5])
    with pytest.raises(ValueError, match="frames 4 to 6"):
        rendered(atlas, rgba, frames=(4, 6))


def test_an_image_of_a_part_is_transparent_outside_it() -> None:
    atlas = FlatAtlas((1, 64, 64), (64, 64), object=(0, 0, 0, 0))
    out = rendered(atlas, torch.ones(1, 4, 32, 32), window=(-0.5, -0.5, 0.5, 0.5))[0, ..., 3]
    assert (out[17:47, 17:47] == 255).all()
    out[15:49, 15:49] = 0
    assert not out.any()


def test_only_samples_near_something_are_near() -> None:
    filled = torch.zeros(1, 1, 256, 256)
    filled[..., 40, 200] = 1
    uv = FlatAtlas((1, 32, 32), (256, 256), scale=8.0).uv("background", torch.tensor([0]))
    near = Occupancy(filled).near(uv)[0]
    assert near[5, 25]
    assert near.float().mean() < 0.12
