"""What the variant `reference` computes, against formulas of the released implementations.

docs/reference.md quotes these numbers.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from test_edit_video import TINY as TINY_CLIP
from test_edit_video import examples_of
from tiny_clip import tiny_model
from tiny_edit import CPU, TINY, disc, setup_of

from backend.atlas.mlp.config import VARIANTS
from backend.atlas.mlp.networks import Frame, Mlp
from backend.clip.templates import TEMPLATES, fill
from backend.edit.config import EditTexts, ViewConfig, preset
from backend.edit.criterion import structure_size
from backend.edit.generator import Generator
from backend.edit.image import InternalDataset, Still
from backend.edit.losses import bootstrap_loss
from backend.edit.pixels import fit_size, resize, short_size
from backend.edit.texts import TextTargets
from backend.edit.views import apply_views, draw_views
from scripts.measure.evaluate.published import reference

REFERENCE = reference(preset("final", video=False, layer="foreground"), video=False)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- the generator -------------------------------------------------------------------------------


def weights_of_the_unet(channels: int, skip: int, scales: int, last_norm: bool) -> int:
    """Its weights, counted from the widths of its layers."""

    def convolution(inputs: int, outputs: int, side: int) -> int:
        return inputs * outputs * side**2 + outputs

    def norm(width: int) -> int:
        return 2 * width

    total = convolution(channels, 4, 1)
    for level in range(scales):
        inputs = 3 if level == 0 else channels
        total += convolution(inputs, skip, 1) + norm(skip)
        total += convolution(inputs, channels, 3) + convolution(channels, channels, 3)
        total += 2 * norm(channels)
        total += norm(channels + skip) + convolution(channels + skip, channels, 3) + norm(channels)
        total += convolution(channels, channels, 1)
        total += norm(channels) if level > 0 or last_norm else 0
    return total


@pytest.mark.parametrize(("last_norm", "wanted"), [(True, 3_115_804), (False, 3_115_548)])
def test_the_generator_has_as_many_weights_as_its_layers_say(last_norm: bool, wanted: int) -> None:
    assert weights_of_the_unet(128, 4, 7, last_norm) == wanted
    network = Generator(channels=128, scales=7, side=512, last_norm=last_norm)
    assert sum(weight.numel() for weight in network.parameters()) == wanted


def test_the_training_builds_the_generator_that_the_config_names() -> None:
    for last_norm, norms in ((True, 3), (False, 2)):
        network = setup_of(replace(TINY, last_norm=last_norm)).generator(40)
        top = network.up[-1].modules()
        assert sum(isinstance(one, torch.nn.BatchNorm2d) for one in top) == norms
        assert network(torch.rand(1, 3, 40, 44, generator=seeded())).shape == (1, 4, 40, 44)


def test_without_the_last_norm_the_other_weights_start_the_same() -> None:
    made = [
        dict(Generator(channels=6, scales=2, side=40, last_norm=one).named_parameters())
        for one in (True, False)
    ]
    assert torch.equal(made[0]["head.weight"], made[1]["head.weight"])
    assert torch.equal(made[0]["up.1.wide.weight"], made[1]["up.1.wide.weight"])


# --- sizes and crops -----------------------------------------------------------------------------


def test_a_still_is_sized_by_its_short_side_and_small_ones_are_enlarged() -> None:
    assert short_size(480, 854, 512) == (512, 911)
    assert short_size(40, 56, 512) == (512, 717)
    ours, theirs = fit_size(1080, 1920, 512), short_size(1080, 1920, 512)
    assert (ours, theirs) == ((288, 512), (512, 910))
    assert theirs[0] * theirs[1] / (ours[0] * ours[1]) == pytest.approx(3.16, abs=0.01)
    still = Still(disc(40, 56), setup_of(replace(TINY, size=48, still_side="short")))
    assert still.dataset.whole.shape[-2:] == (48, 67)
    assert still.layer().shape == (40, 56, 4)


def test_one_share_keeps_the_shape_of_a_crop() -> None:
    config = replace(REFERENCE.views, count=400, flip=0, affine=0, perspective=0)
    for views, error in ((config, 0.0), (replace(config, one_share=False), 0.15)):
        found = draw_views(views, 60, 60, seeded()).homography[1:]
        aspect = found[:, 0, 0] / found[:, 1, 1]
        assert float((aspect.log().abs()).mean()) == pytest.approx(error, abs=0.02)
    dataset = InternalDataset(
        torch.rand(1, 3, 200, 200, generator=seeded()), None,
        TextTargets(tiny_model(), EditTexts(prompt=("gold",))), tiny_model(),
        replace(TINY, internal_one_share=True),
    )  # fmt: skip
    for seed in range(5):
        height, width = dataset.sample(seeded(seed)).shape[-2:]
        assert abs(height - width) <= 1


@pytest.mark.parametrize(("beyond", "low", "high"), [("image", 0.08, 0.12), ("fill", 0.2, 0.27)])
def test_how_much_of_the_views_is_filled(beyond: str, low: float, high: float) -> None:
    """A crop that is cut out first has nothing around it to turn into view."""
    config = replace(REFERENCE.views, count=600, fill=0.0, jitter=0, grey=0, beyond_crop=beyond)
    views = draw_views(config, 64, 64, seeded(1))
    seen = apply_views(views, torch.ones(1, 3, 64, 64), 24)
    assert low < float((seen == 0).float().mean()) < high


def test_views_keep_the_extent_of_their_crop_when_they_are_divided() -> None:
    config = ViewConfig(count=5, beyond_crop="fill", fill=0.0)
    views, image = draw_views(config, 40, 40, seeded()), torch.rand(1, 3, 40, 40)
    whole = apply_views(views, image, 16)
    parts = [apply_views(views.some(a, b), image, 16) for a, b in ((0, 2), (2, 5))]
    torch.testing.assert_close(whole, torch.cat(parts))


def test_structure_is_compared_in_whole_patches_of_a_wide_image() -> None:
    """The released code resizes 16:9 to 213×380, of which 6×11 patches of 32 pixels remain."""
    height, width = structure_size(tiny_32(), 720, 1280)
    assert (height, width) == (224, 384)
    assert 1 + height // 32 * (width // 32) == 85
    assert 1 + 213 // 32 * (380 // 32) == 67


def tiny_32() -> Any:
    """Of a model, only its sizes: those of ViT-B/32."""
    return SimpleNamespace(image_size=224, patch=32)


def test_positions_of_a_wide_image_keep_their_axes() -> None:
    """The released code interpolates to columns × rows and reads it as rows × columns."""
    model = tiny_model()
    made = model._position(4, 6)[1:]
    table = model.visual.positional_embedding[1:].T.reshape(1, -1, 4, 4)
    right, swapped = (
        torch.nn.functional.interpolate(table, size, mode="bicubic")[0].flatten(1).T
        for size in ((4, 6), (6, 4))
    )
    torch.testing.assert_close(made, right)
    assert float((swapped - right).norm() / right.norm()) > 0.8


def test_images_are_averaged_where_they_shrink() -> None:
    """Lines of two pixels at 512, seen at 224: without averaging they come back as other lines."""
    lines = (torch.arange(512) // 2 % 2).float().expand(1, 3, 512, 512)
    ours = resize(lines, (224, 224)).std()
    plain = torch.nn.functional.interpolate(lines, (224, 224), mode="bilinear").std()
    assert float(ours) == pytest.approx(0.149, abs=0.01)
    assert float(plain) == pytest.approx(0.408, abs=0.01)


# --- texts ---------------------------------------------------------------------------------------

TEXTS = EditTexts(
    prompt=("gold", "chrome", "ice"), source=("a red disc", "a disc"), region=("a disc", "a ball")
)


def test_alternatives_of_prompt_and_source_are_paired_by_number() -> None:
    targets = TextTargets(tiny_model(), TEXTS, paired=True)
    drawn = targets.draw(1.0, seeded())
    assert drawn.partner is not None
    assert drawn.source is not None
    assert len(drawn.prompt) == 3 * 14  # the first term sees all prompts
    assert len(drawn.partner) == len(drawn.source) == 2 * 14  # the third has no partner
    for partner, source in zip(drawn.partner, drawn.source, strict=True):
        (p, k), (q, j) = (
            tuple(int(n) for n in (of == one).all(-1).nonzero()[0])
            for of, one in ((targets.prompt_PKD, partner), (targets.source_PKD, source))
        )
        assert (p, k) == (q, j)


def test_unpaired_prompts_are_compared_with_the_mean_of_the_sources() -> None:
    targets = TextTargets(tiny_model(), TEXTS)
    drawn = targets.draw(1.0, seeded())
    assert torch.equal(drawn.partner, drawn.prompt)
    wanted = targets.source_PKD.mean(0)
    assert {tuple(one.tolist()) for one in drawn.source} == {tuple(one.tolist()) for one in wanted}


def test_any_number_of_sentences_is_drawn_with_replacement() -> None:
    targets, random = TextTargets(tiny_model(), TEXTS, paired=True), seeded()
    draws = [targets.draw(None, random) for _ in range(400)]
    counts = np.array([[len(one.prompt), len(one.source), len(one.screen)] for one in draws])
    assert counts.min(0).tolist() == [1, 1, 1]
    assert counts.max(0).tolist() == [42, 28, 6]
    # The mean of a uniform number 1..n is (n + 1) / 2.
    assert counts.mean(0) == pytest.approx([21.5, 14.5, 3.5], rel=0.09)
    assert np.abs(np.corrcoef(counts.T) - np.eye(3)).max() < 0.17
    assert any(len(one.screen) > len(one.screen.unique(dim=0)) for one in draws[:40])


def test_the_reference_looks_for_the_text_itself() -> None:
    model = tiny_model()
    unit = torch.nn.functional.normalize(model.encode_text(["a disc", "a ball"]), dim=-1)
    raw = TextTargets(model, TEXTS, relevancy_templates=False).region_D
    torch.testing.assert_close(raw, torch.nn.functional.normalize(unit.mean(0), dim=0))
    sentences = [s for text in ("a disc", "a ball") for s in fill(TEMPLATES, text)]
    unit = torch.nn.functional.normalize(model.encode_text(sentences), dim=-1)
    ours = TextTargets(model, TEXTS).region_D
    torch.testing.assert_close(ours, torch.nn.functional.normalize(unit.mean(0), dim=0))
    assert not torch.allclose(raw, ours, atol=1e-3)


# --- the bootstrap -------------------------------------------------------------------------------


def negative_bootstrap(alpha: float, relevancy: float, avoid: float) -> float:
    """(α − R)² + [N > .6]·(1 − α − N)²."""
    return (alpha - relevancy) ** 2 + (avoid > 0.6) * (1 - alpha - avoid) ** 2


@pytest.mark.parametrize(
    ("kind", "optimum", "at_half"), [("target", 0.0, 0.25), ("second", 0.45, 0.25)]
)
def test_where_both_texts_are_the_references_optimum_is_a_compromise(
    kind: str, optimum: float, at_half: float
) -> None:
    relevancy, avoid = torch.tensor(0.8), torch.tensor(0.9)
    alphas = torch.linspace(0, 1, 101)
    losses = [float(bootstrap_loss(one, relevancy, avoid, 0.6, kind)) for one in alphas]
    assert float(alphas[int(np.argmin(losses))]) == pytest.approx(optimum)
    assert losses[50] == pytest.approx(at_half)
    if kind == "second":
        wanted = [negative_bootstrap(float(one), 0.8, 0.9) for one in alphas]
        assert losses == pytest.approx(wanted, abs=1e-6)


def test_the_negative_bootstrap_on_uniform_maps() -> None:
    """α = ½, R and N uniform: 1/12 + ∫(½−N)² over .6..1, against .6/12 + .4·¼."""
    steps = (torch.arange(400) + 0.5) / 400
    relevancy, avoid = torch.meshgrid(steps, steps, indexing="ij")
    made = {
        kind: float(bootstrap_loss(torch.full_like(avoid, 0.5), relevancy, avoid, 0.6, kind))
        for kind in ("target", "second")
    }
    assert made["second"] == pytest.approx(1 / 12 + (0.5**3 - 0.1**3) / 3, abs=1e-4)
    assert made["target"] == pytest.approx(0.6 / 12 + 0.4 / 4, abs=1e-4)


# --- clips ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["foreground", "background"])
def test_every_example_of_a_clip_shows_the_layer_alone(
    monkeypatch: pytest.MonkeyPatch, layer: str
) -> None:
    config = replace(TINY_CLIP, backdrop="atlas", internal_jitter=0.0, steps=2)
    for one in examples_of(monkeypatch, layer, config)[1]:
        empty = one.alpha == 0
        dark = one.source.amax(1, keepdim=True) == 0
        if layer == "foreground":  # cut out, with black around it
            assert dark.any()
            assert dark[empty].all()
        else:  # reconstructed, without the object in front
            assert not empty.any()


# --- atlases by networks -------------------------------------------------------------------------


def test_the_released_networks_pass_no_gradient_through_their_skips() -> None:
    config = VARIANTS["reference"]
    assert not config.atlas_skip_gradient
    gradients = []
    for passes in (True, False):
        network = Mlp(4, 2, 8, 4, seeded(), (2, 3), passes)
        x = torch.rand(5, 4, generator=seeded(1)).requires_grad_()
        network(x).sum().backward()
        gradients.append(x.grad)
        own = [one.grad for one in network.parameters()]
    # The weights' gradients do not know about it.
    other = Mlp(4, 2, 8, 4, seeded(), (2, 3), True)
    other(x.detach()).sum().backward()
    for ours, theirs in zip(own, other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs.grad)
    # By the chain rule: only the first layer's columns reach the input.
    h = x.detach()
    first = network.layers[0]
    passed = torch.autograd.functional.jacobian(
        lambda z: _after_first(network, z, h).sum(), first(h)
    )
    torch.testing.assert_close(gradients[1], passed @ first.weight)
    assert not torch.allclose(gradients[0], gradients[1], rtol=0.1)


def _after_first(network: Mlp, z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    out = z
    for index, layer in enumerate(list(network.layers)[1:], start=1):
        out = out.relu()
        out = layer(torch.cat([out, x], 1) if index in network.skips else out)
    return out.tanh()


def test_the_released_coordinates_start_at_the_first_pixel() -> None:
    frame = Frame((40, 64), 5, 0.8, VARIANTS["reference"].coordinates)
    xy = torch.tensor([[0.5, 0.5], [32.5, 0.5], [63.5, 39.5]])
    made = frame.points(xy, torch.tensor([0, 2, 4]))
    # x/(L/2) − 1 of the pixel's number, t/(T/2) − 1 of the frame's.
    wanted = [[-1, -1, -1], [0, -1, 2 / 2.5 - 1], [63 / 32 - 1, 39 / 32 - 1, 4 / 2.5 - 1]]
    torch.testing.assert_close(made, torch.tensor(wanted))
    assert made.device == CPU
