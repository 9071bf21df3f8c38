"""The edit of one image, from its set-up to the bytes of its layer."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_clip import tiny_model
from tiny_edit import CPU, TEXTS, TINY, Recorder, disc, edited, example_of, setup_of

from backend.edit import train as train_module
from backend.edit.config import EditConfig, EditTexts, ViewConfig
from backend.edit.criterion import Criterion, structure_size
from backend.edit.generator import Generator
from backend.edit.image import InternalDataset, Still
from backend.edit.pixels import (
    PREVIEW_GAP,
    composite,
    fit_size,
    matte_levels,
    to_image,
    to_tensor,
)
from backend.edit.texts import TextTargets
from backend.edit.train import train
from backend.progress import Cancelled, Silent
from protocol.jobs import JobError

# --- the result ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_layer_has_the_images_own_size():
    layer = edited()
    assert layer.shape == (40, 56, 4)
    assert layer.dtype == np.uint8
    assert edited(replace(TINY, size=32)).shape == (40, 56, 4)


@pytest.mark.slow
def test_the_bytes_depend_only_on_the_seed():
    torch.manual_seed(1)
    first = edited(replace(TINY, seed=3))
    torch.manual_seed(2)
    assert np.array_equal(first, edited(replace(TINY, seed=3)))
    assert not np.array_equal(first, edited(replace(TINY, seed=4)))


def test_mask_keeps_the_layer_out():
    mask = np.zeros((40, 56), np.uint8)
    mask[10:30, 14:42] = 255
    layer = edited(replace(TINY, matte=(0.0, 1.0)), mask=mask)
    assert layer[mask == 0, 3].max() == 0
    assert layer[12:28, 16:40, 3].min() > 0


def sharp_relevancy(model, source, text):
    return model.relevancy(
        source, text, layers=TINY.relevancy_layers, windows=TINY.relevancy_windows, edges=True
    )


def test_the_artists_mask_replaces_the_relevancy_map():
    model = tiny_model()
    targets = TextTargets(model, TEXTS)
    source, mask = to_tensor(disc(), CPU), torch.zeros(1, 1, 40, 56)
    mask[..., 10:30, 14:42] = 1
    told = InternalDataset(source, mask, targets, model, TINY)
    assert torch.equal(told.whole[:, 4:5], mask)
    assert torch.equal(told.whole[:, 3:4], mask)
    found = InternalDataset(source, None, targets, model, TINY)
    wanted = sharp_relevancy(model, source, targets.region_or_source_D)
    assert torch.equal(found.whole[:, 4:5], wanted)
    assert float(found.whole[:, 3:4].min()) == 1
    assert not InternalDataset(
        source, None, targets, model, replace(TINY, bootstrap=0.0)
    ).has_relevancy


def test_the_references_map_is_left_as_it_is():
    model = tiny_model()
    targets, source = TextTargets(model, TEXTS), to_tensor(disc(), CPU)
    plain = InternalDataset(source, None, targets, model, replace(TINY, relevancy_windows=1))
    assert torch.equal(plain.whole[:, 4:5], model.relevancy(source, targets.region_or_source_D))


def test_a_layer_bootstrap_covers_the_whole_image_or_the_region():
    model = tiny_model()
    source, config = to_tensor(disc(), CPU), replace(TINY, bootstrap_where="layer")
    half = replace(config, bootstrap_level=0.5)
    targets = TextTargets(model, TEXTS)  # a source text says what there is, not where
    assert torch.equal(
        InternalDataset(source, None, targets, model, half).whole[:, 4:5],
        torch.full((1, 1, 40, 56), 0.5),
    )
    said = TextTargets(model, replace(TEXTS, region=("disc",)))
    found = InternalDataset(source, None, said, model, half)
    assert torch.equal(found.whole[:, 4:5], sharp_relevancy(model, source, said.region_D) / 2)


def test_a_text_to_avoid_works_without_a_region():
    model = tiny_model()
    source = to_tensor(disc(), CPU)
    targets = TextTargets(model, EditTexts(prompt=("gold",), avoid=("disc",)))
    picture = InternalDataset(source, None, targets, model, TINY)
    assert picture.has_relevancy
    assert picture.has_avoid
    assert float(picture.whole[:, 4:5].min()) == 1
    assert torch.equal(picture.whole[:, 5:6], sharp_relevancy(model, source, targets.avoid_D))
    bare = InternalDataset(
        source, None, TextTargets(model, EditTexts(prompt=("gold",))), model, TINY
    )
    assert not bare.has_relevancy
    assert not bare.has_avoid


def test_crops_carry_mask_and_maps_along():
    model = tiny_model()
    source = to_tensor(disc(), CPU)
    mask = source[:, :1]
    picture = InternalDataset(
        source, mask, TextTargets(model, TEXTS), model, replace(TINY, internal_jitter=0)
    )
    random = torch.Generator().manual_seed(0)
    shapes = set()
    for _ in range(20):
        sample = picture.sample(random)
        torch.testing.assert_close(sample[:, :1], sample[:, 3:4])
        torch.testing.assert_close(sample[:, :1], sample[:, 4:5])
        shapes.add(sample.shape[-2:])
    assert len(shapes) > 10
    assert min(h for h, _ in shapes) >= 0.8 * 0.85 * 40 - 1
    assert max(h for h, _ in shapes) <= 1.2 * 40 + 1


@pytest.mark.slow
def test_training_reduces_the_loss(monkeypatch):
    histories = []
    real = train_module.train

    def spying(*args):
        histories.append(real(*args))
        return histories[-1]

    monkeypatch.setattr("backend.edit.image.train", spying)
    edited(replace(TINY, steps=40, bootstrap_steps=0))
    assert np.mean(histories[0][-8:]) < np.mean(histories[0][:8]) - 0.05


def test_an_empty_prompt_is_an_error_and_no_source_a_note():
    with pytest.raises(JobError, match="no prompt"):
        edited(texts=EditTexts(prompt=(" ",)))
    report = Recorder()
    edited(replace(TINY, steps=1), EditTexts(prompt=("gold",)), report)
    assert report.notes == ["No source text was given; only the prompt guides the edit."]


# --- the loop ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_step_is_reported_and_a_preview_comes_early():
    report = Recorder()
    edited(replace(TINY, steps=20, views=ViewConfig(count=1), preview_every=10), report=report)
    done = [step for _, step, _ in report.steps]
    assert {phase for phase, _, _ in report.steps} == {"edit"}
    assert sorted(set(done)) == list(range(21))
    assert done == sorted(done)
    first, image = report.previews[0]
    assert report.steps[first - 1][1] <= 20 * 0.05
    assert len(report.previews) == 3
    assert image.dtype == np.uint8
    assert image.shape == (34 + PREVIEW_GAP + 34, 48, 3)


@pytest.mark.parametrize("patience", [0, 3, 9])
def test_cancel_works_while_texts_and_maps_are_made(patience, monkeypatch):
    class Impatient(Silent):
        calls = 0

        def step(self, phase, done, total):
            self.calls += 1
            if self.calls > patience:
                raise Cancelled

    monkeypatch.setattr("backend.edit.image.train", None)
    with pytest.raises(Cancelled):
        edited(report=Impatient())


def test_cancel_works_inside_a_step(monkeypatch):
    begun = []

    class Impatient(Silent):
        def step(self, phase, done, total):
            if begun:
                assert done == 0
                raise Cancelled

    real = Criterion.__call__

    class Marked(Criterion):
        def __call__(self, examples, step):
            begun.append(0)
            return real(self, examples, step)

    monkeypatch.setattr(train_module, "Criterion", Marked)
    with pytest.raises(Cancelled):
        edited(report=Impatient())


def test_cancel_works_in_the_backward_pass(monkeypatch):
    inside = []

    class Impatient(Silent):
        def step(self, phase, done, total):
            if inside:
                raise Cancelled

    real = Criterion.__call__

    class Marked(Criterion):
        def __call__(self, examples, step):
            made = real(self, examples, step)
            inside.append(0)
            return made

    monkeypatch.setattr(train_module, "Criterion", Marked)
    with pytest.raises(Cancelled):
        edited(report=Impatient())


def test_a_loss_that_is_not_a_number_stops_with_its_name():
    model = tiny_model()
    with torch.no_grad():
        model.visual.proj.fill_(float("nan"))
    with pytest.raises(JobError) as caught:
        edited(replace(TINY, bootstrap=0), model=model)
    assert caught.value.problem.code == "diverged"
    assert "step 1: composition" in caught.value.problem.message


@pytest.mark.slow
def test_learning_rate_falls_to_its_floor(monkeypatch):
    rates = []

    class Watched(train_module.Madgrad):
        def step(self, closure=None):
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    monkeypatch.setattr(train_module, "Madgrad", Watched)
    edited(replace(TINY, steps=5, lr=1e-3, decay=0.1, lr_min=1e-5))
    assert rates == pytest.approx([1e-3, 1e-4, 1e-5, 1e-5, 1e-5])


# --- a model that jobs share ---------------------------------------------------------------------


def settings_of(model):
    """All of a model's state except its caches and its weights, which have tests of their own."""
    caches = ("_positions", "_rounded", "fingerprint")
    return {k: v for k, v in vars(model).items() if k not in caches}


