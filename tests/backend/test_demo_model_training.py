"""The demo CLIP's training: its scenes, its losses, stopping and resuming."""

from __future__ import annotations

import argparse

import numpy as np
import pytest
import torch

from scripts.demo_model import export, losses, pool, train
from scripts.demo_model.captions import BACKGROUNDS, Facts
from scripts.demo_model.export import build_model
from scripts.demo_model.tower import look
from scripts.demo_model.views import SIZE, photograph
from scripts.demo_model.world import World

SMALL = World(seed=3, variants=2)

TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": SIZE, "patch_size": 8, "width": 32, "layers": 4, "head_width": 16},
    "text_cfg": {"context_length": train.CONTEXT, "width": 32, "heads": 2, "layers": 1},
}
"""A tower that trains in seconds: Muon's bfloat16 products are slow on CPUs without bfloat16."""


@pytest.fixture(autouse=True)
def few_scenes(monkeypatch):
    monkeypatch.setattr(pool, "SHARD", 6)
    torch.set_num_threads(1)


def test_a_pool_is_drawn_once_and_gives_what_was_drawn(tmp_path, monkeypatch):
    drawn = [pool.Pool(tmp_path, SMALL).scene(n) for n in range(12)]
    monkeypatch.setattr(pool, "draw_shard", lambda *_: pytest.fail("drawn again"))
    again = [pool.Pool(tmp_path, SMALL).scene(n) for n in range(12)]
    for a, b in zip(drawn, again, strict=True):
        assert np.array_equal(a.canvas, b.canvas)
        assert np.array_equal(a.matte, b.matte)
        assert a.facts == b.facts
    assert len({s.facts for s in drawn}) > 3


def test_plain_images_are_the_scene_itself(tmp_path):
    """Without rough views only the size changes, and perhaps the side it is seen from."""
    scene = next(s for n in range(30) if (s := pool.Pool(tmp_path, SMALL).scene(n)).matte.any())
    image, matte = photograph(np.random.default_rng(0), scene, rough=False)
    assert image.shape == (SIZE, SIZE, 3)
    assert abs(matte.mean() - scene.matte.mean()) < 3
    assert abs(image.mean() - scene.canvas.mean()) < 4


def test_green_screens_are_never_photographed_without_colour(tmp_path):
    canvas = np.zeros((96, 96, 3), np.uint8)
    canvas[:] = 0, 177, 64
    screen = pool.Scene(
        canvas, np.zeros((96, 96), np.uint8), Facts(background=BACKGROUNDS.index("green screen"))
    )
    for seed in range(60):
        image, _ = photograph(np.random.default_rng(seed), screen, rough=True)
        middle = image[24:40, 24:40].reshape(-1, 3).mean(0)
        assert middle[1] > middle[0] + 60


def test_the_training_tower_is_open_clips_tower():
    torch.manual_seed(0)
    model = build_model().eval()
    images = torch.randn(3, 3, SIZE, SIZE)
    with torch.no_grad():
        ours, theirs = look(model, images, torch.float32).feature, model.encode_image(images)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_text_is_open_clips_text():
    torch.manual_seed(0)
    model = build_model().eval()
    rows = train.Tokens.taught(train.CONTEXT)(
        ["a golden swan", "a very long sentence, in the rain"]
    )
    with torch.no_grad():
        ours = train.encode_text(model, rows, torch.float32)
        theirs = model.encode_text(rows, normalize=True)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_patches_predict_what_is_on_them():
    """A thing on the left half: right patches are asked for the background only."""
    torch.manual_seed(0)
    heads = losses.Heads(8, 8)
    matte = torch.zeros(1, SIZE, SIZE, dtype=torch.uint8)
    matte[:, :, :32] = 255
    seen = torch.tensor([[1, 2, 3, -1]])
    asked = {}

    def watch(logits, target):
        asked["target"] = target
        return torch.zeros(3)

    kept = losses.facets
    losses.facets = watch
    try:
        losses.patches(heads, torch.randn(1, 64, 8), matte, seen)
    finally:
        losses.facets = kept
    target = asked["target"].view(8, 8, 3)
    assert (target[:, :4] == torch.tensor([1, 2, -1])).all()
    assert (target[:, 4:] == torch.tensor([-1, -1, 3])).all()


