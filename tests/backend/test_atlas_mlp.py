"""The network engine: the paper's losses in closed form, and an atlas like the explicit one's."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.atlas import config as explicit_config
from backend.atlas.engines import load_atlas
from backend.atlas.fit import decompose
from backend.atlas.interface import LayeredAtlas
from backend.atlas.mlp import config as mlp_config
from backend.atlas.mlp import losses
from backend.atlas.mlp.config import PAPER, TUNED, VARIANTS, MlpConfig, preset
from backend.atlas.mlp.footage import Footage
from backend.atlas.mlp.model import MlpAtlas
from backend.atlas.mlp.networks import Frame, Networks, encode
from backend.atlas.mlp.objective import terms
from backend.atlas.mlp.train import Trainer, decompose_mlp, finish, gather
from backend.atlas.render import render_layer
from backend.executors.base import AnyReport, Note
from backend.methods import atlas as method
from backend.progress import Cancelled, Silent
from backend.worker import Context
from protocol.jobs import AtlasJob, Clip, JobError, KeyMask, Masks
from scripts.make_clip import SyntheticClip, make_clip

torch.set_num_threads(1)
H, W, T = 40, 64, 4
CPU = torch.device("cpu")
TINY = replace(
    TUNED, long_side=W, steps=12, rays=256, chunk=256, warm_passes=8, warm_until=0.0,
    mask_steps=150, global_steps=100, bake=80, lr=4e-3, map_width=24, alpha_width=24,
    atlas_width=32, fg_layers=3, bg_layers=3, alpha_layers=3, atlas_layers=3, atlas_skips=(2,),
    alpha_frequencies=3, atlas_frequencies=5,
)  # fmt: skip
LAYERS = ("foreground", "background")


@pytest.fixture(scope="module")
def clip() -> SyntheticClip:
    return make_clip(T, H, W, seed=1)


def keys(clip: SyntheticClip) -> dict[int, np.ndarray]:
    return dict(enumerate(clip.masks()))


def footage_of(clip: SyntheticClip, config: MlpConfig = TINY) -> Footage:
    return gather(clip.frames, keys(clip), "all", config, CPU, Silent())


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
    return decompose(clip.frames, keys(clip), "all", short, CPU, Silent())


# What the paper says


def test_the_papers_constants_are_the_defaults() -> None:
    assert PAPER == MlpConfig() == VARIANTS["paper"] == preset("final")
    assert (PAPER.steps, PAPER.rays, PAPER.lr) == (400_000, 10_000, 1e-4)
    assert (TUNED.rays, TUNED.lr) == (1000, 1e-3)
    networks = Networks(PAPER)
    depths = [
        len(part.layers)
        for part in (networks.map_fg, networks.map_bg, networks.opacity, networks.atlas)
    ]
    assert depths == [6, 4, 8, 8]
    assert {layer.out_features for layer in networks.atlas.layers[:-1]} == {256}
    assert networks.atlas.layers[0].in_features == 2 * 2 * 10
    assert networks.opacity.layers[0].in_features == 3 * 2 * 5


@pytest.mark.parametrize(
    ("name", "last"), [("mask", 9_999), ("global_fg", 4_999), ("global_bg", 4_999)]
)
def test_what_only_counts_at_first_ends_on_its_step(name: str, last: int) -> None:
    assert PAPER.weights(last)[name] > 0
    assert PAPER.weights(last + 1)[name] == 0
    assert PAPER.weights(last + 1)["colour"] == 5000


def test_presets_grow_and_an_unknown_one_is_refused() -> None:
    steps = [preset(name, 3).steps for name in ("draft", "preview", "final")]
    assert steps == sorted(set(steps))
    assert preset("draft", 3).seed == 3
    with pytest.raises(JobError) as caught:
        preset("best")
    assert caught.value.problem.code == "unknown_preset"


def test_positional_encoding_doubles_its_frequency() -> None:
    x = torch.tensor([[0.25, -0.5]])
    expected = [f(2**k * math.pi * v) for f in (math.sin, math.cos) for v in x[0].tolist()
                for k in range(3)]  # fmt: skip
    assert encode(x, 3)[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_each_layer_has_its_own_square_of_the_atlas() -> None:
    networks = Networks(TINY)
    asked: list[torch.Tensor] = []
    networks.atlas.register_forward_pre_hook(lambda _, args: asked.append(args[0]))
    corners = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    for layer, square in (("fg", [[0.0, 0.0], [1.0, 1.0]]), ("bg", [[-1.0, -1.0], [0.0, 0.0]])):
        networks.colour(layer, corners)
        expected = encode(torch.tensor(square), TINY.atlas_frequencies)
        assert torch.allclose(asked.pop(), expected)


def test_a_pixel_is_the_mix_of_both_layers_and_alpha_is_never_quite_0_or_1() -> None:
    networks = Networks(TINY)
    p = torch.rand(50, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1
    seen, alpha = networks.explain(p)
    fg, bg = (networks.colour(k, networks.uv(k, p)) for k in ("fg", "bg"))
    assert torch.allclose(seen, alpha * fg + (1 - alpha) * bg)
    for bias, end in ((100.0, 0.991), (-100.0, 0.001)):
        networks.opacity.layers[-1].bias.data.fill_(bias)
        assert torch.allclose(networks.alpha(p), torch.tensor(end))


def test_points_are_centred_and_scaled_by_the_longer_side() -> None:
    frame = Frame((40, 64), 5, 0.8)
    points = frame.points(torch.tensor([[32.0, 20.0], [64.0, 40.0]]), torch.tensor([0, 4]))
    assert points.tolist() == [[0.0, 0.0, -1.0], [1.0, pytest.approx(0.625), 1.0]]
    assert frame.pixels_per_uv == pytest.approx(40)


# Losses: 0 where all is well, their value where it is not


def rows(*values: list[float]) -> torch.Tensor:
    return torch.tensor(values)


def test_colour_and_gradient() -> None:
    a, b = rows([0.1, 0.2, 0.3]), rows([0.4, 0.2, 0.7])
    assert float(losses.colour(a, a)) == 0
    assert float(losses.colour(a, b)) == pytest.approx(0.25)
    assert float(losses.gradient(a, b, a + 0.2, b + 0.2)) == pytest.approx(0, abs=1e-12)
    assert float(losses.gradient(a, a, a, b)) == pytest.approx(0.25)


def test_sparsity_wants_black_where_nothing_is_seen() -> None:
    white = torch.ones(1, 3)
    assert float(losses.sparsity(rows([1.0]), white)) == 0
    assert float(losses.sparsity(rows([0.0]), 0 * white)) == 0
    assert float(losses.sparsity(rows([0.5]), white)) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("right", "down", "expected"),
    [
        ([1.0, 0.0], [0.0, 1.0], 0.0),
        ([0.6, 0.8], [-0.8, 0.6], 0.0),
        ([1.0, 0.0], [0.0, -1.0], 0.0),  # a mirror image is an isometry too
        ([2.0, 0.0], [0.0, 2.0], math.sqrt(2) * (4 + 1 / 4) - 2 * math.sqrt(2)),
        ([1.0, 0.0], [1.0, 1.0], 2 * math.sqrt(7) - 2 * math.sqrt(2)),
    ],
)
def test_rigidity_is_0_for_isometries(
    right: list[float], down: list[float], expected: float
) -> None:
    here = rows([0.3, -0.2])
    got = losses.rigidity(here, here + rows(right) / 40, here + rows(down) / 40, 40.0)
    assert float(got) == pytest.approx(expected, abs=0.02)


def test_rigidity_of_a_fold_is_large_but_finite_and_can_be_undone() -> None:
    flat = rows([1.0, 0.0]).requires_grad_()
    got = losses.rigidity(rows([0.0, 0.0]), flat, rows([1.0, 1e-4]), 1.0)
    assert 100 < got.item() < 1e6
    got.sum().backward()
    assert bool(flat.grad.isfinite().all())
    assert float(flat.grad.norm()) > 0


def test_flow_alpha_flow_mask_and_warm_start() -> None:
    here, there = rows([0.1, 0.1]), rows([0.4, 0.5])
    assert float(losses.flow(here, here, rows([1.0]), 40.0)) == pytest.approx(0, abs=1e-4)
    assert float(losses.flow(here, there, rows([0.5]), 40.0)) == pytest.approx(10)
    assert float(losses.alpha_flow(rows([0.3]), rows([0.3]))) == 0
    assert float(losses.alpha_flow(rows([0.3]), rows([0.8]))) == pytest.approx(0.5)
    assert float(losses.mask(rows([0.25]), rows([1.0]))) == pytest.approx(math.log(4))
    assert float(losses.mask(rows([0.25]), rows([0.0]))) == pytest.approx(math.log(4 / 3))
    point = rows([0.5, -0.25, 1.0])
    assert float(losses.warm(0.8 * point[:, :2], point, 0.8)) == pytest.approx(0, abs=1e-5)
    assert float(losses.warm(rows([0.0, 0.0]), point, 0.8)) == pytest.approx(0.8 * 0.559017)


# The draw and the step


def test_rays_are_what_the_clip_shows(clip: SyntheticClip) -> None:
    footage = footage_of(clip)
    place = torch.tensor([5 * W + 7, 5 * W + W - 1, (H - 1) * W + 3])
    rays = footage.at(torch.tensor([0, 1, T - 1]), place)
    assert rays.xy.tolist() == [[7.5, 5.5], [W - 0.5, 5.5], [3.5, H - 0.5]]
    assert np.allclose(rays.right[0] * 255, clip.frames[0, 5, 8])
    assert np.allclose(rays.down[0] * 255, clip.frames[0, 6, 7])
    assert rays.of_right[1] == 0, "nothing is to the right of the frame"
    assert rays.of_down[2] == 0, "nor below it"
    assert rays.of_flow[0, 1] == 0, "nothing is before the first frame"
    assert rays.of_flow[2, 0] == 0, "nor after the last"
    drawn = footage.draw(300, torch.Generator().manual_seed(0))
    for weight in (drawn.of_all, drawn.of_colour, drawn.of_right, drawn.of_down):
        assert float(weight.sum()) == pytest.approx(1, abs=1e-5)
    assert float(drawn.of_flow.sum()) == pytest.approx(1, abs=1e-5)


def test_a_step_in_parts_is_the_same_step(clip: SyntheticClip) -> None:
    footage = footage_of(clip)
    whole, parts = (Trainer(footage, replace(TINY, chunk=chunk)) for chunk in (256, 37))
    for trainer in (whole, parts):
        trainer.step(Silent())
    assert parts.losses.keys() == whole.losses.keys()
    for name, value in whole.losses.items():
        assert float(parts.losses[name]) == pytest.approx(float(value), rel=1e-4, abs=1e-5), name
    weighted = sum(w * float(whole.losses[k]) for k, w in TINY.weights(0).items() if w)
    assert float(whole.losses["total"]) == pytest.approx(weighted, rel=1e-4)


def test_what_is_held_out_is_not_fitted() -> None:
    long = make_clip(8, H, W, seed=1)
    footage = footage_of(long, replace(TINY, held_out=0.5))
    rays = footage.draw(400, torch.Generator().manual_seed(0))
    kept = footage.kept[rays.t, rays.xy[:, 1].long(), rays.xy[:, 0].long()]
    assert bool(kept.any())
    assert not bool(kept.all())
    assert float(rays.of_colour[~kept].abs().max()) == 0


@pytest.mark.parametrize(("size", "differs"), [((40, 64), False), ((64, 40), True)])
def test_the_released_gradient_differs_on_portrait_clips_only(
    size: tuple[int, int], differs: bool
) -> None:
    footage = footage_of(make_clip(2, *size, seed=1))
    rays = footage.draw(64, torch.Generator().manual_seed(0))
    networks, frame = Networks(TINY), Frame(size, 2, TINY.uv_scale)
    ours, theirs = (
        terms(networks, frame, rays, replace(TINY, gradient_span=span), far=True)
        for span in ("longer", "width")
    )
    assert bool(ours["gradient"] != theirs["gradient"]) == differs
    for name in ours.keys() - {"gradient"}:
        other = pytest.approx(theirs[name].item(), rel=1e-4, abs=1e-6)
        assert ours[name].item() == other, name


def test_the_loss_falls(fitted: tuple[Trainer, list[float]]) -> None:
    trainer, colours = fitted
    assert np.mean(colours[-10:]) < 0.6 * np.mean(colours[:10])
    assert trainer.losses["mask"].isfinite()
    assert "global_fg" not in trainer.losses, "its time is over"


def test_the_warm_start_lays_the_frame_flat(clip: SyntheticClip) -> None:
    config = replace(TINY, warm_passes=60, warm_until=2.0)
    trainer = Trainer(footage_of(clip), config)
    trainer.warm_start(Silent())
    xy = torch.tensor([[10.0, 10.0], [50.0, 30.0]])
    points = trainer.frame.points(xy, torch.tensor([1, 2]))
    for layer in ("fg", "bg"):
        away = losses.warm(trainer.networks.uv(layer, points), points, config.uv_scale)
        assert away.max().item() * trainer.frame.pixels_per_uv < 6


def test_the_same_seed_gives_the_same_bytes(clip: SyntheticClip) -> None:
    def run(seed: int) -> MlpAtlas:
        config = replace(TINY, seed=seed, warm_passes=1, steps=3)
        return decompose_mlp(clip.frames, keys(clip), "all", config, CPU, Silent())

    state = torch.get_rng_state()
    first, second, other = run(5), run(5), run(6)
    assert torch.equal(state, torch.get_rng_state()), "the global generator is left alone"
    assert first.tensors.keys() == second.tensors.keys()
    assert all(torch.equal(v, second.tensors[k]) for k, v in first.tensors.items())
    assert not torch.equal(first.image("background"), other.image("background"))


# The atlas


def test_it_answers_as_the_explicit_atlas_does(atlas: MlpAtlas, explicit: LayeredAtlas) -> None:
    assert (atlas.frames, atlas.height, atlas.width) == (T, H, W)
    assert atlas.work == explicit.work
    assert atlas.numbers.keys() >= {"psnr", "psnr_fg", "mask_iou", "coverage_fg", "slip_bg"}
    t = torch.tensor([0, 2])
    asks: list[Callable[[LayeredAtlas], torch.Tensor]] = [lambda a: a.box(t)]
    for size in (None, (30, 50)):
        asks += [lambda a, size=size: a.opacity(t, size)]
        for layer in LAYERS:
            asks += [lambda a, size=size, layer=layer: a.uv(layer, t, size)]
            asks += [lambda a, size=size, layer=layer: a.gain(layer, t, size)]
    asks += [lambda a: a.distance(t, (H, W))]
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
        visible = atlas.opacity(torch.tensor([2]))[0, 0] > 0.5
        visible = visible if layer == "foreground" else ~visible
        assert bool(inside[0][visible].all())
    again = atlas.networks()
    assert torch.equal(again.alpha(points), trainer.networks.alpha(points))


def test_outside_its_box_the_object_is_clear(atlas: MlpAtlas) -> None:
    for size in ((H, W), (23, 51)):
        alpha = atlas.opacity(torch.arange(T), size)[:, 0]
        assert float(alpha.max()) > 0.5
        for one, box in zip(alpha, atlas.box(torch.arange(T)).tolist(), strict=True):
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
    assert torch.equal(again.opacity(torch.tensor([1])), atlas.opacity(torch.tensor([1])))
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
    share = atlas.opacity(torch.tensor([1]))[0, 0].numpy()
    share = share if layer == "foreground" else 1 - share
    assert np.abs(out[1][..., 3] / 255 - share).mean() < 0.02


# The run


class Steps(Silent):
    """Remembers phases; cancels in one of them."""

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


def test_it_reports_shows_pictures_and_stops_in_every_phase(clip: SyntheticClip) -> None:
    config = replace(TINY, warm_passes=1, steps=4)

    def run(report: Steps) -> None:
        decompose_mlp(clip.frames, keys(clip), "all", config, CPU, report)

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
        decompose_mlp(np.zeros(shape, np.uint8), {}, mode, TINY, CPU, Silent())
    assert caught.value.problem.code == code
    empty = {t: np.zeros(shape[1:3], np.uint8) for t in range(shape[0])}
    if code == "mask_missing":
        with pytest.raises(JobError) as caught:
            decompose_mlp(np.zeros(shape, np.uint8), empty, "all", TINY, CPU, Silent())
        assert caught.value.problem.code == "no_foreground"


def test_a_clip_without_an_object_and_a_single_frame(clip: SyntheticClip) -> None:
    config = replace(TINY, warm_passes=1, steps=2)
    bare = decompose_mlp(clip.frames, {}, "none", config, CPU, Silent())
    assert float(bare.opacity(torch.arange(T)).max()) == 0
    assert bare.box(torch.arange(T)).tolist() == [[0, 0, 0, 0]] * T
    assert float(bare.coverage("foreground").max()) == 0
    still = decompose_mlp(clip.frames[:1], {0: keys(clip)[0]}, "all", config, CPU, Silent())
    assert still.opacity(torch.tensor([0])).shape == (1, 1, H, W)
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
    reports: list[AnyReport] = []
    ctx = Context("0" * 32, "cpu", tmp_path, reports.append, lambda: False)
    masks = tuple(
        KeyMask(frame=t, mask=ctx.store(m[..., None])) for t, m in enumerate(clip.masks())
    )
    job = AtlasJob(
        clip=Clip(frames=tuple(ctx.store(f) for f in clip.frames)),
        masks=Masks(mode="all", keys=masks),
        engine="mlp",
    )
    made = method.run(job, ctx)
    assert set(made.pictures) == {"foreground_atlas", "background_atlas", "report"}
    assert not any("made earlier" in r.text for r in reports if isinstance(r, Note))
    again = method.run(job, ctx)
    assert again.pictures == made.pictures
    assert any("made earlier" in r.text for r in reports if isinstance(r, Note))
    method.run(AtlasJob(clip=job.clip, masks=job.masks), ctx)
    assert len(list((tmp_path / "atlases").iterdir())) == 2
