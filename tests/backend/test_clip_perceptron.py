"""The MLP of a block, compared with open_clip's own."""

from collections import OrderedDict

import pytest
import torch
from open_clip.transformer import QuickGELU
from torch import nn

from backend.clip.perceptron import perceptron


def own(activation):
    torch.manual_seed(0)
    parts = OrderedDict(c_fc=nn.Linear(12, 48), gelu=activation, c_proj=nn.Linear(48, 12))
    return nn.Sequential(parts).requires_grad_(False)


@pytest.mark.parametrize("activation", [QuickGELU(), nn.GELU()], ids=["OpenAI's", "the usual"])
def test_values_and_gradients_equal_open_clips(activation):
    mlp = own(activation)
    random = torch.Generator().manual_seed(1)
    x = (3 * torch.randn(2, 7, 12, generator=random)).requires_grad_()
    weight = torch.randn(2, 7, 12, generator=random)
    wanted = mlp(x)
    (wanted_grad,) = torch.autograd.grad(wanted, x, weight)
    made = perceptron(mlp, x)
    (grad,) = torch.autograd.grad(made, x, weight)
    torch.testing.assert_close(made, wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(grad, wanted_grad, rtol=1e-5, atol=1e-6)


def test_bfloat16_works_forward_and_backward():
    mlp = own(QuickGELU())
    x = torch.randn(2, 7, 12, generator=torch.Generator().manual_seed(1)).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = perceptron(mlp, x)
    assert made.dtype == torch.bfloat16
    (grad,) = torch.autograd.grad(made.float().square().sum(), x)
    (wanted,) = torch.autograd.grad(mlp(x).square().sum(), x)
    assert grad.dtype == torch.float32
    assert float((grad - wanted).norm() / wanted.norm()) < 0.03
