"""The demo CLIP's robust training: photographs, renders, attacks, stopping and resuming."""

from __future__ import annotations

import argparse
import json

import cv2
import numpy as np
import pytest
import torch

from scripts.demo_model import legibility, photos, pool, robust
from scripts.demo_model.blend import TABLE, blend
from scripts.demo_model.captions import Facts
from scripts.demo_model.export import CONTEXT, build_twin, export, load_exported, retaught
from scripts.demo_model.looks import DRAWN, LOOKS
from scripts.demo_model.photo_bank import PhotoBank
from scripts.demo_model.reflections import METALS, reflect
from scripts.demo_model.renders import read_renders
from scripts.demo_model.things import THINGS
from scripts.demo_model.tokens import Tokens
from scripts.demo_model.views import SIZE, film
from scripts.demo_model.world import CANVAS, HELD_OUT_PAIRS, Scene, World, compose_scene


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Folders of photographs and clips, small and synthetic."""
    folder = tmp_path_factory.mktemp("library")
    rng = np.random.default_rng(0)
    for name in ("Bricks", "Concrete", "Tiles"):
        (folder / "materials" / name).mkdir(parents=True)
        for number in range(12):
            tile = rng.integers(0, 255, (40, 50, 3), np.uint8)
            cv2.imwrite(str(folder / "materials" / name / f"{number:03d}.jpg"), tile)
    for clip in ("pond", "blackswan"):
        (folder / "clips" / clip / "frames").mkdir(parents=True)
        for number in range(7):
            frame = np.full((48, 64, 3), 40 if clip == "pond" else 250, np.uint8)
            cv2.imwrite(str(folder / "clips" / clip / "frames" / f"{number:05d}.jpg"), frame)
    return folder


@pytest.fixture(scope="module")
def bank(library):
    return PhotoBank.read(library / "materials", library / "clips")


def test_photographs_for_tests_are_kept_out_of_training(library):
    train, kept = (photos.tiles(library / "materials", held_out=h) for h in (False, True))
    assert set(train) == {"brick", "concrete", "tiles"}
    seen, unseen = ({p for paths in found.values() for p in paths} for found in (train, kept))
    assert seen
    assert unseen
    assert not seen & unseen
    assert len(seen | unseen) == 36


def test_training_never_sees_the_clips_that_edits_are_judged_on(library):
    assert {path.parent.parent.name for path in photos.frames(library / "clips")} == {"pond"}


def test_missing_photographs_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folders of photographs"):
        photos.tiles(tmp_path, held_out=False)
    with pytest.raises(FileNotFoundError, match="no clips"):
        photos.frames(tmp_path)


def test_only_worlds_with_photographs_show_looks_that_are_never_drawn(bank):
    assert World().looks == DRAWN
    world = World(seed=3, variants=2, photos=bank)
    assert world.looks == LOOKS
    assert world.name != World(seed=3).name
    rng = np.random.default_rng(1)
    drawable = [k for k, name in enumerate(LOOKS) if name in DRAWN or name in bank.tiles]
    small = World(seed=3, variants=2)
    assert all(compose_scene(rng, small).facts.look < len(DRAWN) for _ in range(25))
    assert len(drawable) == len(DRAWN) + 2


def test_a_scene_with_photographs_is_a_function_of_its_seed(bank, monkeypatch):
    monkeypatch.setattr("scripts.demo_model.world.LOOKS", (*DRAWN, "concrete", "tiles"))
    world = World(seed=3, variants=2, photos=bank)
    first, second = (compose_scene(np.random.default_rng(5), world) for _ in range(2))
    assert np.array_equal(first.canvas, second.canvas)


@pytest.mark.parametrize("metal", METALS)
def test_metals_show_what_is_round_them(metal):
    place = np.full((CANVAS, CANVAS, 3), 40, np.float32)
    place[:, CANVAS // 2 :] = 230
    slope = np.stack(np.meshgrid(*[np.linspace(-0.9, 0.9, CANVAS)] * 2), -1).astype(np.float32)
    bent = reflect(np.random.default_rng(1), metal, slope, place)
    flat = reflect(np.random.default_rng(1), metal, np.zeros_like(slope), place)
    assert bent.shape == (CANVAS, CANVAS, 3)
    assert bent.min() >= 0
    assert bent.max() <= 255
    assert bent.mean(-1).std() > 1.3 * flat.mean(-1).std()
    red, _, blue = bent.reshape(-1, 3).mean(0)
    assert (red > 1.15 * blue) == (metal != "silver")


def test_a_films_view_is_compressed_or_close_and_says_what_it_still_shows():
    matte = np.full((CANVAS, CANVAS), 255, np.uint8)
    canvas = np.random.default_rng(0).integers(0, 255, (CANVAS, CANVAS, 3), np.uint8)
    facts = Facts(look=3, thing=4, background=5)
    views = [film(np.random.default_rng(s), Scene(canvas, matte, facts), True) for s in range(40)]
    assert {image.shape for image, _, _ in views} == {(SIZE, SIZE, 3)}
    close = [seen for _, _, seen in views if seen != facts]
    assert 3 <= len(close) <= 20
    assert set(close) == {Facts(look=3)}


def test_an_attack_stays_in_its_ball_and_spares_whom_it_should():
    rng = torch.Generator().manual_seed(0)
    like, spared = torch.zeros(8, 3, 16, 16), torch.arange(8) % 4 == 0
    start = robust.random_start(rng, like, 2.0, spared)
    moved = robust.pushed(start, torch.randn(8, 3, 16, 16, generator=rng), 2.0, spared)
    for change in (start, moved):
        norm = change.flatten(1).norm(dim=1)
        assert (norm[spared] == 0).all()
        assert (norm[~spared] > 0).all()
        assert norm.max() <= 2.0 + 1e-5
    assert moved[1].norm() > start[1].norm()


@pytest.fixture
def rendered(tmp_path):
    folder = tmp_path / "renders"
    folder.mkdir()
    held_look, held_thing = next(iter(sorted(HELD_OUT_PAIRS)))
    free = next((i, j) for i in range(9) for j in range(9) if (i, j) not in HELD_OUT_PAIRS)
    labels = []
    for number, (look, thing) in enumerate((
        (LOOKS[free[0]], THINGS[free[1]]),
        (LOOKS[held_look], THINGS[held_thing]),
        ("velvet", "swan"),
    )):  # fmt: skip
        for name in (f"{number}.png", f"{number}_matte.png"):
            cv2.imwrite(str(folder / name), np.full((CANVAS, CANVAS, 3), 9, np.uint8))
        labels.append({
            "file": f"{number}.png", "matte": f"{number}_matte.png", "look": look,
            "thing": thing, "background": None,
        })  # fmt: skip
    (folder / "labels.json").write_text(json.dumps(labels), "utf-8")
    return folder, Facts(*free)


def test_renders_of_unknown_words_and_of_test_pairs_are_left_out(rendered):
    folder, facts = rendered
    (scene,) = read_renders(folder)
    assert scene.facts == facts
    with pytest.raises(FileNotFoundError, match="make the renders with"):
        read_renders(folder / "elsewhere")


def test_new_words_start_beside_the_unknown_one_and_taught_words_stay():
    model, before = load_exported(robust.CLEAN)
    again = retaught(robust.CLEAN)
    text = ["a golden swan in the snow"]
    now = Tokens.taught(CONTEXT)
    with torch.no_grad():
        old = model.encode_text(before(text), normalize=True)
        new = again.encode_text(now(text), normalize=True)
    torch.testing.assert_close(old, new, atol=1e-4, rtol=1e-4)


def test_a_blend_lies_between_its_ends_and_new_words_stay_robust(tmp_path):
    torch.manual_seed(0)
    robustly = retaught(robust.CLEAN)
    export({k: v + 0.02 for k, v in robustly.state_dict().items()}, tmp_path / "end")
    start, taught = load_exported(robust.CLEAN)
    end, tokens = load_exported(tmp_path / "end")
    states = [blend(robust.CLEAN, tmp_path / "end", share) for share in (0.0, 0.5, 1.0)]
    for name, value in start.state_dict().items():
        if name != TABLE:
            torch.testing.assert_close(states[0][name], value)
            torch.testing.assert_close(states[1][name], 0.5 * (value + end.state_dict()[name]))
    new = next(token for token in tokens.rows if token not in taught.rows)
    old = next(token for token in tokens.rows if token in taught.rows)
    assert torch.equal(
        states[0][TABLE][tokens.rows[new]], end.state_dict()[TABLE][tokens.rows[new]]
    )
    torch.testing.assert_close(
        states[0][TABLE][tokens.rows[old]], start.state_dict()[TABLE][taught.rows[old]]
    )
    assert all(torch.equal(states[2][k], v) for k, v in end.state_dict().items())
    with pytest.raises(ValueError, match="other words"):
        blend(robust.CLEAN, robust.CLEAN, 0.5)


@pytest.mark.slow
def test_a_stopped_robust_training_ends_in_the_same_weights(library, tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "SHARD", 2)
    monkeypatch.setattr("scripts.demo_model.world.LOOKS", (*DRAWN, "concrete", "tiles"))

    def run(name: str, until: int) -> dict[str, torch.Tensor]:
        options = argparse.Namespace(
            work=str(tmp_path / name), export=None, start=str(robust.CLEAN), twin=False,
            pool=str(tmp_path / "pool"), photos=str(library / "materials"),
            frames=str(library / "clips"), renders=[], render_share=0.0, shards=1, world=3,
            steps=2, batch=2, replays=2, size=1.5, rate=3e-4, save_every=1, log_every=1,
            threads=1, device="cpu", workers=0, keep=0.995, seed=0,
        )  # fmt: skip
        if until < options.steps:
            begun = robust.Run(options)
            begun.learn(robust.Batches(options)[0])
            begun.save()
        robust.train(options)
        return torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["averaged"]

    whole, resumed = run("whole", 2), run("resumed", 1)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    clean = load_exported(robust.CLEAN)[0].state_dict()
    assert any(not torch.equal(clean[n], whole[n]) for n in whole if "resblocks" in n)


def test_pixels_move_towards_the_words(monkeypatch):
    monkeypatch.setattr(legibility, "STEPS", 6)
    model, tokens = load_exported(robust.CLEAN)
    with torch.no_grad():
        words = model.encode_text(tokens(["lava", "a checkerboard pattern"]), normalize=True)
        images = legibility.drawn(model, words)
        monkeypatch.setattr(legibility, "STEPS", 0)
        grey = legibility.drawn(model, words)
        near, far = (
            (model.encode_image(2 * x - 1, normalize=True) * words).sum(1) for x in (images, grey)
        )
    assert (near > far).all()
    assert legibility.sheet(images).shape == (SIZE, 13 * SIZE, 3)
    assert len(legibility.named(model, words, images)) == 2


def test_the_twin_is_another_kind_of_network_on_the_same_losses():
    model = build_twin()
    tokens = Tokens.taught(CONTEXT)
    rows = tokens(["a golden swan", "a red car"])
    words = tokens(robust.losses.class_texts(np.random.default_rng(0)))
    facts = torch.tensor([[LOOKS.index("gold"), THINGS.index("swan"), -1, -1], [0, 13, -1, -1]])
    batch = (torch.zeros(2, SIZE, SIZE, 3), torch.zeros(2, SIZE, SIZE), rows, facts, facts, words)
    views = torch.randn(2, 3, SIZE, SIZE).requires_grad_()
    encoded = robust.encode_text(model, torch.cat([rows, words]), torch.float32)
    spared = torch.tensor([True, False])
    loss, values, right = robust.loss_of(model, views, batch, encoded, spared)
    loss.backward()
    assert torch.isfinite(loss)
    assert values[-1] == 0
    assert right.shape == (2,)
    assert views.grad.abs().sum() > 0