def test_a_training_leaves_the_shared_model_as_it_was(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    model = tiny_model()
    before, during = settings_of(model), []

    class Watching(Silent):
        def step(self, phase, done, total):
            during.append(settings_of(model) == before)

    edited(replace(TINY, precision="bfloat16"), report=Watching(), model=model)
    assert len(during) > TINY.steps
    assert all(during)
    assert settings_of(model) == before


@pytest.mark.parametrize("stop", [1, 5, 60])
def test_a_cancelled_training_leaves_the_shared_model_as_it_was(stop):
    class Cancelling(Silent):
        calls = 0

        def step(self, phase, done, total):
            self.calls += 1
            if self.calls > stop:
                raise Cancelled

    model = tiny_model()
    before = settings_of(model)
    with pytest.raises(Cancelled):
        edited(report=Cancelling(), model=model)
    assert settings_of(model) == before


def test_trainings_that_share_a_model_keep_to_their_own_settings(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    model, reports = tiny_model(), [Recorder(), Recorder()]
    configs = [replace(TINY, precision=one) for one in ("float32", "bfloat16")]
    setups = [
        setup_of(config, report=report, model=model)
        for config, report in zip(configs, reports, strict=True)
    ]
    image = to_tensor(disc(32, 32), CPU)
    wanted = [model.encode_image(image), model.configured(bfloat16=True).encode_image(image)]
    assert not torch.equal(*wanted)
    for one, other in ((0, 1), (1, 0)):
        counts = [len(report.steps) for report in reports]
        assert torch.equal(setups[one].clip.encode_image(image), wanted[one])
        assert len(reports[one].steps) > counts[one]
        assert len(reports[other].steps) == counts[other]


# --- small pieces --------------------------------------------------------------------------------


def test_composite_is_over():
    rng = np.random.default_rng(0)
    layer, under = rng.random((2, 4, 5, 6)), rng.random((2, 3, 5, 6))
    wanted = layer[:, 3:] * layer[:, :3] + (1 - layer[:, 3:]) * under
    made = composite(torch.from_numpy(layer), torch.from_numpy(under))
    np.testing.assert_allclose(made.numpy(), wanted)


def test_matte_levels_clear_the_haze_and_stretch_the_rest():
    layer = torch.full((1, 4, 1, 5), 0.5)
    layer[0, 3, 0] = torch.tensor([0.02, 0.05, 0.5, 0.95, 0.99])
    made = matte_levels(layer, EditConfig(matte=(0.05, 0.95)))
    torch.testing.assert_close(made[0, 3, 0], torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]))
    assert torch.equal(made[:, :3], layer[:, :3])
    assert torch.equal(matte_levels(layer, EditConfig(matte=(0, 1))), layer)


