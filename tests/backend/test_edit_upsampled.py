"""A convolution computed before its image is upsampled equals the one computed after."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from backend.edit.upsampled import (
    COLUMNS,
    ROWS,
    normalised_convolution,
    plain_convolution,
    upsampling,
)


def made(h, w, height, width, *, batch=1, channels=6, outs=5, offset=0.0):
    random = torch.Generator().manual_seed(0)
    x = torch.randn(batch, channels, h, w, generator=random) + offset
    skip = torch.randn(batch, 4, height, width, generator=random)
    norm = nn.BatchNorm2d(channels + 4, track_running_stats=False)
    conv = nn.Conv2d(channels + 4, outs, 3, padding=1, padding_mode="reflect")
    with torch.no_grad():
        for weight in (*norm.parameters(), *conv.parameters()):
            weight.copy_(torch.randn(weight.shape, generator=random))
    return x.requires_grad_(), skip.requires_grad_(), norm, conv


def with_gradients(way, x, skip, norm, conv):
    out = way(x, skip, norm, conv)
    before = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out)
    wanted = [x, skip, *norm.parameters(), *conv.parameters()]
    return [out.detach(), *torch.autograd.grad(out, wanted, before)]


SIZES = [
    (2, 3, 4, 5),
    (3, 2, 5, 4),
    (ROWS, COLUMNS, 2 * ROWS, 2 * COLUMNS),
    (ROWS + 1, COLUMNS + 1, 2 * ROWS + 1, 2 * COLUMNS + 1),
    (2 * ROWS + 3, 5 * COLUMNS - 1, 4 * ROWS + 6, 10 * COLUMNS - 2),
    (ROWS - 1, 3 * COLUMNS, 2 * ROWS - 3, 6 * COLUMNS),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("batch", [1, 2])
def test_values_and_gradients_equal_the_plain_convolution(size, batch):
    x, skip, norm, conv = made(*size, batch=batch)
    double = [
        x.detach().double().requires_grad_(), skip.detach().double().requires_grad_(),
        *(nn.Module.double(module) for module in made(*size, batch=batch)[2:]),
    ]  # fmt: skip
    truth = with_gradients(plain_convolution, *double)
    ours = with_gradients(normalised_convolution, x, skip, norm, conv)
    for one, wanted in zip(ours, truth, strict=True):
        assert one.shape == wanted.shape
        tolerance = 1e-5 * float(wanted.abs().max())
        torch.testing.assert_close(one.double(), wanted, atol=tolerance, rtol=1e-4)


def test_a_large_offset_costs_no_accuracy():
    """The norm cancels it; a variance from mean squares alone would be noise."""
    args = made(9, 9, 18, 18)
    near = normalised_convolution(*args)
    far = normalised_convolution(args[0] + 300, *args[1:])
    torch.testing.assert_close(far, near, atol=2e-3, rtol=0)


def test_no_image_leaves_anything_behind():
    """Buffers are reused within a call; a second image has nothing of the first."""
    x, skip, norm, conv = made(5, 5, 10, 10)
    alone = normalised_convolution(x, skip, norm, conv)
    normalised_convolution(*made(19, 23, 38, 46)[:2], norm, conv)
    assert torch.equal(normalised_convolution(x, skip, norm, conv), alone)


def test_upsampling_is_torchs_bilinear():
    x = torch.rand(1, 1, 7, generator=torch.Generator().manual_seed(0))
    wanted = F.interpolate(x, scale_factor=2, mode="linear", align_corners=False)[0, 0, :13]
    torch.testing.assert_close(upsampling(7, 13) @ x[0, 0], wanted)


def test_under_autocast_the_decoders_full_size_tensors_stay_in_bfloat16(monkeypatch):
    """CUDA's autocast lists interpolation among what runs in float32; a stand-in does the same."""
    x, skip, norm, conv = (one.to(torch.bfloat16) for one in made(3, 4, 6, 8))
    interpolate, seen = F.interpolate, []

    def as_on_cuda(image, *args, **kwargs):
        wide = torch.is_autocast_enabled("cpu")
        return interpolate(image.float() if wide else image, *args, **kwargs)

    monkeypatch.setattr(F, "interpolate", as_on_cuda)
    norm.register_forward_pre_hook(lambda _, given: seen.append(given[0].dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain_convolution(x, skip, norm, conv)
    assert seen == [torch.bfloat16]
