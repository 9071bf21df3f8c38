"""The edit of a clip's layer, on an atlas with known geometry: a panning window."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from panning import CPU, STEP, TINY, H, Panning, T, W
from tiny_clip import tiny_model

from backend.atlas.sampling import sample
from backend.edit import train as train_module
from backend.edit.config import EditTexts
from backend.edit.crops import CELL, MIN_CROP, Window
from backend.edit.footage import EditRegions, Footage, Region
from backend.edit.pixels import PREVIEW_GAP, over, premultiply
from backend.edit.train import Setup
from backend.edit.video import edit_atlas
from backend.progress import EDIT_PHASE, Cancelled, Silent

TEXTS = EditTexts(prompt=("golden wall",), source=("wall",))


class Recorder(Silent):
    def __init__(self):
        self.steps, self.previews, self.notes = [], [], []

    def step(self, phase, done, total):
        self.steps.append((phase, done, total))

    def preview(self, image):
        self.previews.append(image)

    def note(self, text):
        self.notes.append(text)


def footage(layer="background", config=TINY, atlas=None, frames=None):
    atlas = atlas or Panning()
    frames = atlas.clip() if frames is None else frames
    return Footage(frames, atlas, layer, config, CPU)


def edited(layer="foreground", config=TINY, report=None, atlas=None, frames=None):
    atlas = atlas or Panning()
    frames = atlas.clip() if frames is None else frames
    return edit_atlas(frames, atlas, layer, setup_of(config, report))


def setup_of(config=TINY, report=None, model=None):
    return Setup(TEXTS, model or tiny_model(), config, report or Silent())


# --- geometry ------------------------------------------------------------------------------------


def test_atlas_pixels_are_as_large_as_the_frames():
    assert footage().atlas.shape == (1, 3, H, W + STEP * (T - 1))
    assert footage(atlas=Panning(factor=2), frames=Panning().clip()).atlas.shape[-1] == 100
    half = footage(config=replace(TINY, size=40))
    assert [one.shape for one in half.frames] == [(1, 3, 30, 40)] * T
    assert half.atlas.shape[-1] == 50
    assert max(footage(config=replace(TINY, atlas_limit=64)).atlas.shape) == 64


def test_the_object_is_edited_at_the_size_the_config_names():
    # The object's box is 30×20 of 60×80; with a margin of 5 % of 80 on each side it spans 38.
    config = replace(TINY, size=32, object_margin=0.05)
    assert footage("foreground", config).size == (50, 67)
    assert footage("background", config).size == (24, 32)
    assert footage("foreground", replace(config, size=500)).size == (H, W)


def test_a_crop_of_the_atlas_seen_through_the_map_is_the_frame():
    """The whole chain: frame crop, atlas window, local coordinates, look-up."""
    made = footage()
    random = torch.Generator().manual_seed(0)
    for _ in range(5):
        views = [made.view(t, random) for t in made.draw_frames(random)]
        area = made.atlas_window(views)
        for view in views:
            seen = sample(area.cut(made.atlas), made.local(view.uv, area), "zeros")
            torch.testing.assert_close(seen, view.frame, atol=5e-3, rtol=0)


def test_a_crop_has_the_detail_that_the_atlas_has_there():
    made = footage(config=replace(TINY, detail=1.0, detail_radius=0.02))
    random = torch.Generator().manual_seed(0)
    for _ in range(5):
        views = [made.view(t, random) for t in made.draw_frames(random)]
        area = made.atlas_window(views)
        for view in views:
            seen = sample(area.cut(made.detail.map), made.local(view.uv, area), "zeros")
            both = torch.stack([seen.flatten(), view.detail.flatten()])
            assert torch.corrcoef(both)[0, 1] > 0.9
            assert both.std(1).min() > 0.05


def test_the_extent_of_a_crop_is_what_its_visible_pixels_look_at():
    """To within a cell on each side, and never less."""
    made, random = footage("foreground", replace(TINY, size=400)), torch.Generator().manual_seed(0)
    for _ in range(10):
        view = made.view(2, random)
        shown_2N = view.uv[0].flatten(1)[:, view.opacity.flatten() > 0.05]
        extent = view.extent
        found = torch.tensor([[extent.left, extent.right], [extent.top, extent.bottom]])
        wanted = torch.stack([shown_2N.amin(1), shown_2N.amax(1)], dim=1)
        beyond = (found - wanted) * torch.tensor([-1.0, 1.0])
        # One pixel is 2/100 of the atlas's width, 2/60 of its height.
        cell = CELL * torch.tensor([[2 / (W + STEP * (T - 1))], [2 / H]])
        assert (beyond >= 0).all()
        assert (beyond < cell).all()


def test_a_step_draws_a_frame_and_its_neighbours():
    made, random = footage(), torch.Generator().manual_seed(0)
    draws = {tuple(made.draw_frames(random)) for _ in range(60)}
    assert draws == {(0, 2, 4), (1, 3, 5)}


@pytest.mark.parametrize(("count", "wanted"), [(1, {(0,)}), (2, {(0,), (1,)}), (3, {(0, 1, 2)})])
def test_short_clips_make_do_with_fewer_neighbours(count, wanted):
    made = footage(frames=Panning().clip()[:count])
    random = torch.Generator().manual_seed(0)
    assert {tuple(made.draw_frames(random)) for _ in range(20)} == wanted


def test_background_crops_keep_most_of_the_frame():
    made, random = footage(), torch.Generator().manual_seed(0)
    shapes = [made.view(2, random).frame.shape[-2:] for _ in range(60)]
    assert min(h for h, _ in shapes) >= 0.8 * H - 1
    assert min(w for _, w in shapes) >= 0.8 * W - 1
    assert len(set(shapes)) > 10


def test_foreground_crops_lie_around_the_object():
    config = replace(TINY, object_margin=0.05, size=400)
    frames = np.zeros((3, 300, 400, 3), np.uint8)
    made = footage("foreground", config, frames=frames)
    assert made.boxes[1] == Window(75, 100, 225, 200)
    random = torch.Generator().manual_seed(0)
    for _ in range(40):
        view = made.view(1, random)
        height, width = view.opacity.shape[-2:]
        # The box and a margin of 5 % of 400 pixels, less 5 % of that.
        assert 0.95 * 190 - 1 <= height <= 191
        assert 0.95 * 140 - 1 <= width <= 141
        assert float(view.opacity.sum()) >= 0.9 * 150 * 100


def test_small_objects_still_give_a_usable_crop():
    class Dot(Panning):
        def opacity(self, layer, t, size=None):
            made = torch.zeros(len(t), 1, *(size or (H, W)))
            made[..., 3:6, 70:74] = 1
            return made

    made, random = footage("foreground", atlas=Dot()), torch.Generator().manual_seed(0)
    for _ in range(20):
        views = [made.view(t, random) for t in made.draw_frames(random)]
        assert min(views[0].frame.shape[-2:]) >= MIN_CROP
        area = made.atlas_window(views)
        assert min(area.bottom - area.top, area.right - area.left) >= MIN_CROP


def test_a_frame_without_the_object_is_cropped_whole():
    class Gone(Panning):
        def opacity(self, layer, t, size=None):
            return super().opacity(layer, t, size) * (t != 1).reshape(-1, 1, 1, 1)

    made = footage("foreground", atlas=Gone())
    assert made.boxes[1] == Window(0, 0, H, W)
    nothing = [made.view(1, torch.Generator().manual_seed(0))]
    assert made.atlas_window(nothing) == Window(0, 0, *made.atlas.shape[-2:])


def test_frames_without_the_object_are_not_drawn_and_do_not_shrink_it():
    class Gone(Panning):
        def opacity(self, layer, t, size=None):
            return super().opacity(layer, t, size) * (t > 2).reshape(-1, 1, 1, 1)

    config = replace(TINY, size=32, object_margin=0.05)
    made = footage("foreground", config, atlas=Gone())
    assert made.size == footage("foreground", config).size
    random = torch.Generator().manual_seed(0)
    assert {tuple(made.draw_frames(random)) for _ in range(20)} == {(1, 3, 5)}

    class Never(Panning):
        def opacity(self, layer, t, size=None):
            return torch.zeros_like(super().opacity(layer, t, size))

    assert footage("foreground", config, atlas=Never()).middles == [2, 3]


def test_over_a_premultiplied_layer_equals_the_straight_composite():
    rng = np.random.default_rng(0)
    layer, under = rng.random((1, 4, 5, 6)), rng.random((1, 3, 5, 6))
    wanted = layer[:, 3:] * layer[:, :3] + (1 - layer[:, 3:]) * under
    made = over(premultiply(torch.from_numpy(layer)), torch.from_numpy(under))
    np.testing.assert_allclose(made.numpy(), wanted)


# --- the edit ------------------------------------------------------------------------------------


def test_result_is_an_rgba_atlas_and_the_atlas_is_untouched():
    atlas = Panning()
    before = atlas.colours.clone()
    made = edited(atlas=atlas)
    assert made.shape == (1, 4, H, 100)
    assert 0 <= float(made.min()) <= float(made.max()) <= 1
    assert not made.requires_grad
    assert torch.equal(atlas.colours, before)


@pytest.mark.slow
def test_a_layer_with_the_footages_detail_has_all_that_the_atlas_shows():
    """Over the atlas lies a mesh of columns, so fine that what is edited shows none of it."""
    atlas, step = Panning(factor=2), 0.4
    grey = atlas.colours.mean(1, keepdim=True).clamp(0.4, 0.6).logit()
    grey[..., ::2] += step
    atlas.colours = grey.sigmoid().repeat(1, 3, 1, 1)
    for weight, wanted in ((0.0, 0.0), (1.0, step), (0.5, step / 2)):
        config = replace(TINY, detail=weight, matte=(0.0, 1.0))
        made = edited(config=config, atlas=atlas, frames=Panning().clip())
        full = torch.nn.functional.interpolate(made, (2 * H, 200))
        columns = full[:, :3, 20:-20, 20:-20].logit()
        gap = columns[..., ::2] - columns[..., 1::2]
        assert float(gap.mean()) == pytest.approx(wanted, rel=0.1, abs=0.02)
        assert made.shape[-2:] == ((2 * H, 200) if weight else (H, 100))


def test_no_gradient_reaches_the_atlas_or_the_text_image_model():
    atlas, model = Panning(), tiny_model()
    for frozen in (atlas.colours, atlas.seen):
        frozen.requires_grad_()
    edit_atlas(atlas.clip(), atlas, "foreground", setup_of(model=model))
    assert atlas.colours.grad is None
    assert atlas.seen.grad is None
    assert all(weight.grad is None for weight in model.clip.parameters())


def test_texels_that_no_frame_shows_stay_empty():
    atlas = Panning()
    atlas.seen[..., 50:] = 0
    made = edited("background", atlas=atlas)
    assert float(made[:, 3, :, 51:].max()) == 0
    assert float(made[:, 3, :, :49].min()) > 0


@pytest.mark.slow
def test_same_seed_same_atlas():
    first = edited(config=replace(TINY, seed=3))
    assert torch.equal(first, edited(config=replace(TINY, seed=3)))
    assert not torch.equal(first, edited(config=replace(TINY, seed=4)))


def examples_of(monkeypatch, layer, config=TINY):
    caught = []

    class Catching(train_module.Criterion):
        def __call__(self, examples, step):
            caught.append(examples)
            return super().__call__(examples, step)

    monkeypatch.setattr(train_module, "Criterion", Catching)
    edited(layer, config)
    return caught


@pytest.mark.slow
def test_a_step_judges_three_frames_one_direct_view_and_at_times_the_atlas(monkeypatch):
    steps = examples_of(monkeypatch, "background")
    assert [len(examples) for examples in steps] == [5, 4, 5]
    assert steps[0][4].source.shape[-2:] == (H, 100)
    assert len(examples_of(monkeypatch, "background", replace(TINY, direct=False))[1]) == 3


@pytest.mark.slow
def test_without_the_internal_dataset_a_frame_looks_the_same_every_time(monkeypatch):
    config = replace(
        TINY, internal=False, internal_flip=1.0, internal_jitter=1.0, steps=4, whole_every=9
    )
    flipped = []
    real = torch.Tensor.flip
    monkeypatch.setattr(torch.Tensor, "flip", lambda x, *d: flipped.append(d) or real(x, *d))
    for examples in examples_of(monkeypatch, "background", config):
        for example in examples[:4]:
            source = (example.source[0].permute(1, 2, 0) * 255).round().byte().numpy()
            assert any(np.array_equal(source, frame) for frame in Panning().clip())
    assert not flipped


@pytest.mark.slow
def test_outside_the_object_the_frame_shows_and_the_screen_is_green(monkeypatch):
    for example in examples_of(monkeypatch, "foreground")[1]:
        outside = (example.alpha == 0).expand(-1, 3, -1, -1)
        assert 0.2 < float(outside.float().mean()) < 1
        assert torch.equal(example.output[outside], example.source[outside])
        green = torch.tensor(TINY.green).reshape(1, 3, 1, 1).expand_as(example.screen)
        assert torch.equal(example.screen[outside], green[outside])


def test_the_background_stays_behind_the_object():
    made, object_ = footage("background"), footage("foreground", replace(TINY, size=400))
    assert object_.size == made.size
    for here, there in zip(made.opacity, object_.opacity, strict=True):
        torch.testing.assert_close(here, 1 - there)


def test_a_bootstrap_starts_where_the_layer_may_be(monkeypatch):
    for example in examples_of(monkeypatch, "foreground")[1]:
        assert set(example.relevancy.unique().tolist()) <= {0.0, 1.0}
        assert not example.alpha[example.relevancy == 0].any()


def test_the_references_backdrop_is_the_layer_alone(monkeypatch):
    config = replace(TINY, backdrop="atlas", direct=False)
    for example in examples_of(monkeypatch, "foreground", config)[1]:
        outside = (example.alpha == 0).expand(-1, 3, -1, -1)
        assert float(example.source[outside].abs().max()) == 0


def test_the_run_is_reported_and_shown():
    report = Recorder()
    edited("background", config=replace(TINY, steps=4, size=64), report=report)
    done = [step for _, step, _ in report.steps]
    assert {(phase, total) for phase, _, total in report.steps} == {(EDIT_PHASE, 4)}
    assert done == sorted(done)
    assert set(done) == {0, 1, 2, 3, 4}
    assert len(report.previews) == 3
    assert report.previews[0].shape == (48 + PREVIEW_GAP + 48, 64, 3)
    assert report.notes == []


def test_cancel_works_while_the_clip_is_prepared():
    class Impatient(Silent):
        def step(self, phase, done, total):
            raise Cancelled

    with pytest.raises(Cancelled):
        edited(report=Impatient())


@pytest.mark.slow
def test_every_example_of_a_step_knows_where_the_layer_should_and_should_not_be(monkeypatch):
    def find_regions(made, *_):
        wanted, avoid = (
            Region(made.stack(one * share for one in made.opacity), made.coverage * share)
            for share in (0.25, 0.75)
        )
        return EditRegions(wanted, avoid)

    monkeypatch.setattr("backend.edit.video.find_regions", find_regions)
    examples = examples_of(monkeypatch, "background")[0]
    assert len(examples) == 5
    for example in examples:
        assert example.relevancy.shape == example.avoid.shape == example.alpha.shape
        assert float(example.relevancy.max()) == pytest.approx(0.25)
        torch.testing.assert_close(example.avoid, 3 * example.relevancy)
