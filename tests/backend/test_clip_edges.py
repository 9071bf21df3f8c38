"""A blurred map follows the edges of its image."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from backend.clip.edges import LEAST, SIDE, follow_edges


def disc(height: int, width: int) -> Tensor:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    radius = 0.3 * min(height, width)
    return (((y - 0.5 * height) ** 2 + (x - 0.4 * width) ** 2) < radius**2).float()[None, None]


def coarse(shape: Tensor, cells: int = 8) -> Tensor:
    """What a model of so many patches would say of it at best."""
    size = shape.shape[-2:]
    small = F.interpolate(shape, (cells, cells), mode="area")
    return F.interpolate(small, size, mode="bilinear", align_corners=False)


def overlap(found: Tensor, truth: Tensor) -> float:
    marked = found >= 0.5
    return float((marked & (truth > 0.5)).sum() / (marked | (truth > 0.5)).sum())


@pytest.mark.parametrize("size", [(64, 64), (150, 300)])
def test_the_map_follows_the_object(size: tuple[int, int]) -> None:
    truth = disc(*size)
    noise = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    picture = truth * torch.tensor([0.2, 0.3, 0.8]).reshape(1, 3, 1, 1) + 0.05 * noise + 0.1
    before = coarse(truth)
    after = follow_edges(before, picture, 1 / 8)
    assert after.shape == before.shape
    assert 0 <= after.min() <= after.max() <= 1
    assert overlap(after, truth) > max(0.95, overlap(before, truth))


def test_an_image_without_edges_leaves_a_smooth_map() -> None:
    flat = torch.full((1, 3, 64, 64), 0.5)
    slope = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    torch.testing.assert_close(
        follow_edges(slope, flat, 0.05)[..., 10:-10], slope[..., 10:-10], atol=1e-4, rtol=0
    )


def test_it_is_the_least_squares_fit_in_every_neighbourhood() -> None:
    """Against the paper's definition, written out pixel by pixel."""
    random = torch.Generator().manual_seed(1)
    height, width, radius = 9, 12, 1
    picture = torch.rand(1, 3, height, width, generator=random)
    wanted = 0.3 + 0.2 * torch.rand(1, 1, height, width, generator=random)
    lines = torch.zeros(4, height, width)

    def around(y: int, x: int) -> tuple[slice, slice]:
        rows = slice(max(0, y - radius), y + radius + 1)
        return rows, slice(max(0, x - radius), x + radius + 1)

    for y in range(height):
        for x in range(width):
            rows, columns = around(y, x)
            guide = picture[0, :, rows, columns].reshape(3, -1)
            values = wanted[0, 0, rows, columns].reshape(-1)
            centred = guide - guide.mean(1, keepdim=True)
            spread = centred @ centred.T / values.numel() + LEAST * torch.eye(3)
            joint = centred @ (values - values.mean()) / values.numel()
            slope = torch.linalg.solve(spread, joint)
            lines[:3, y, x], lines[3, y, x] = slope, values.mean() - slope @ guide.mean(1)
    expected = torch.zeros(height, width)
    for y in range(height):
        for x in range(width):
            mean = lines[(slice(None), *around(y, x))].flatten(1).mean(1)
            expected[y, x] = mean[:3] @ picture[0, :, y, x] + mean[3]
    found = follow_edges(wanted, picture, radius / height)[0, 0]
    torch.testing.assert_close(found, expected.clamp(0, 1), atol=1e-4, rtol=1e-3)


def test_sums_of_large_images_are_taken_at_a_reduced_size(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    real = F.avg_pool2d

    def pool(x: Tensor, *rest: object, **more: object) -> Tensor:
        seen.append((x.shape[-2], x.shape[-1]))
        return real(x, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(F, "avg_pool2d", pool)
    follow_edges(torch.rand(1, 1, 300, 400), torch.rand(1, 3, 300, 400), 0.1)
    assert set(seen) == {(SIDE * 3 // 4, SIDE)}
