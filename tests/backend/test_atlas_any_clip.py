"""All kinds of clips: one frame, no object, no motion, no texture, cuts."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from backend.atlas.explicit.config import preset
from backend.atlas.explicit.fit import decompose
from backend.atlas.explicit.model import Atlas
from backend.atlas.quality import rebuild
from backend.atlas.render import render_layer
from backend.masks.prompts import MaskPrompts
from backend.motion import flow
from backend.motion.cuts import find_cuts
from backend.progress import Silent
from protocol.jobs import JobError
from scripts.make_clip import SyntheticClip, make_clip

H, W, T = 96, 160, 10
CPU = torch.device("cpu")
TINY = replace(preset("draft"), uv_steps=4, half_steps=4, full_steps=4, sweeps=1)


@pytest.fixture(scope="module")
def clip() -> SyntheticClip:
    return make_clip(frames=T, width=W, height=H)


def run(frames: np.ndarray, keys: dict[int, np.ndarray], mode: str) -> Atlas:
    return decompose(frames, [MaskPrompts(mode, keys)], TINY, CPU, Silent())


def psnr(atlas: Atlas, frames: np.ndarray) -> float:
    seen, _ = rebuild(atlas, torch.arange(len(frames)), (H, W))
    error = seen.permute(0, 2, 3, 1).numpy() - frames / 255.0
    return float(-10 * np.log10((error**2).mean()))


def test_one_frame_is_its_own_atlas(clip: SyntheticClip) -> None:
    mask = clip.masks()[0]
    atlas = run(clip.frames[:1], {0: mask}, "key")
    assert psnr(atlas, clip.frames[:1]) > 30
    red = torch.tensor([1.0, 0, 0, 1]).reshape(1, 4, 1, 1).expand(1, 4, 64, 64)
    (layer,) = render_layer(atlas, "foreground", red, Silent())
    inside = layer[..., 3] > 127
    assert (inside & (mask > 127)).sum() / (inside | (mask > 127)).sum() > 0.9


@pytest.mark.slow
def test_a_clip_without_an_object_is_all_background(clip: SyntheticClip) -> None:
    still = np.repeat(clip.frames[:1], 4, 0)
    atlas = run(still, {}, "none")
    assert psnr(atlas, still) > 32
    assert float(atlas.opacity("foreground", torch.arange(4)).max()) == 0
    red = torch.tensor([1.0, 0, 0, 1]).reshape(1, 4, 1, 1).expand(1, 4, 64, 64)
    assert all(one[..., 3].min() == 255 for one in render_layer(atlas, "background", red, Silent()))
    assert all(one.max() == 0 for one in render_layer(atlas, "foreground", red, Silent()))


@pytest.mark.slow
def test_an_object_before_nothing_to_hold_on_to() -> None:
    """A wall without texture gives no trusted flow: the camera counts as still."""
    frames = np.full((6, H, W, 3), 120, np.uint8)
    masks = np.zeros((6, H, W), np.uint8)
    noise = np.random.default_rng(0).integers(0, 255, (30, 30, 3), np.uint8)
    for t in range(6):
        frames[t, 30:60, 40 + 4 * t : 70 + 4 * t] = noise
        masks[t, 30:60, 40 + 4 * t : 70 + 4 * t] = 255
    atlas = run(frames, dict(enumerate(masks)), "all")
    assert all(bool(torch.isfinite(v.float()).all()) for v in atlas.tensors.values())
    assert psnr(atlas, frames) > 20


def test_a_black_clip_has_no_object() -> None:
    with pytest.raises(JobError) as caught:
        run(np.zeros((5, H, W, 3), np.uint8), {}, "auto")
    assert caught.value.problem.code == "no_foreground"
    assert "mask" in caught.value.problem.hint


@pytest.mark.slow
@pytest.mark.parametrize("size", [(32, 384), (384, 32)])
def test_frames_of_twelve_to_one(clip: SyntheticClip, size: tuple[int, int]) -> None:
    frames = np.stack([cv2.resize(one, size[::-1]) for one in clip.frames[:3]])
    mask = cv2.resize(clip.masks()[0].astype(np.uint8), size[::-1])
    atlas = run(frames, {0: mask}, "key")
    layer = next(iter(render_layer(atlas, "foreground", torch.ones(1, 4, 32, 32), Silent())))
    assert layer.shape == (*size, 4)


@pytest.mark.slow
def test_odd_sizes(clip: SyntheticClip) -> None:
    frames = clip.frames[:4, :95, :157]
    atlas = run(frames, {0: clip.masks()[0][:95, :157]}, "key")
    layer = next(iter(render_layer(atlas, "foreground", torch.ones(1, 4, 32, 32), Silent())))
    assert layer.shape == (95, 157, 4)


@pytest.mark.slow
def test_flow_that_is_no_number_is_not_trusted(
    clip: SyntheticClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = flow._search

    def broken(*args: Any) -> np.ndarray:
        found = search(*args)
        found[10:40, 20:60] = np.nan
        found[50:60, 20:60] = np.inf
        return found

    monkeypatch.setattr(flow, "_search", broken)
    flows = flow.estimate(clip.frames[:6], (1, 2, 4), 1.0, Silent())
    assert all(np.isfinite(one).all() for one in flows.between.values())
    assert not any(sure[6:19, 11:29].any() for sure in flows.trusted.values())
    atlas = run(clip.frames[:6], dict(enumerate(clip.masks()[:6])), "all")
    assert all(bool(torch.isfinite(v.float()).all()) for v in atlas.tensors.values())

    monkeypatch.setattr(flow, "_search", lambda *args: np.full((H, W, 2), np.nan, np.float32))
    with pytest.raises(JobError) as caught:
        run(clip.frames[:6], dict(enumerate(clip.masks()[:6])), "all")
    assert caught.value.problem.code == "motion_unreadable"
    assert "export" in caught.value.problem.hint


@pytest.mark.slow
def test_an_object_leaves_and_comes_back_before_a_camera_that_stands_still() -> None:
    rng = np.random.default_rng(1)
    wall = cv2.resize(rng.integers(60, 200, (12, 20, 3)).astype(np.uint8), (W, H))
    skin = cv2.resize(rng.integers(0, 255, (8, 8, 3)).astype(np.uint8), (40, 40))
    frames, masks = np.stack([wall] * 12), np.zeros((12, H, W), np.uint8)
    for t, x in enumerate([20, 60, 100, 140, None, None, None, None, 130, 90, 50, 10]):
        if x is not None:
            width = min(40, W - x)
            frames[t, 30:70, x : x + width] = skin[:, :width]
            masks[t, 30:70, x : x + width] = 255
    atlas = run(frames, dict(enumerate(masks)), "all")
    assert psnr(atlas, frames) > 22
    alpha = atlas.opacity("foreground", torch.arange(12))[:, 0].numpy()
    assert alpha[4:8].max() == 0
    for t in (0, 2, 9, 11):
        inside = masks[t] > 0
        assert ((alpha[t] > 0.5) & inside).sum() / ((alpha[t] > 0.5) | inside).sum() > 0.8
    shift = torch.eye(3).expand(12, 3, 3)
    torch.testing.assert_close(atlas.tensors["bg_base"], shift, atol=0.3, rtol=0)  # pixels


@pytest.mark.slow
def test_more_frames_than_keyframes_can_cover() -> None:
    long = make_clip(64, 36, 64, seed=2)
    config = replace(TINY, gaps=(1,), keys=8)
    assert len(long.frames) > config.keys * config.key_every
    atlas = decompose(
        long.frames, [MaskPrompts("all", dict(enumerate(long.masks())))], config, CPU, Silent()
    )
    assert (atlas.frames, len(atlas.tensors["bg_times"])) == (64, 8)
    last = list(render_layer(atlas, "foreground", torch.ones(1, 4, 16, 16), Silent(), (62, 63)))
    assert [one.shape for one in last] == [(36, 64, 4)] * 2


@pytest.mark.slow
def test_full_hd_is_worked_at_the_preset_s_size_and_rendered_at_its_own() -> None:
    small = make_clip(3, 108, 192, seed=3)
    frames = np.stack([cv2.resize(one, (1920, 1080)) for one in small.frames])
    mask = cv2.resize(small.masks()[0], (1920, 1080))
    atlas = decompose(frames, [MaskPrompts("key", {0: mask})], TINY, CPU, Silent())
    assert max(atlas.work) == TINY.long_side
    layer = next(iter(render_layer(atlas, "foreground", torch.ones(1, 4, 64, 64), Silent())))
    assert layer.shape == (1080, 1920, 4)
    inside = layer[..., 3] > 127
    assert (inside & (mask > 127)).sum() / (inside | (mask > 127)).sum() > 0.9


def scene(seed: int, count: int, speed: float = 3.0) -> np.ndarray:
    """A textured wall panned past the camera: [count,H,W,3]."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (24, 60, 3)).astype(np.uint8)
    wall = np.kron(coarse, np.ones((4, 4, 1), np.uint8))
    wall = np.clip(wall * rng.uniform(0.4, 1.0, 3), 0, 255).astype(np.uint8)
    return np.stack([wall[:, int(speed * t) : int(speed * t) + W] for t in range(count)])


def test_cuts_are_found_where_they_are() -> None:
    frames = np.concatenate([scene(0, 9), scene(1, 7), scene(2, 5)])
    assert find_cuts(frames, Silent()) == [9, 16]


def test_a_shot_of_one_frame_at_the_end_is_a_shot() -> None:
    assert find_cuts(np.concatenate([scene(0, 9), scene(1, 1)]), Silent()) == [9]


def test_pans_fades_and_objects_are_no_cuts(clip: SyntheticClip) -> None:
    fade = (scene(0, 20) * np.linspace(1, 0.05, 20)[:, None, None, None]).astype(np.uint8)
    for frames in (scene(0, 20), fade, clip.frames, scene(3, 1), np.zeros((5, H, W, 3), np.uint8)):
        assert find_cuts(frames, Silent()) == []


def test_a_flash_is_no_cut() -> None:
    frames = scene(0, 20, 1.0)
    frames[8:10] = 255 - (255 - frames[8:10]) // 5
    assert find_cuts(frames, Silent()) == []