def test_the_matte_is_predicted_in_the_right_place():
    """A head that says the truth has no loss, one that says it mirrored has much."""

    class Knowing(torch.nn.Module):
        def matte(self, tokens):
            return tokens

    matte = torch.zeros(1, SIZE, SIZE, dtype=torch.uint8)
    matte[:, 10:30, 4:22] = 255
    cells = losses.coverage(matte, 32)
    logits = (cells - 0.5) * 40
    tokens = logits.view(1, 8, 4, 8, 4).transpose(2, 3).reshape(1, 64, 16)
    seen = torch.tensor([[0, 1, -1, -1]])
    assert losses.figure(Knowing(), tokens, matte, seen) < 0.01
    assert losses.figure(Knowing(), tokens.flip(1), matte, seen) > 1


@pytest.mark.slow
def test_relevancy_is_trained_through_the_attention():
    torch.manual_seed(0)
    model = build_model()
    view = look(model, torch.randn(2, 3, SIZE, SIZE))
    image = torch.nn.functional.normalize(view.feature, dim=-1)
    words = torch.nn.functional.normalize(torch.randn(len(losses.THINGS), 256), dim=-1)
    matte = torch.zeros(2, SIZE, SIZE, dtype=torch.uint8)
    matte[:, 16:40, 16:40] = 255
    seen = torch.tensor([[0, 1, -1, -1], [2, 3, -1, -1]])
    loss = losses.relevancy(view, image, words, matte, seen)
    assert 0 < loss < 1
    loss.backward()
    last = model.visual.transformer.resblocks[-1].attn.in_proj_weight.grad
    assert last is not None
    assert last.abs().sum() > 0


@pytest.mark.slow
def test_training_resumes_where_it_was_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "MODEL_CFG", TINY)
    monkeypatch.setattr(train, "FIRST_SHARDS", 1)
    options = argparse.Namespace(
        work=str(tmp_path / "whole"), export=None, pool=str(tmp_path / "pool"), shards=2, world=0,
        steps=2, batch=4, rate=1e-3, save_every=1, log_every=1, threads=1, seed=5,
        draw_ahead=False,
    )  # fmt: skip
    train.train(options)
    whole = torch.load(tmp_path / "whole" / "checkpoint.pt", weights_only=True)

    class StoppedError(Exception):
        pass

    def stop(*_):
        raise StoppedError

    options.work = str(tmp_path / "parts")
    with monkeypatch.context() as patched:
        patched.setattr(train, "export", stop)
        with pytest.raises(StoppedError):
            train.train(options)
    assert torch.load(tmp_path / "parts" / "checkpoint.pt", weights_only=True)["step"] == 1
    train.train(options)
    parts = torch.load(tmp_path / "parts" / "checkpoint.pt", weights_only=True)
    for name, value in whole["model"].items():
        assert torch.equal(value, parts["model"][name]), name
    assert (tmp_path / "parts" / "export" / "open_clip_model.safetensors").exists()


def undrawn_pair():
    return tuple(int(i) for i in losses.UNDRAWN.nonzero()[0])


def test_a_pair_that_is_never_drawn_is_not_a_negative():
    """Logits of a look never drawn with a thing get no gradient from pictures of that thing."""
    look_number, thing = undrawn_pair()
    other = next(i for i in range(len(losses.LOOKS)) if not losses.UNDRAWN[i, thing])
    logits = torch.zeros(2, sum(losses.COUNTS), requires_grad=True)
    seen = torch.tensor([[other, thing, -1, -1], [other, -1, -1, -1]])
    losses.facets(logits, seen).sum().backward()
    assert logits.grad[0, look_number] == 0
    assert logits.grad[1, look_number] > 0
    assert logits.grad[0, other] < 0


def test_captions_of_pairs_that_are_never_drawn_are_not_negatives():
    look_number, thing = undrawn_pair()
    other = next(i for i in range(len(losses.LOOKS)) if not losses.UNDRAWN[i, thing])
    near = int((~losses.UNDRAWN[[look_number, other]].any(0)).nonzero()[0])
    seen = torch.tensor([[other, thing, -1, -1], [look_number, near, -1, -1]])
    images = torch.eye(2)
    scale = torch.tensor(5.0)

    def pull(said):
        text = torch.full((2, 2), 0.5, requires_grad=True)
        losses.contrastive(images, text, scale, seen, torch.tensor(said)).backward()
        return text.grad

    undrawn = pull([[other, thing, -1, -1], [look_number, -1, -1, -1]])
    drawn = pull([[other, thing, -1, -1], [-1, near, 3, -1]])
    assert undrawn[1, 0] == 0
    assert drawn[1, 0] > 0
