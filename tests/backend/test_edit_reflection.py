"""The GPU's reflection padding is torch's, forwards and backwards, in the channels-last layout."""

import pytest
import torch
import torch.nn.functional as F

from backend.edit.generator import Generator
from backend.edit.reflection import ReflectedConvolution, reflected


def image(height, width, dtype=torch.float64):
    random = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, height, width, generator=random).to(dtype)
    return x.contiguous(memory_format=torch.channels_last).requires_grad_()


@pytest.mark.parametrize("size", [(2, 2), (2, 3), (3, 3), (3, 4), (4, 5), (5, 4), (7, 12)])
def test_values_and_gradients_are_those_of_torch(size):
    x = image(*size)
    wanted = F.pad(x, (1, 1, 1, 1), mode="reflect")
    before = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(1)).double()
    assert torch.equal(reflected(x), wanted)
    ours, theirs = (torch.autograd.grad(one, x, before)[0] for one in (reflected(x), wanted))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_layout_and_dtype_are_kept(dtype):
    x = image(6, 9, dtype)
    padded = reflected(x)
    (gradient,) = torch.autograd.grad(padded.sum(), x)
    for made in (padded, gradient):
        assert made.dtype == dtype
        assert made.is_contiguous(memory_format=torch.channels_last)


def test_a_side_of_one_pixel_is_refused():
    with pytest.raises(ValueError, match="too small to reflect"):
        reflected(image(1, 5))


def test_every_3x3_convolution_of_the_generator_is_of_this_kind():
    wide = [
        module
        for module in Generator(channels=4, scales=3, side=40).modules()
        if isinstance(module, torch.nn.Conv2d) and module.kernel_size == (3, 3)
    ]
    assert len(wide) == 9
    assert all(isinstance(module, ReflectedConvolution) for module in wide)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_convolution_on_a_gpu_is_the_one_on_a_cpu(stride):
    convolution = ReflectedConvolution(5, 4, stride=stride).double()
    x = image(7, 8)
    wanted = convolution(x)
    torch.testing.assert_close(
        F.conv2d(reflected(x), convolution.weight, convolution.bias, stride), wanted
    )
