"""A step's loss: what its terms are made of, and where its gradient goes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_clip import tiny_model
from tiny_edit import CPU, TEXTS, TINY, criterion, disc, edited, example_of

from backend.clip.templates import TEMPLATES
from backend.edit import scoring
from backend.edit.config import ViewConfig
from backend.edit.criterion import Example
from backend.edit.generator import Generator
from backend.edit.losses import spherical_distance
from backend.edit.pixels import to_tensor
from backend.edit.scoring import Scorer
from backend.edit.views import draw_views


def test_the_gradient_reaches_the_generator_alone():
    network = Generator(channels=6, scales=3, side=40)
    judge = criterion()
    loss, parts = judge([example_of(network), example_of(network)], 0)
    loss.backward()
    assert all(p.grad is not None for p in network.parameters())
    assert all(p.grad is None for p in judge.model.clip.parameters())
    assert set(parts) == {
        "composition", "direction", "screen", "structure", "sparsity", "bootstrap",
    }  # fmt: skip
    assert float(loss.detach()) == pytest.approx(float(sum(parts.values())), rel=1e-5)
    assert not any(part.requires_grad for part in parts.values())


def test_weights_multiply_their_terms_and_the_bootstrap_anneals():
    network = Generator(channels=6, scales=3, side=40)
    example = example_of(network)
    plain = replace(TINY, direction=1.0, screen=1.0, structure=1.0, sparsity=1.0, bootstrap=1.0)
    double = replace(
        plain, composition=7.0, direction=2.0, screen=3.0, structure=4.0, sparsity=5.0,
        bootstrap=6.0,
    )  # fmt: skip
    _, one = criterion(plain)([example], 0)
    _, many = criterion(double)([example], 0)
    factors = {"composition": 7, "direction": 2, "screen": 3, "structure": 4, "sparsity": 5}
    for name, factor in {**factors, "bootstrap": 6}.items():
        assert float(many[name]) == pytest.approx(factor * float(one[name]), rel=1e-4)
    _, later = criterion(plain)([example], 3)
    assert float(later["bootstrap"]) == pytest.approx(float(one["bootstrap"]) / 2, rel=1e-5)
    assert "bootstrap" not in criterion(plain)([example], 6)[1]


def test_tokens_of_a_recurring_source_are_computed_once():
    example = example_of(Generator(channels=6, scales=3, side=40))
    other = replace(example, source=example.source.flip(-1))
    read, counted = [], criterion()
    real = counted.model.tokens
    counted.model.tokens = lambda x: read.append(len(x)) or real(x)
    named = replace(example, name="whole")
    made = [counted([named, other], 0)[1]["structure"], counted([other, named], 0)[1]["structure"]]
    # The named source, the other one, both outputs; then without the named one.
    assert read == [1, 1, 2, 1, 2]
    plain = criterion()([example, other], 0)[1]["structure"]
    torch.testing.assert_close(made, [plain, plain])


def test_a_recurring_source_with_fixed_views_is_embedded_once(monkeypatch):
    example = example_of(Generator(channels=6, scales=3, side=40))
    again = replace(example, name="crop 3", views=drawn_for(example, 7))
    other = replace(again, name="crop 4", views=drawn_for(example, 8))
    looked = []
    real = Scorer.embed

    def embed(self, seen):
        looked.append(len(seen))
        return real(self, seen)

    monkeypatch.setattr(Scorer, "embed", embed)
    judge = criterion()
    first, second = (judge([again, example], 0)[1]["direction"] for _ in range(2))
    # Outputs and screens together; the source that is kept; the other one, then that alone.
    assert looked == [4, 1, 1, 4, 1]
    looked.clear()
    judge([other, again], 0)
    assert looked == [4, 1]
    assert not torch.equal(first, second)  # the other source's views are new
    looked.clear()
    apart = criterion(replace(TINY, same_views=False))
    for _ in range(2):
        apart([again], 0)
    assert looked == [2, 1, 2, 1]


def test_a_cached_embedding_equals_a_fresh_one():
    example = example_of(Generator(channels=6, scales=3, side=40))
    example = replace(example, name="crop 0", views=drawn_for(example, 0))
    judge = criterion(replace(TINY, templates=1.0, screen=0.0))
    made = [judge([example], 0)[1]["direction"] for _ in range(2)]
    assert torch.equal(*made)
    judge._embedded["crop 0"] += 0.1
    assert not torch.equal(judge([example], 0)[1]["direction"], made[0])


def drawn_for(example, seed):
    random = torch.Generator().manual_seed(seed)
    return draw_views(TINY.views, *example.source.shape[-2:], random)


def test_switched_off_terms_are_absent():
    config = replace(TINY, direction=0.0, screen=0.0, structure=0.0, bootstrap_steps=0)
    _, parts = criterion(config)([example_of(Generator(channels=6, scales=3, side=40))], 0)
    assert set(parts) == {"composition", "sparsity"}


def spied_views(monkeypatch, same):
    drawn = []
    real = scoring.apply_views

    def spying(views, picture, side, patch):
        drawn.append((views, picture))
        return real(views, picture, side, patch)

    monkeypatch.setattr(scoring, "apply_views", spying)
    example = example_of(Generator(channels=6, scales=3, side=40))
    criterion(replace(TINY, same_views=same))([example], 0)
    views = {
        name: v
        for v, picture in drawn
        for name in ("source", "output", "screen")
        if picture is getattr(example, name)
    }
    assert len(views) == 3
    return views


def test_source_and_output_are_seen_in_the_same_views(monkeypatch):
    views = spied_views(monkeypatch, same=True)
    assert views["source"] is views["output"]
    assert not torch.equal(views["screen"].homography, views["output"].homography)


def test_the_references_separate_views_are_a_switch(monkeypatch):
    views = spied_views(monkeypatch, same=False)
    assert not torch.equal(views["source"].homography, views["output"].homography)


def test_composition_is_the_distance_of_all_views_to_all_drawn_texts(monkeypatch):
    config = replace(
        TINY, templates=1.0, direction=0.0, screen=0.0,
        views=ViewConfig(count=1, flip=0, affine=0, perspective=0, jitter=0, grey=0),
    )  # fmt: skip
    judge = criterion(config)
    square = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    picture = to_tensor(square, CPU)
    example = Example(source=picture, output=picture, screen=picture, alpha=picture[:, :1])
    texts = [t.replace("{}", p) for p in TEXTS.prompt for t in TEMPLATES]
    wanted = spherical_distance(judge.model.encode_image(picture), judge.model.encode_text(texts))
    made = float(judge([example], 0)[1]["composition"])
    assert made == pytest.approx(float(wanted), rel=1e-4)


def test_images_of_two_shapes_are_scored_as_each_alone():
    config = replace(TINY, views=ViewConfig(count=2, shape="picture"))
    wide, tall = (to_tensor(disc(*size), CPU) for size in ((40, 56), (56, 40)))
    random, scorer = torch.Generator().manual_seed(0), Scorer(tiny_model())
    seen = [(draw_views(config.views, *p.shape[-2:], random), p) for p in (wide, tall, wide)]
    alone = torch.cat([scorer.embed([one]) for one in seen])
    torch.testing.assert_close(scorer.embed(seen), alone, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_a_whole_edit_runs_with_views_in_the_images_shape():
    square = edited()
    shaped = edited(replace(TINY, views=ViewConfig(count=3, shape="picture")))
    assert shaped.shape == square.shape
    assert not np.array_equal(shaped, square)
