"""A whole decomposition: quality against the truth, guarantees, and refusals."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fits import CPU, SHORT, TINY, Diary, H, T, W, every_mask, fitted

from backend.atlas.brush import paint_into_atlas
from backend.atlas.explicit.config import preset
from backend.atlas.explicit.fit import decompose
from backend.atlas.explicit.model import Atlas
from backend.atlas.render import render_layer
from backend.edit.pixels import to_tensor
from backend.masks.prompts import MaskPrompts
from backend.progress import Cancelled, Silent
from protocol.jobs import JobError
from scripts.make_clip import SyntheticClip, make_clip

pytestmark = pytest.mark.slow

CLIPS = Path(__file__).resolve().parents[3] / "shared" / "clips"


def _every(atlas: Atlas) -> torch.Tensor:
    return torch.arange(atlas.frames)


@pytest.fixture(scope="module")
def clip() -> SyntheticClip:
    return make_clip(T, H, W, seed=1)


@pytest.fixture(scope="module")
def done(clip: SyntheticClip) -> tuple[Atlas, Diary]:
    diary = Diary()
    return decompose(clip.frames, [MaskPrompts("all", every_mask(clip))], SHORT, CPU, diary), diary


@pytest.fixture(scope="module")
def atlas(done: tuple[Atlas, Diary]) -> Atlas:
    return done[0]


# Quality


def test_the_atlas_explains_the_clip(atlas: Atlas) -> None:
    assert atlas.numbers["psnr"] > 32
    assert atlas.numbers["psnr_fg"] > 32
    assert atlas.numbers["psnr"] - atlas.numbers["psnr_held_out"] < 3.5, "colours leak"


def test_alpha_agrees_with_the_truth(atlas: Atlas, clip: SyntheticClip) -> None:
    alpha = atlas.opacity("foreground", _every(atlas))[:, 0].numpy()
    assert alpha.shape == (T, H, W)
    found, truth = alpha > 0.5, clip.alpha > 0.5
    assert (found & truth).sum() / (found | truth).sum() > 0.96
    assert np.abs(alpha - clip.alpha).mean() < 0.015


@pytest.mark.parametrize("layer", ["foreground", "background"])
def test_a_painted_point_is_carried_to_where_it_belongs(
    atlas: Atlas, clip: SyntheticClip, layer: str
) -> None:
    start, end = 0, T - 1
    inside = clip.alpha[start] > 0.99 if layer == "foreground" else clip.alpha[start] < 0.01
    y, x = np.nonzero(cv2.erode(inside.astype(np.uint8), np.ones((3, 3))))
    here = np.stack([x, y], -1) + 0.5
    there = clip.track(here, start, end, layer)
    seen = (there > 1).all(-1) & (there < (W - 1, H - 1)).all(-1)
    here, there = here[seen], there[seen]
    assert len(here) > 300
    painted = _look_up(atlas, layer, start, here)
    wrong = painted - _look_up(atlas, layer, end, there)
    slopes = []
    for half in (np.array([0.5, 0.0]), np.array([0.0, 0.5])):
        ahead = _look_up(atlas, layer, end, there + half)
        slopes.append(ahead - _look_up(atlas, layer, end, there - half))
    pixels = np.linalg.solve(np.stack(slopes, -1), wrong[..., None])[..., 0]
    error = np.linalg.norm(pixels, axis=-1)
    assert np.median(error) < 0.4
    assert error.mean() < 0.7


def _look_up(atlas: Atlas, layer: str, t: int, points: np.ndarray) -> np.ndarray:
    uv = atlas.uv(layer, torch.tensor([t])).permute(0, 3, 1, 2)
    at = torch.tensor(points / (W, H) * 2 - 1, dtype=torch.float32)[None, None]
    return F.grid_sample(uv, at, align_corners=False)[0, :, 0].T.double().numpy()


def test_changing_light_is_not_mistaken_for_colour(clip: SyntheticClip) -> None:
    light = np.linspace(0.7, 1.05, 6)[:, None, None, None]
    frames = np.clip(clip.frames[:6] * light, 0, 255).round().astype(np.uint8)
    atlas = fitted(
        frames,
        dict(enumerate(clip.masks()[:6])),
        config=replace(TINY, uv_steps=30, half_steps=30, sweeps=3),
    )
    gain = atlas.gain("background", torch.tensor([0, 5])).mean((1, 2, 3))
    assert float(gain[1] / gain[0]) == pytest.approx(1.5, rel=0.15)
    assert atlas.numbers["psnr"] > 29


@pytest.mark.parametrize(
    ("layer", "x", "y"), [("foreground", 98.5, 60.5), ("background", 40.5, 30.5)]
)
def test_painted_marks_are_where_the_truth_has_them(
    atlas: Atlas, clip: SyntheticClip, layer: str, x: float, y: float
) -> None:
    yy, xx = np.mgrid[:H, :W] + 0.5
    image = np.zeros((H, W, 4), np.uint8)
    image[..., 3] = np.rint(np.clip(3.5 - np.hypot(xx - x, yy - y), 0, 1) * 255)
    painting = paint_into_atlas(atlas, layer, to_tensor(image, atlas.device), 0, Silent())
    last = T - 1
    (out,) = render_layer(
        atlas, layer, painting.rgba, Silent(), frames=(last, last), window=painting.window
    )
    weight = out[..., 3].astype(float)
    found = np.array([(weight * xx).sum(), (weight * yy).sum()]) / weight.sum()
    truth = clip.track(np.array([[x, y]]), 0, last, layer)[0]
    assert np.linalg.norm(found - truth) < 1


# What an Atlas promises


def test_shapes_and_ranges(atlas: Atlas) -> None:
    assert (atlas.frames, atlas.height, atlas.width) == (T, H, W)
    for layer in ("foreground", "background"):
        image, cover = atlas.image(layer), atlas.coverage(layer)
        assert image.shape[:2] == (1, 3)
        assert cover.shape == (1, 1, *image.shape[2:])
        assert image.min() >= 0
        assert image.max() <= 1
        assert set(cover.unique().tolist()) == {0.0, 1.0}
        assert atlas.uv(layer, torch.tensor([0, 3]), (30, 50)).shape == (2, 30, 50, 2)
    with pytest.raises(ValueError, match="foreground"):
        atlas.uv("fg", torch.tensor([0]))


def test_what_frames_see_lies_on_the_covered_atlas(atlas: Atlas) -> None:
    t = _every(atlas)
    alpha = atlas.opacity("foreground", t)
    for layer, share in (("foreground", alpha), ("background", 1 - alpha)):
        uv = atlas.uv(layer, t)[(share > 0.9)[:, 0]]
        assert uv.abs().max() <= 1
        cover = F.grid_sample(atlas.coverage(layer), uv[None, None], align_corners=False)
        assert (cover > 0.5).float().mean() > 0.99


def test_maps_and_opacity_do_not_depend_on_the_output_size(atlas: Atlas) -> None:
    t = torch.tensor([4])
    for layer in ("foreground", "background"):
        fine = atlas.uv(layer, t, (2 * H, 2 * W)).permute(0, 3, 1, 2)
        coarse = atlas.uv(layer, t).permute(0, 3, 1, 2)
        torch.testing.assert_close(F.avg_pool2d(fine, 2), coarse, atol=2e-3, rtol=0)
    fine = F.avg_pool2d(atlas.opacity("foreground", t, (2 * H, 2 * W)), 2)
    assert (fine - atlas.opacity("foreground", t)).abs().mean() < 0.01


@pytest.mark.parametrize("size", [None, (131, 203)])
def test_opacity_is_exactly_zero_away_from_the_object(
    atlas: Atlas, clip: SyntheticClip, size: tuple[int, int] | None
) -> None:
    alpha = atlas.opacity("foreground", _every(atlas), size)
    away = np.stack(
        [cv2.distanceTransform((a < 0.5).astype(np.uint8), cv2.DIST_L2, 5) for a in clip.alpha]
    )
    far = torch.from_numpy(away)[:, None] > float(atlas.tensors["fg_reach"].max()) + 3
    if size is not None:
        far = F.interpolate(far.float(), size=size, mode="bilinear") == 1
    assert far.float().mean() > 0.3
    assert (alpha[far] == 0).all()
    assert alpha.min() >= 0
    assert alpha.max() <= 1


def test_the_box_holds_all_opacity(atlas: Atlas) -> None:
    alpha = atlas.opacity("foreground", _every(atlas))
    boxes = atlas.box("foreground", _every(atlas))
    for one, (x0, y0, x1, y1) in zip(alpha[:, 0], boxes.tolist(), strict=True):
        outside = one.clone()
        outside[y0:y1, x0:x1] = 0
        assert outside.max() == 0
        assert (x1 - x0) * (y1 - y0) < 0.8 * H * W


def test_rendering_the_atlas_gives_the_frames_back(atlas: Atlas, clip: SyntheticClip) -> None:
    for layer, truth in (("background", clip.alpha < 0.01), ("foreground", clip.alpha > 0.99)):
        image = atlas.image(layer)
        rgba = torch.cat([image, torch.ones_like(image[:, :1])], 1)
        error = []
        for t, out in enumerate(render_layer(atlas, layer, rgba, Silent())):
            assert out.shape == (H, W, 4)
            assert out.dtype == np.uint8
            inside = cv2.erode(truth[t].astype(np.uint8), np.ones((7, 7))) > 0
            assert (out[inside][:, 3] == 255).mean() > 0.99
            error.append(np.abs(out[inside][:, :3].astype(float) - clip.frames[t][inside]).mean())
        assert len(error) == T
        assert np.mean(error) < 5


def test_a_finer_painting_renders_the_same(atlas: Atlas) -> None:
    rgba = torch.cat(
        [atlas.image("foreground"), torch.ones_like(atlas.image("foreground")[:, :1])], 1
    )
    finer = F.interpolate(rgba, scale_factor=2, mode="bilinear")
    one = next(iter(render_layer(atlas, "foreground", rgba, Silent())))
    two = next(iter(render_layer(atlas, "foreground", finer, Silent())))
    assert np.array_equal(one[..., 3], two[..., 3])
    assert np.abs(one.astype(int) - two).mean() < 1


def test_colours_of_clear_texels_do_not_bleed(atlas: Atlas) -> None:
    h, w = atlas.image("background").shape[2:]
    rgba = torch.zeros(1, 4, h, w)
    rgba[:, 0] = 1  # red where it is clear
    rgba[:, :, :, : w // 2] = torch.tensor([0.0, 1, 0, 1])[:, None, None]  # green where it is not
    out = next(iter(render_layer(atlas, "background", rgba, Silent())))
    shown = out[out[..., 3] > 0]
    assert np.logical_and(shown[:, 3] > 20, shown[:, 3] < 235).any(), "the edge is in the picture"
    assert (shown[:, 0] == 0).all()
    assert (shown[:, 1] == 255).all()
    assert (out[out[..., 3] == 0] == 0).all()


def test_saved_and_loaded_it_is_the_same(atlas: Atlas, tmp_path: Path) -> None:
    folder = tmp_path / "kept" / "atlas"
    atlas.save(folder)
    again = Atlas.load(folder, CPU)
    assert again.numbers == atlas.numbers
    assert (again.frames, again.height, again.width) == (T, H, W)
    t = torch.tensor([0, 7])
    for layer in ("foreground", "background"):
        assert torch.equal(again.uv(layer, t), atlas.uv(layer, t))
        assert torch.equal(again.image(layer), atlas.image(layer))
        assert torch.equal(again.coverage(layer), atlas.coverage(layer))
    assert torch.equal(again.opacity("foreground", t), atlas.opacity("foreground", t))
    atlas.save(folder)
    assert [p.name for p in folder.parent.iterdir()] == ["atlas"], "no leftovers"


def test_an_atlas_that_cannot_be_read_is_an_error_with_a_way_out(
    atlas: Atlas, tmp_path: Path
) -> None:
    atlas.save(tmp_path / "a")
    (tmp_path / "a" / "atlas.safetensors").write_bytes(b"not an atlas")
    for folder in (tmp_path / "a", tmp_path / "missing"):
        with pytest.raises(JobError) as caught:
            Atlas.load(folder, CPU)
        assert caught.value.problem.code == "atlas_unreadable"
        assert caught.value.problem.hint


# The run


def test_progress_and_previews(done: tuple[Atlas, Diary]) -> None:
    _, diary = done
    assert all(0 <= step <= total and total > 0 for _, step, total in diary.steps)
    assert len(diary.phases) >= 7
    assert diary.notes == []
    assert len(diary.pictures) == 3
    assert all(p.dtype == np.uint8 and p.shape == (H, W, 3) for p in diary.pictures)


def test_same_seed_same_bytes(clip: SyntheticClip) -> None:
    frames, keys = clip.frames[:4], {0: clip.masks()[0]}
    one, two = (fitted(frames, keys, "key") for _ in range(2))
    other = fitted(frames, keys, "key", replace(TINY, seed=1))
    for name, tensor in one.tensors.items():
        assert torch.equal(tensor, two.tensors[name]), name
    assert not torch.equal(one.image("background"), other.image("background"))


class Stopper(Diary):
    """Cancels as soon as a phase begins."""

    def __init__(self, phase: str) -> None:
        super().__init__()
        self.phase = phase

    def step(self, phase: str, done: int, total: int) -> None:
        if phase == self.phase:
            raise Cancelled
        super().step(phase, done, total)


PHASES = (
    "Computing motion", "Finding the object", "Aligning frames", "Unwrapping",
    "Laying out the atlas", "Filling the atlas", "Fitting the atlas", "Checking the atlas",
    "Checking the mask", "Stabilising the mask",
)  # fmt: skip


def test_every_phase_is_known_to_the_cancel_test(done: tuple[Atlas, Diary]) -> None:
    assert sorted(done[1].phases) == sorted(PHASES)


@pytest.mark.parametrize("phase", PHASES)
def test_cancel_stops_every_phase(clip: SyntheticClip, phase: str) -> None:
    stopper = Stopper(phase)
    with pytest.raises(Cancelled):
        decompose(clip.frames[:4], [MaskPrompts("key", {1: clip.masks()[1]})], TINY, CPU, stopper)


def test_every_step_of_every_phase_reports(clip: SyntheticClip) -> None:
    diary = Diary()
    decompose(clip.frames[:5], [MaskPrompts("key", {0: clip.masks()[0]})], TINY, CPU, diary)
    count = {phase: sum(p == phase for p, _, _ in diary.steps) for phase in diary.phases}
    assert count["Computing motion"] >= 4 + 3 + 1
    assert count["Finding the object"] >= 4
    assert count["Unwrapping"] == TINY.uv_steps
    assert count["Fitting the atlas"] == TINY.half_steps + TINY.full_steps


def test_cancel_stops_rendering(atlas: Atlas) -> None:
    rgba = torch.zeros(1, 4, 8, 8)
    with pytest.raises(Cancelled):
        list(render_layer(atlas, "background", rgba, Stopper("Rendering the layer")))


def test_presets() -> None:
    sizes = [preset(name, seed=4).long_side for name in ("draft", "preview", "final")]
    assert sizes == sorted(set(sizes))
    assert preset("draft", seed=4).seed == 4
    with pytest.raises(JobError) as caught:
        preset("best")
    assert caught.value.problem.code == "unknown_preset"
    assert "draft" in caught.value.problem.hint


@pytest.mark.clips
def test_a_real_swan_from_one_mask() -> None:
    folder = CLIPS / "blackswan"
    if not folder.exists():
        pytest.skip(f"the real clips are not in {CLIPS}")
    paths = sorted((folder / "frames").glob("*.jpg"))[:24:2]
    frames = np.stack([cv2.resize(cv2.imread(str(p))[..., ::-1], (214, 120)) for p in paths])
    truth = [
        cv2.resize(cv2.imread(str(folder / "masks" / f"{p.stem}.png"), 0), (214, 120)) > 127
        for p in paths
    ]
    mask = np.where(truth[0], 255, 0).astype(np.uint8)
    atlas = fitted(frames, {0: mask}, "key", replace(SHORT, uv_steps=30, half_steps=40))
    alpha = atlas.opacity("foreground", _every(atlas))[:, 0].numpy() > 0.5
    overlap = [(a & b).sum() / (a | b).sum() for a, b in zip(alpha, truth, strict=True)]
    assert np.mean(overlap) > 0.8
    assert atlas.numbers["psnr"] > 24
