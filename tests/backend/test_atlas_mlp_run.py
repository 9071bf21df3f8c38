"""Runs of the network engine: they learn, can be stopped, and give a complete atlas."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from jobs import Job
from tiny_mlp import CPU, TINY, H, T, W, footage_of, keys

from backend.atlas.engines import load_atlas
from backend.atlas.explicit import config as explicit_config
from backend.atlas.explicit.fit import decompose
from backend.atlas.interface import LayeredAtlas
from backend.atlas.mlp import config as mlp_config
from backend.atlas.mlp.model import MlpAtlas
from backend.atlas.mlp.train import Trainer, decompose_mlp, finish
from backend.atlas.render import render_layer
from backend.masks.prompts import MaskPrompts
from backend.methods import atlas as method
from backend.progress import Cancelled, Silent
from protocol.jobs import AtlasJob, JobError, Masks
from scripts.make_clip import SyntheticClip, make_clip

pytestmark = pytest.mark.slow

torch.set_num_threads(1)
LAYERS = ("foreground", "background")


@pytest.fixture(scope="module")
def clip() -> SyntheticClip:
    return make_clip(T, H, W, seed=1)


@pytest.fixture(scope="module")
def fitted(clip: SyntheticClip) -> tuple[Trainer, list[float]]:
    trainer = Trainer(footage_of(clip), TINY)
    trainer.warm_start(Silent())
    colours = []
    for _ in range(200):
        trainer.step(Silent())
        colours.append(float(trainer.losses["colour"]))
    return trainer, colours


@pytest.fixture(scope="module")
def atlas(fitted: tuple[Trainer, list[float]]) -> MlpAtlas:
    return finish(fitted[0], (T, H, W), Silent())


@pytest.fixture(scope="module")
def explicit(clip: SyntheticClip) -> LayeredAtlas:
    short = replace(
        explicit_config.preset("draft"), long_side=W, uv_steps=1, half_steps=1, full_steps=1,
        sweeps=1,
    )  # fmt: skip
    return decompose(clip.frames, [MaskPrompts("all", keys(clip))], short, CPU, Silent())


def test_the_loss_falls(fitted: tuple[Trainer, list[float]]) -> None:
    trainer, colours = fitted
    assert np.mean(colours[-10:]) < 0.6 * np.mean(colours[:10])
    assert trainer.losses["mask"].isfinite()
    assert "global_fg" not in trainer.losses, "it has ended"


def test_the_same_seed_gives_the_same_bytes(clip: SyntheticClip) -> None:
    def run(seed: int) -> MlpAtlas:
        config = replace(TINY, seed=seed, warm_passes=1, steps=3)
        return decompose_mlp(clip.frames, MaskPrompts("all", keys(clip)), config, CPU, Silent())

    state = torch.get_rng_state()
    first, second, other = run(5), run(5), run(6)
    assert torch.equal(state, torch.get_rng_state()), "the global generator is not used"
    assert first.tensors.keys() == second.tensors.keys()
    assert all(torch.equal(v, second.tensors[k]) for k, v in first.tensors.items())
    assert not torch.equal(first.image("background"), other.image("background"))


# The atlas


def test_it_answers_as_the_explicit_atlas_does(atlas: MlpAtlas, explicit: LayeredAtlas) -> None:
    assert (atlas.frames, atlas.height, atlas.width) == (T, H, W)
    assert atlas.work == explicit.work
    assert atlas.numbers.keys() >= {"psnr", "psnr_fg", "mask_iou", "coverage_fg", "slip_bg"}
    t = torch.tensor([0, 2])
    asks: list[Callable[[LayeredAtlas], torch.Tensor]] = [lambda a: a.box("foreground", t)]
    for size in (None, (30, 50)):
        asks += [lambda a, size=size: a.opacity("foreground", t, size)]
        for layer in LAYERS:
            asks += [lambda a, size=size, layer=layer: a.uv(layer, t, size)]
            asks += [lambda a, size=size, layer=layer: a.gain(layer, t, size)]
    asks += [lambda a: a.distance("foreground", t, (H, W))]
    for ask in asks:
        ours, theirs = ask(atlas), ask(explicit)
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype
        assert ours.device == theirs.device == atlas.device
    for layer in LAYERS:
        image, cover = atlas.image(layer), atlas.coverage(layer)
        assert image.shape[:2] == (1, 3)
        assert cover.shape == (1, 1, *image.shape[2:])
        assert float(image.min()) >= 0
        assert float(image.max()) <= 1
        assert set(cover.unique().tolist()) <= {0.0, 1.0}
        assert float(cover.mean()) > 0.1
        assert float(atlas.gain(layer, t).std()) == 0
    with pytest.raises(ValueError, match="layer is one of"):
        atlas.uv("sky", t)


def test_the_tables_say_what_the_networks_say(
    atlas: MlpAtlas, fitted: tuple[Trainer, list[float]]
) -> None:
    trainer = fitted[0]
    y, x = torch.meshgrid(torch.arange(H) + 0.5, torch.arange(W) + 0.5, indexing="ij")
    points = trainer.frame.points(torch.stack([x, y], -1).view(-1, 2), torch.full((H * W,), 2))
    for k, layer in (("fg", "foreground"), ("bg", "background")):
        plane = atlas.plane(layer, torch.tensor([2]))[0].flatten(1).T
        with torch.no_grad():
            away = (plane - trainer.networks.uv(k, points)).norm(dim=1)
        assert float(away.mean()) * trainer.frame.pixels_per_uv < 0.02
        inside = atlas.uv(layer, torch.tensor([2])).abs() <= 1.001
        visible = atlas.opacity("foreground", torch.tensor([2]))[0, 0] > 0.5
        visible = visible if layer == "foreground" else ~visible
        assert bool(inside[0][visible].all())
    again = atlas.networks()
    assert torch.equal(again.alpha(points), trainer.networks.alpha(points))


def test_outside_its_box_the_object_is_clear(atlas: MlpAtlas) -> None:
    for size in ((H, W), (23, 51)):
        alpha = atlas.opacity("foreground", torch.arange(T), size)[:, 0]
        assert float(alpha.max()) > 0.5
        for one, box in zip(alpha, atlas.box("foreground", torch.arange(T)).tolist(), strict=True):
            y, x = one.nonzero().unbind(1)
            x, y = (x + 0.5) * W / size[1], (y + 0.5) * H / size[0]
            assert box[0] <= float(x.min())
            assert float(x.max()) <= box[2]
            assert box[1] <= float(y.min())
            assert float(y.max()) <= box[3]


def test_saved_and_loaded_by_engine_it_is_the_same(
    atlas: MlpAtlas, explicit: LayeredAtlas, tmp_path: Path
) -> None:
    atlas.save(tmp_path / "m")
    explicit.save(tmp_path / "e")
    names = [sorted(p.name for p in (tmp_path / d).iterdir()) for d in "me"]
    assert names[0] == names[1]
    again, other = load_atlas(tmp_path / "m", CPU), load_atlas(tmp_path / "e", CPU)
    assert type(again) is MlpAtlas
    assert type(other) is type(explicit)
    assert again.numbers == atlas.numbers
    assert again.work == atlas.work
    assert all(torch.equal(v, atlas.tensors[k]) for k, v in again.tensors.items())
    assert torch.equal(
        again.opacity("foreground", torch.tensor([1])),
        atlas.opacity("foreground", torch.tensor([1])),
    )
    about = json.loads((tmp_path / "m" / "atlas.json").read_text())
    assert about["engine"] == "mlp"
    (tmp_path / "m" / "atlas.json").write_text(json.dumps({**about, "engine": "hash"}))
    for folder in (tmp_path / "m", tmp_path / "missing"):
        with pytest.raises(JobError) as caught:
            load_atlas(folder, CPU)
        assert caught.value.problem.code == "atlas_unreadable"
    with pytest.raises(JobError):
        MlpAtlas.load(tmp_path / "e", CPU)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_painting_is_laid_over_the_frames(atlas: MlpAtlas, layer: str) -> None:
    rgba = torch.zeros(1, 4, *atlas.image(layer).shape[2:])
    rgba[:, 0], rgba[:, 3] = 1, 1
    out = list(render_layer(atlas, layer, rgba, Silent()))
    assert len(out) == T
    assert out[0].shape == (H, W, 4)
    share = atlas.opacity("foreground", torch.tensor([1]))[0, 0].numpy()
    share = share if layer == "foreground" else 1 - share
    assert np.abs(out[1][..., 3] / 255 - share).mean() < 0.02


# The run


class Steps(Silent):
    """Records phases; cancels in one of them."""

    def __init__(self, stop: str = "") -> None:
        self.phases: list[str] = []
        self.pictures: list[np.ndarray] = []
        self.stop = stop

    def step(self, phase: str, done: int, total: int) -> None:
        assert 0 <= done <= total
        if phase not in self.phases:
            self.phases.append(phase)
        if phase == self.stop:
            raise Cancelled

    def preview(self, image: np.ndarray) -> None:
        assert image.dtype == np.uint8
        assert image.shape[2] == 3
        self.pictures.append(image)


def test_it_reports_previews_and_stops_in_every_phase(clip: SyntheticClip) -> None:
    config = replace(TINY, warm_passes=1, steps=4)

    def run(report: Steps) -> None:
        decompose_mlp(clip.frames, MaskPrompts("all", keys(clip)), config, CPU, report)

    whole = Steps()
    run(whole)
    assert len(whole.phases) >= 5
    assert len(whole.pictures) >= 2
    for phase in whole.phases:
        with pytest.raises(Cancelled):
            run(Steps(phase))


@pytest.mark.parametrize(
    ("code", "shape", "mode"),
    [
        ("no_frames", (0, 64, 64, 3), "auto"),
        ("clip_too_small", (3, 20, 64, 3), "auto"),
        ("mask_missing", (3, 40, 64, 3), "key"),
    ],
)
def test_it_refuses_what_the_explicit_engine_refuses(
    code: str, shape: tuple[int, ...], mode: str
) -> None:
    with pytest.raises(JobError) as caught:
        decompose_mlp(np.zeros(shape, np.uint8), MaskPrompts(mode), TINY, CPU, Silent())
    assert caught.value.problem.code == code
    empty = {t: np.zeros(shape[1:3], np.uint8) for t in range(shape[0])}
    if code == "mask_missing":
        with pytest.raises(JobError) as caught:
            decompose_mlp(np.zeros(shape, np.uint8), MaskPrompts("all", empty), TINY, CPU, Silent())
        assert caught.value.problem.code == "no_foreground"


def test_a_clip_without_an_object_and_a_single_frame(clip: SyntheticClip) -> None:
    config = replace(TINY, warm_passes=1, steps=2)
    bare = decompose_mlp(clip.frames, MaskPrompts("none"), config, CPU, Silent())
    assert float(bare.opacity("foreground", torch.arange(T)).max()) == 0
    assert bare.box("foreground", torch.arange(T)).tolist() == [[0, 0, 0, 0]] * T
    assert float(bare.coverage("foreground").max()) == 0
    still = decompose_mlp(
        clip.frames[:1], MaskPrompts("all", {0: keys(clip)[0]}), config, CPU, Silent()
    )
    assert still.opacity("foreground", torch.tensor([0])).shape == (1, 1, H, W)
    assert still.numbers["psnr"] > 0


def test_a_job_chooses_the_engine_and_atlases_are_kept_apart(
    clip: SyntheticClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(TINY, warm_passes=1, steps=2)
    monkeypatch.setattr(mlp_config, "preset", lambda name, seed=0: replace(small, seed=seed))
    real = explicit_config.preset
    monkeypatch.setattr(
        explicit_config,
        "preset",
        lambda name, seed=0: replace(
            real(name, seed), long_side=W, uv_steps=1, half_steps=1, full_steps=1, sweeps=1
        ),
    )
    first, second = Job(tmp_path), Job(tmp_path)
    masks = Masks(mode="all", keys=first.keys_of(dict(enumerate(clip.masks()))))
    job = AtlasJob(clip=first.clip_of(clip.frames), masks=masks, engine="mlp")
    made = method.run(job, first.ctx)
    assert set(made.pictures) == {"foreground_atlas", "background_atlas", "report"}
    assert "from an earlier job" not in first.notes()
    again = method.run(job, second.ctx)
    assert again.pictures == made.pictures
    assert "from an earlier job" in second.notes()
    method.run(AtlasJob(clip=job.clip, masks=job.masks), second.ctx)
    assert len(list((tmp_path / "atlases").iterdir())) == 2
