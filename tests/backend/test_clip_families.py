"""Every family of open_clip's models: read as open_clip reads it, or refused with a reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import open_clip
import pytest
import torch
from test_edit_video import TINY as TINY_CLIP
from test_edit_video import edited as edited_clip
from tiny_clip import tiny_model
from tiny_edit import TINY, edited
from tiny_families import FAMILIES, PLAIN, tiny_family

from backend.clip.families import check_architecture
from backend.clip.timm_model import pooled_by_query
from backend.edit import losses
from backend.edit.config import ViewConfig
from protocol.jobs import JobError

ALL = (*PLAIN, *FAMILIES)


def images(side: int, count: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ALL)
def test_a_family_is_read_as_open_clip_reads_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_family(name, monkeypatch)
    x = images(model.image_size).requires_grad_()
    wanted = model.clip.encode_image((x - model._mean_C11) / model._std_C11)
    made = model.encode_image(x)
    torch.testing.assert_close(made, wanted, rtol=1e-4, atol=1e-5)
    assert made.shape == (2, model.width)
    (gradient,) = torch.autograd.grad(made.square().sum(), x)
    (theirs,) = torch.autograd.grad(wanted.square().sum(), x)
    torch.testing.assert_close(gradient, theirs, rtol=1e-3, atol=1e-4)
    texts = model.encode_text(["a golden car", "ice"])
    assert texts.shape == (2, model.width)
    assert model.readable("a golden car") == "a golden car"
    assert len(model.readable("gold " * 90, spare=7).split()) < 80

    cells = model.image_size // model.patch
    tokens = model.tokens(x)
    assert tokens.shape[:2] == (2, model.prefix + cells**2)
    wide = torch.rand(1, 3, model.image_size, model.image_size + 2 * model.patch)
    assert model.tokens(wide).shape[1] == model.prefix + cells * (cells + 2)
    with pytest.raises(ValueError, match="multiples of patch"):
        model.encode_image(images(model.image_size + 3))


@pytest.mark.parametrize("name", ALL)
def test_relevancy_follows_the_gradient_of_the_score(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A map that depends on the text, and on the part of the image that the score depends on."""
    model = tiny_family(name, monkeypatch)
    x = images(model.image_size, 1)
    gold, ice = model.encode_text(["gold", "ice"])
    made = [model.relevancy(x, text, layers=layers) for text in (gold, ice) for layers in (1, 2)]
    for one in made:
        assert one.shape == (1, 1, model.image_size, model.image_size)
        assert (float(one.min()), float(one.max())) == (0, 1)
    assert not torch.allclose(made[0], made[2], atol=1e-3)
    assert torch.equal(made[0], model.relevancy(x, gold))
    # Nothing about the model has changed.
    torch.testing.assert_close(model.encode_image(x), model.encode_image(x))


def test_the_pooling_query_attends_as_timms_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ViT-B-16-SigLIP2", "PE-Core-B-16"):
        with monkeypatch.context() as patch:
            pool = tiny_family(name, patch).visual.trunk.attn_pool
        h = torch.randn(2, 7, 48, generator=torch.Generator().manual_seed(0))
        pooled, attention = pooled_by_query(pool, h)
        torch.testing.assert_close(pooled, pool(h))
        torch.testing.assert_close(attention.sum(-1), torch.ones(2, pool.num_heads, 1))


