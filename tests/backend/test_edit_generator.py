"""The U-Net: sizes, ranges, colours, seeds."""

import numpy as np
import pytest
import torch

from backend.edit.generator import Generator, colour_matrix, levels


def small(seed=0, side=40, scales=3):
    return Generator(channels=6, scales=scales, side=side, seed=seed)


@pytest.mark.parametrize("size", [(40, 40), (41, 57), (64, 43), (129, 50)])
def test_layer_has_the_images_size_and_range(size):
    x = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    made = small()(x)
    assert made.shape == (1, 4, *size)
    assert float(made.detach().min()) >= 0
    assert float(made.detach().max()) <= 1


def test_architecture_is_the_papers():
    network = Generator(channels=128, scales=7, side=512)
    assert len(network.down) == len(network.up) == len(network.skip) == 7
    first = network.down[0][0][0]
    assert (first.kernel_size, first.stride, first.padding_mode) == ((3, 3), (2, 2), "reflect")
    assert first.bias is not None
    assert network.up[0].wide.in_channels == 128 + 4
    assert network.skip[3][0].kernel_size == (1, 1)
    assert network.head.out_channels == 4


@pytest.mark.parametrize(
    ("side", "wanted", "count"), [(512, 7, 7), (348, 7, 7), (128, 7, 5), (48, 4, 4), (8, 7, 1)]
)
def test_levels_stop_before_the_image_vanishes(side, wanted, count):
    assert levels(side, wanted) == count
    x = torch.rand(1, 3, side, side + 1, generator=torch.Generator().manual_seed(0))
    assert Generator(channels=4, scales=wanted, side=side)(x).shape == (1, 4, side, side + 1)


def test_colour_matrix():
    root = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
    root[:, 0] /= 1.6
    wanted = root / np.linalg.norm(root, axis=0).max()
    np.testing.assert_allclose(colour_matrix().numpy(), wanted, atol=1e-6)


def test_colours_are_decorrelated_before_the_sigmoid():
    network = small()
    x = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    caught = []
    network.head.register_forward_hook(lambda _, __, out: caught.append(out))
    made = network(x).detach()
    raw = caught[0].detach()[0].permute(1, 2, 0).double().numpy()
    rgb = 1 / (1 + np.exp(-raw[..., :3] @ colour_matrix().double().numpy().T))
    np.testing.assert_allclose(made[0, :3].permute(1, 2, 0).numpy(), rgb, atol=1e-5)
    np.testing.assert_allclose(made[0, 3].numpy(), 1 / (1 + np.exp(-raw[..., 3])), atol=1e-5)


def test_weights_follow_the_seed_and_leave_the_global_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    states = [small(seed).state_dict() for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    assert not torch.equal(states[0]["head.weight"], states[2]["head.weight"])


def test_initial_weights_follow_pytorchs_defaults():
    weight = Generator(channels=64, scales=1, side=32).down[0][1][0].weight.detach()
    bound = 1 / np.sqrt(64 * 9)
    assert float(weight.abs().max()) <= bound
    assert float(weight.std()) == pytest.approx(bound / np.sqrt(3), rel=0.02)


def test_it_ticks_at_every_level():
    network, beats = small(), []
    network.tick = lambda: beats.append(0)
    network(torch.rand(1, 3, 40, 40))
    assert len(beats) == 6
