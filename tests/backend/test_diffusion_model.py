"""The diffusion model: schedule, networks, sampling, files; and the training of the demo one."""

from __future__ import annotations

import argparse
import json

import cv2
import numpy as np
import pytest
import torch

from backend.clip.places import DEMO_FOLDER
from backend.diffusion.model import VOCABULARY_NAME, Networks, load_model, save_model
from backend.diffusion.network import Config, TextEncoder
from backend.diffusion.schedule import TIMESTEPS, Schedule, cosine_levels, spaced
from scripts.demo_diffusion import train as training
from scripts.demo_diffusion.sheet import draw_sheet
from scripts.demo_diffusion.views import Batches, view
from scripts.demo_model import pool
from scripts.demo_model.captions import Facts
from scripts.demo_model.export import CONTEXT, retaught
from scripts.demo_model.looks import DRAWN
from scripts.demo_model.tokens import Tokens
from scripts.demo_model.world import CANVAS, Scene

SMALL = {"size": 16, "channels": (16, 24), "blocks": 1, "head": 8, "width": 16, "heads": 2}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny model with random weights, saved."""
    folder = tmp_path_factory.mktemp("diffusion")
    torch.manual_seed(0)
    config = Config(vocabulary=Tokens.taught(CONTEXT).size, layers=1, **SMALL)
    networks = Networks(config)
    for parameter in networks.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    save_model(networks.state_dict(), config, folder)
    Tokens.taught(CONTEXT).save(folder / VOCABULARY_NAME)
    return folder


def test_the_schedule_falls_from_clean_to_noise():
    levels = cosine_levels()
    assert levels.shape == (TIMESTEPS,)
    assert levels[0] > 0.999
    assert levels[-1] < 1e-6
    assert (levels.diff() < 0).all()
    assert spaced(4, 999) == [999, 749, 499, 249]
    assert spaced(1000) == list(range(999, -1, -1))


def test_a_true_velocity_gives_image_and_noise_back():
    schedule = Schedule("cpu")
    rng = torch.Generator().manual_seed(0)
    image, noise = torch.randn(2, 5, 3, 4, 4, generator=rng)
    timestep = torch.tensor([0, 10, 500, 900, 999])
    noisy = schedule.noised(image, noise, timestep)
    parts = schedule.parts(noisy, schedule.velocity(image, noise, timestep), timestep)
    torch.testing.assert_close(parts[0], image, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(parts[1], noise, atol=1e-4, rtol=1e-4)


def test_texts_and_guidance_change_the_prediction(folder):
    model = load_model(folder, "cpu")
    noisy = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    swan, car, none = (model.encode([text]) for text in ("a golden swan", "a red car", ""))
    assert swan.shape == (1, CONTEXT, 16)
    told = {
        (name, guidance): model.velocity(noisy, 500, states.expand(2, -1, -1), guidance)
        for name, states in (("swan", swan), ("car", car), ("none", none))
        for guidance in (1.0, 4.0)
    }
    assert told["swan", 1.0].shape == noisy.shape
    assert not torch.allclose(told["swan", 1.0], told["car", 1.0])
    torch.testing.assert_close(told["none", 1.0], told["none", 4.0])
    expected = told["none", 1.0] + 4 * (told["swan", 1.0] - told["none", 1.0])
    torch.testing.assert_close(told["swan", 4.0], expected, atol=1e-4, rtol=1e-4)


def test_the_same_noise_gives_the_same_samples(folder, tmp_path):
    model = load_model(folder, "cpu")
    for name in ("a", "b"):
        draw_sheet(model, tmp_path / f"{name}.png", ("a swan", "lava"), samples=3, steps=3)
    sheet = cv2.imread(str(tmp_path / "a.png"))
    assert sheet.shape == (2 * 16, 3 * 16, 3)
    assert sheet.std() > 1
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_weights_of_another_shape_are_refused(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "diffusion_config.json").read_text())
    (tmp_path / "diffusion_config.json").write_text(json.dumps({**config, "width": 32}))
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_model(tmp_path, "cpu")


def test_the_text_encoder_starts_as_the_demo_clips():
    tokens = Tokens.taught(CONTEXT)
    rows = tokens(["a golden swan in the snow", "lava"])
    torch.manual_seed(0)
    taught = training.taught_text(DEMO_FOLDER)
    torch.manual_seed(0)
    clip = retaught(DEMO_FOLDER).eval()
    encoder = TextEncoder(Config(vocabulary=tokens.size))
    encoder.load_state_dict(taught)
    with torch.no_grad():
        ends = encoder(rows)[torch.arange(2), rows.argmax(1)]
        torch.testing.assert_close(ends @ clip.text_projection, clip.encode_text(rows))


def test_a_view_is_whole_or_a_close_up_of_the_look():
    matte = np.full((CANVAS, CANVAS), 255, np.uint8)
    canvas = np.random.default_rng(0).integers(0, 255, (CANVAS, CANVAS, 3), np.uint8)
    facts = Facts(look=3, thing=4, background=5)
    views = [view(np.random.default_rng(s), Scene(canvas, matte, facts)) for s in range(40)]
    assert {image.shape for image, _ in views} == {(64, 64, 3)}
    assert {seen for _, seen in views} == {facts, Facts(look=3)}


def test_the_learning_rate_rises_and_ends_at_nothing():
    rates = [training.rate(share / 100) for share in range(101)]
    assert rates[0] < 0.02
    assert max(rates) > 0.98
    assert rates[-1] == pytest.approx(0)
    assert training.rate(1.3) == pytest.approx(0)
    options = argparse.Namespace(steps=100, seconds=1e9)
    assert training.Clock(options).share(50) == pytest.approx(0.5, abs=1e-6)
    assert training.Clock(argparse.Namespace(steps=100, seconds=1e-9)).share(0) >= 1


@pytest.mark.slow
def test_a_stopped_training_ends_in_the_same_weights(tmp_path, monkeypatch):
    for name in ("materials/Bricks/0.jpg", "clips/pond/frames/00000.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        cv2.imwrite(str(tmp_path / name), np.full((64, 64, 3), 90, np.uint8))
    for number in range(1, 12):
        tile = np.full((40, 40, 3), 20 * number, np.uint8)
        cv2.imwrite(str(tmp_path / "materials" / "Bricks" / f"{number}.jpg"), tile)
    monkeypatch.setattr(pool, "SHARD", 2)
    monkeypatch.setattr("scripts.demo_model.world.LOOKS", DRAWN)

    def run(name: str, until: int) -> dict[str, torch.Tensor]:
        options = argparse.Namespace(
            work=str(tmp_path / name), export=None, text=str(DEMO_FOLDER),
            pool=str(tmp_path / "pool"), photos=str(tmp_path / "materials"),
            frames=str(tmp_path / "clips"), renders=[], render_share=0.0, shards=1, world=3,
            steps=2, seconds=float("inf"), batch=2, replays=2, rate=1e-3, keep=0.9,
            channels=[48, 48], save_every=1, log_every=1, sheet_steps=0, threads=1, device="cpu",
            workers=0, seed=0,
        )  # fmt: skip
        if until < options.steps:
            begun = training.Run(options)
            begun.learn(Batches(options)[0], 0.0)
            begun.save()
        training.train(options)
        return torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["averaged"]

    whole, resumed = run("whole", 2), run("resumed", 1)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert load_model(tmp_path / "whole" / "export", "cpu").encode(["a red box"]).isfinite().all()