def test_the_query_makes_relevancy_of_what_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its last block, a model's map is the query's attention × gradient alone."""
    model = tiny_family("ViT-B-16-SigLIP", monkeypatch)
    for block in model.visual.trunk.blocks:
        torch.nn.init.zeros_(block.attn.proj.weight)
    x, text = images(model.image_size, 1), model.encode_text(["gold"])[0]
    made = model._rollout(x, text, 1)
    h, rope = model._entering(x)
    h = model.visual.trunk.norm(model._run(h, rope, model._blocks()))
    with torch.enable_grad():
        pooled, attention = pooled_by_query(model.visual.trunk.attn_pool, h.detach())
        attention = attention.detach().requires_grad_()
        pool = model.visual.trunk.attn_pool
        values = pool.kv(h.detach()).reshape(1, 16, 2, 4, 12).permute(2, 0, 3, 1, 4)[1]
        out = pool.proj((attention @ values).transpose(1, 2).reshape(1, 1, 48))
        out = (out + pool.mlp(pool.norm(out)))[:, 0]
        torch.testing.assert_close(out, pooled)
        (gradient,) = torch.autograd.grad(model._score(out, text), attention)
    wanted = (attention * gradient).clamp_min(0).mean(1).reshape(1, 1, 4, 4)
    torch.testing.assert_close(made, wanted, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ViT-B-32", *FAMILIES])
def test_a_family_steers_a_whole_edit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_family(name, monkeypatch)
    config = replace(TINY, steps=2, views=ViewConfig(count=2), relevancy_windows=1)
    layer = edited(config, model=model)
    assert layer.shape == (40, 56, 4)
    assert layer[..., 3].max() > 0
    if name in ("ViT-B-16-SigLIP2", "MobileCLIP2-S0"):
        monkeypatch.setattr("test_edit_video.tiny_model", lambda: model)
        atlas = edited_clip("foreground", replace(TINY_CLIP, steps=2))
        assert np.isfinite(atlas.numpy()).all()


def test_a_sigmoids_distance_is_minus_its_log_likelihood() -> None:
    rng = np.random.default_rng(3)
    x, y, scale, bias = rng.normal(size=(5, 12)), rng.normal(size=(3, 12)), 110.0, -15.0
    unit_x, unit_y = (v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (x, y))
    likelihood = 1 / (1 + np.exp(-(scale * unit_x @ unit_y.T + bias)))
    wanted = -np.log(likelihood).mean() * np.pi / 2 / scale
    tensors = torch.from_numpy(x), torch.from_numpy(y)
    assert float(losses.sigmoid_distance(*tensors, scale, bias)) == pytest.approx(wanted)
    assert float(losses.text_distance("cosine", *tensors, (scale, bias))) == pytest.approx(wanted)


@pytest.mark.parametrize(("cosine", "factor"), [(0.0, 1.0), (15 / 110, 0.5), (0.25, 0.0)])
def test_a_sigmoids_slope_ends_where_the_pair_matches(cosine: float, factor: float) -> None:
    """Far from a match as steep as the spherical distance at a right angle; then flat."""
    angle = torch.tensor(float(np.arccos(cosine)), dtype=torch.float64, requires_grad=True)
    x = torch.stack([angle.cos(), angle.sin()])[None]
    y = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    losses.sigmoid_distance(x, y, 110.0, -15.0).backward()
    assert float(angle.grad) / np.sin(np.arccos(cosine)) == pytest.approx(
        factor * np.pi / 2, abs=1e-3 * np.pi
    )


def test_only_sigmoid_trained_models_have_their_own_distance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert tiny_model().sigmoid is None
    scale, bias = tiny_family("ViT-B-16-SigLIP2", monkeypatch).sigmoid
    assert (scale, bias) == (pytest.approx(1 / 0.07), -10)


REFUSED = {
    "RN50": "ResNet", "convnext_base_w": "ConvNeXt", "swin_base_patch4_window7_224": "Swin",
    "vit_relpos_medium_patch16_cls_224": "relative positions", "coca_ViT-L-14": "captioning",
    "roberta-ViT-B-32": "text side", "nllb-clip-base-siglip": "text side",
}  # fmt: skip


@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
def test_other_families_are_refused_with_a_reason(name: str, reason: str) -> None:
    with pytest.raises(JobError) as why:
        check_architecture(name, open_clip.get_model_config(name))
    assert reason in why.value.problem.message
    assert "ViT-B-32" in why.value.problem.hint


def test_every_architecture_of_open_clip_is_accepted_or_refused_with_a_reason() -> None:
    refusals = [_refusal_of(name) for name in open_clip.list_models()]
    assert all("cannot steer an edit: " in one for one in refusals if one)
    assert refusals.count("") >= 100


def _refusal_of(name: str) -> str:
    try:
        check_architecture(name, open_clip.get_model_config(name))
    except JobError as why:
        return why.problem.message
    return ""
