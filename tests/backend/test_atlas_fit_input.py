"""Fits on hard input: tiny, flat or empty clips, and masks that do not fit."""

import numpy as np
import pytest
import torch
from fits import H, T, W, every_mask, fitted

from backend.atlas.explicit.model import Atlas
from backend.atlas.quality import rebuild
from protocol.jobs import JobError
from scripts.make_clip import SyntheticClip, make_clip


def _every(atlas: Atlas) -> torch.Tensor:
    return torch.arange(atlas.frames)


@pytest.fixture(scope="module")
def clip() -> SyntheticClip:
    return make_clip(T, H, W, seed=1)


def _sound(atlas: Atlas) -> None:
    for name, tensor in atlas.tensors.items():
        assert torch.isfinite(tensor.float()).all(), name
    t = _every(atlas)
    for layer in ("foreground", "background"):
        assert torch.isfinite(atlas.uv(layer, t)).all()
    assert torch.isfinite(rebuild(atlas, t, atlas.work)[0]).all()
    assert all(np.isfinite(v) for v in atlas.numbers.values())


def test_two_frames_of_odd_size(clip: SyntheticClip) -> None:
    frames, masks = clip.frames[:2, :77, :131], clip.masks()[:2, :77, :131]
    atlas = fitted(np.ascontiguousarray(frames), dict(enumerate(masks)))
    _sound(atlas)
    assert atlas.opacity("foreground", torch.tensor([1])).shape == (1, 1, 77, 131)
    assert atlas.numbers["psnr"] > 22


def test_no_texture_at_all() -> None:
    frames = np.full((3, 64, 80, 3), 120, np.uint8)
    mask = np.zeros((64, 80), np.uint8)
    mask[20:40, 30:60] = 255
    atlas = fitted(frames, {0: mask}, "key")
    _sound(atlas)
    assert atlas.numbers["psnr"] > 36
    assert (atlas.opacity("foreground", torch.tensor([2]))[0, 0, 25:35, 35:55] == 1).all()


@pytest.mark.slow
def test_frames_without_the_object(clip: SyntheticClip) -> None:
    keys = every_mask(clip)
    for t in (0, 4, 5):
        keys[t] = np.zeros_like(keys[t])
    atlas = fitted(clip.frames, keys)
    _sound(atlas)
    assert atlas.opacity("foreground", torch.tensor([0, 4, 5])).max() == 0
    assert atlas.opacity("foreground", torch.tensor([1])).max() == 1
    assert atlas.box("foreground", torch.tensor([5])).tolist() == [[0, 0, 0, 0]]


def test_a_mask_that_covers_the_frame(clip: SyntheticClip) -> None:
    _sound(fitted(clip.frames[:3], {t: np.full((H, W), 255, np.uint8) for t in range(3)}))


@pytest.mark.parametrize(
    ("code", "keys", "mode"),
    [
        ("no_foreground", {0: np.zeros((H, W), np.uint8)}, "key"),
        ("no_foreground", {t: np.zeros((H, W), np.uint8) for t in range(3)}, "all"),
        ("mask_size", {0: np.full((H, W - 1), 255, np.uint8)}, "key"),
        ("mask_size", {0: np.full((H, W, 3), 255, np.uint8)}, "key"),
        ("mask_frame", {3: np.full((H, W), 255, np.uint8)}, "key"),
        ("mask_missing", {}, "key"),
        ("mask_mode", {}, "guess"),
    ],
)
def test_masks_that_cannot_be_used_are_refused_with_a_hint(
    clip: SyntheticClip, code: str, keys: dict[int, np.ndarray], mode: str
) -> None:
    with pytest.raises(JobError) as caught:
        fitted(clip.frames[:3], keys, mode)
    assert caught.value.problem.code == code
    assert caught.value.problem.message
    assert caught.value.problem.hint


@pytest.mark.parametrize(("code", "shape"), [("no_frames", (0, 64, 64, 3)),
                                             ("clip_too_small", (3, 20, 64, 3))])  # fmt: skip
def test_clips_that_cannot_be_unwrapped_are_refused_with_a_hint(
    code: str, shape: tuple[int, ...]
) -> None:
    with pytest.raises(JobError) as caught:
        fitted(np.zeros(shape, np.uint8), {}, "auto")
    assert caught.value.problem.code == code
    assert caught.value.problem.hint