def test_structure_is_compared_in_whole_patches_with_the_models_short_side():
    model = tiny_model()
    assert structure_size(model, 100, 100) == (32, 32)
    assert structure_size(model, 60, 90) == (32, 48)
    # 380/224 of 32 is 54.3: the long side stops at seven patches.
    assert structure_size(model, 300, 60) == (56, 32)


def test_sizes_and_pixels():
    assert fit_size(1080, 1920, 480) == (270, 480)
    assert fit_size(30, 40, 480) == (30, 40)
    image = disc()
    assert np.array_equal(to_image(to_tensor(image, CPU)), image)


def test_bfloat16_is_used_only_where_it_is_faster(monkeypatch):
    rough, exact = EditConfig(precision="bfloat16"), EditConfig(precision="float32")
    for tiles in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda tiles=tiles: tiles)
        assert train_module.uses_bfloat16(rough, CPU) is tiles
        assert train_module.uses_bfloat16(exact, CPU) is False


def test_train_returns_a_loss_for_every_step():
    network = Generator(channels=6, scales=3, side=40)

    class Disc:
        def __init__(self):
            self.network = network

        def examples(self, step):
            return [example_of(network)]

        def preview(self):
            return disc()

    history = train(setup_of(replace(TINY, steps=3)), Disc())
    assert len(history) == 3
    assert np.isfinite(history).all()


def test_the_generator_keeps_float32_on_cpus(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    setup = setup_of(replace(TINY, precision="bfloat16"))
    assert setup.clip.bfloat16
    assert not setup.generator(40).autocast


def test_a_fixed_set_of_crops_recurs_each_with_its_views():
    config = replace(TINY, internal_count=2, whole_every=4)
    still = Still(disc(), setup_of(config))
    found = {}
    for step in range(9):
        for example in still.examples(step):
            assert (example.views is None) == (example.name == "whole")
            found.setdefault(example.name, []).append(example)
    assert set(found) == {"whole", "crop 0", "crop 1"}
    for examples in found.values():
        assert len(examples) > 1
        for example in examples[1:]:
            assert torch.equal(example.source, examples[0].source)
            if example.views is not None:
                assert torch.equal(example.views.homography, examples[0].views.homography)
    one, other = found["crop 0"][0], found["crop 1"][0]
    assert not torch.equal(one.views.homography, other.views.homography)
