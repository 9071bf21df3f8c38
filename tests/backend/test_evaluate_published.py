"""The paper's settings and the reference's, against the numbers that each of them gives."""

from __future__ import annotations

from dataclasses import asdict, fields, replace

import pytest
import torch

from backend.edit.config import EditConfig, preset
from backend.edit.losses import sparsity_loss
from scripts.measure.evaluate.published import paper, reference

IMAGE = preset("final", video=False, layer="foreground")
VIDEO = preset("final", video=True, layer="foreground")
SIZES = {"steps", "size", "channels", "scales", "atlas_limit", "precision", "seed", "lr"}


def of(config: EditConfig, *names: str) -> tuple[object, ...]:
    return tuple(getattr(config, name) for name in names)


def test_the_reference_on_images() -> None:
    made = reference(IMAGE, video=False)
    assert of(made, "distance", "structure_norm", "same_views") == ("spherical", "mse", False)
    assert of(made, "screen", "structure") == (1, 2)
    assert made.sparsity * made.sparsity_l1 == pytest.approx(6 * 0.01)
    assert made.sparsity * made.sparsity_l0 == pytest.approx(6 * 0.01)
    assert of(made, "bootstrap", "bootstrap_steps", "bootstrap_negative") == (10, 1000, 0.6)
    assert of(made, "relevancy_layers", "relevancy_windows") == (1, 1)
    assert of(made, "steps", "decay", "lr", "lr_min") == (1000, 0.99, 2.5e-3, 1e-5)
    assert (made.views.count, made.views.fill, made.whole_every) == (16, 1.0, 75)
    assert (made.views.shape, made.screen_templates) == ("picture", 2)


def test_the_reference_on_clips() -> None:
    made = reference(VIDEO, video=True)
    assert of(made, "distance", "structure_norm", "same_views") == ("spherical", "mse", False)
    assert of(made, "screen", "structure") == (1, 3)
    assert made.sparsity * made.sparsity_l1 == pytest.approx(0.1 * 0.01)
    assert made.sparsity * made.sparsity_l0 == pytest.approx(0.1 * 0.005)
    assert of(made, "bootstrap", "backdrop", "direct", "neighbours") == (0, "atlas", True, 2)
    assert of(made, "steps", "decay") == (3000, 0.999)
    assert (made.views.count, made.views.fill) == (6, 0.0)


@pytest.mark.parametrize("video", [False, True])
def test_the_paper(video: bool) -> None:
    made = paper(VIDEO if video else IMAGE, video=video)
    assert of(made, "distance", "structure_norm") == ("cosine", "frobenius")
    assert of(made, "screen", "structure", "screen_templates") == (1, 2, 1)
    alpha = torch.rand(1, 1, 9, 7, generator=torch.Generator().manual_seed(0))
    psi = (2 * torch.sigmoid(5 * alpha) - 1).mean()
    wanted = 5e-2 * (2 * alpha.mean() + psi)  # λ_r · (γ·‖α‖₁ + Ψ₀(α)), means over pixels
    found = made.sparsity * sparsity_loss(alpha, made.sparsity_l1, made.sparsity_l0)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("variant", [paper, reference])
@pytest.mark.parametrize("video", [False, True])
def test_sizes_stay_the_presets(variant, video: bool) -> None:
    draft = replace(preset("draft", video=video, layer="background", seed=3), lr=1e-4)
    before, after = asdict(draft), asdict(variant(draft, video=video))
    assert {one.name for one in fields(EditConfig)} >= SIZES
    assert {name for name in SIZES if before[name] != after[name]} == set()
    of_views = {"shape": "picture", "one_share": True, "beyond_crop": "fill"}
    assert after["views"] == before["views"] | of_views
    assert after["matte"] == (0.0, 1.0)
    assert before["detail"] > after["detail"] == 0
