"""Every loss against its formula, written again in float64 numpy."""

import numpy as np
import pytest
import torch

from backend.edit.losses import (
    bootstrap_loss,
    cosine_distance,
    direction_loss,
    opaque_loss,
    self_similarity,
    sparsity_loss,
    spherical_distance,
    structure_loss,
    text_distance,
)

rng = np.random.default_rng(7)
X, Y = rng.normal(size=(5, 12)), rng.normal(size=(3, 12))


def tensor(array):
    return torch.from_numpy(np.asarray(array)).float()


def angle(a, b):
    return np.arccos(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))


def test_spherical_distance_is_half_the_squared_angle():
    # 2·asin(‖x̂−ŷ‖/2)² = 2·(θ/2)² = θ²/2
    wanted = np.mean([angle(x, y) ** 2 / 2 for x in X for y in Y])
    assert float(spherical_distance(tensor(X), tensor(Y))) == pytest.approx(wanted, rel=1e-5)


def test_cosine_distance():
    wanted = np.mean([1 - np.cos(angle(x, y)) for x in X for y in Y])
    assert float(cosine_distance(tensor(X), tensor(Y))) == pytest.approx(wanted, rel=1e-5)


def test_distance_by_name():
    x, y = tensor(X), tensor(Y)
    assert text_distance("spherical", x, y) == spherical_distance(x, y)
    assert text_distance("cosine", x, y) == cosine_distance(x, y)


@pytest.mark.parametrize("other", [1.0, -1.0], ids=["equal", "opposite"])
def test_spherical_gradient_is_finite_at_its_ends(other):
    x = tensor(X[:1]).requires_grad_()
    loss = spherical_distance(x, other * x.detach())
    loss.backward()
    assert torch.isfinite(x.grad).all()
    assert float(loss.detach()) == pytest.approx(0 if other > 0 else np.pi**2 / 2, abs=2e-2)


def test_direction_compares_unnormalised_differences_pairwise():
    source, source_text = rng.normal(size=X.shape), rng.normal(size=Y.shape)
    wanted = np.mean(
        [
            1 - np.cos(angle(x - s, y - t))
            for x, s in zip(X, source, strict=True)
            for y, t in zip(Y, source_text, strict=True)
        ]
    )
    made = direction_loss(tensor(X), tensor(source), tensor(Y), tensor(source_text))
    assert float(made) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("change", [0.0, 1e-9, 1e-6])
def test_an_image_that_the_layer_hardly_touches_has_no_gradient(change):
    """A unit vector of rounding noise would have a gradient of 1/change."""
    source = tensor(X)
    output = (source + change * tensor(rng.normal(size=X.shape))).requires_grad_()
    loss = direction_loss(output, source, tensor(Y), tensor(rng.normal(size=Y.shape)))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(1, abs=2e-3)
    assert float(output.grad.norm()) < 1e3


def similarity(tokens):
    unit = tokens / np.linalg.norm(tokens, axis=-1, keepdims=True)
    return unit @ unit.transpose(0, 2, 1)


def test_structure_in_both_norms():
    a, b = rng.normal(size=(2, 6, 9)), rng.normal(size=(2, 6, 9))
    gap = similarity(a) - similarity(b)
    np.testing.assert_allclose(self_similarity(tensor(a)).numpy(), similarity(a), atol=1e-5)
    mse = float(structure_loss(tensor(a), tensor(b)))
    assert mse == pytest.approx(np.mean(gap**2), rel=1e-5)
    frobenius = float(structure_loss(tensor(a), tensor(b), "frobenius"))
    assert frobenius == pytest.approx(np.mean([np.linalg.norm(g) for g in gap]), rel=1e-5)


def test_structure_of_the_same_image_is_zero_with_a_finite_gradient():
    a = tensor(rng.normal(size=(1, 4, 5))).requires_grad_()
    loss = structure_loss(a, a.detach(), "frobenius")
    loss.backward()
    assert float(loss.detach()) < 2e-6
    assert torch.isfinite(a.grad).all()


def test_sparsity():
    alpha = rng.random((1, 1, 5, 7))
    wanted = 0.3 * alpha.mean() + 0.2 * np.mean(2 / (1 + np.exp(-5 * alpha)) - 1)
    assert float(sparsity_loss(tensor(alpha), 0.3, 0.2)) == pytest.approx(wanted, rel=1e-5)
    assert float(sparsity_loss(torch.zeros(1, 1, 4, 4), 1.0, 1.0)) == 0


def test_bootstrap_with_and_without_a_region_to_avoid():
    alpha, wanted_map, avoid = rng.random((3, 1, 1, 6, 6))
    plain = float(bootstrap_loss(tensor(alpha), tensor(wanted_map), None, 0.6))
    assert plain == pytest.approx(np.mean((alpha - wanted_map) ** 2), rel=1e-5)
    target = np.where(avoid > 0.6, 0, wanted_map)
    kept_off = float(bootstrap_loss(tensor(alpha), tensor(wanted_map), tensor(avoid), 0.6))
    assert kept_off == pytest.approx(np.mean((alpha - target) ** 2), rel=1e-5)
    assert kept_off != pytest.approx(plain)


def test_a_transparent_layer_has_no_opacity_loss():
    alpha = torch.tensor([0.0, 0.5, 0.7, 0.8, 1.0]).reshape(1, 1, 1, 5)
    assert float(opaque_loss(alpha, 0.7)) == pytest.approx((0.1**2 + 0.3**2) / 5, abs=1e-6)
    assert float(opaque_loss(alpha[..., :3], 0.7)) == 0
