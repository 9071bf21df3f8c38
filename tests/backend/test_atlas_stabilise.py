"""Jittering masks are stabilised along the object's motion; steady and exact ones do not change."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from backend.atlas.explicit.config import preset
from backend.atlas.explicit.joint import prepare, unwrap
from backend.atlas.explicit.model import Atlas
from backend.atlas.explicit.stabilise import stabilise
from backend.atlas.explicit.start import reset_opacity, set_canvas, starting_atlas
from backend.motion import flow
from backend.motion.base_maps import base_maps
from backend.motion.flow import Flows
from backend.progress import Silent
from scripts.make_clip import SyntheticClip, make_clip

CPU = torch.device("cpu")
T, H, W = 12, 108, 192
CONFIG = replace(preset("draft"), long_side=W, uv_steps=15)


@pytest.fixture(scope="module")
def clip() -> tuple[SyntheticClip, Flows]:
    made = make_clip(T, H, W, seed=1)
    return made, flow.estimate(made.frames, CONFIG.gaps, CONFIG.consistent, Silent())


def _trembling(truth: np.ndarray) -> np.ndarray:
    """Masks whose edges move by about two pixels, differently on each frame."""
    random = np.random.default_rng(3)
    out = np.empty(truth.shape, np.float32)
    for t, mask in enumerate(truth):
        inside = mask.astype(np.uint8)
        away = cv2.distanceTransform(inside, cv2.DIST_L2, 5) - cv2.distanceTransform(
            1 - inside, cv2.DIST_L2, 5
        )
        noise = cv2.resize(random.standard_normal((10, 17)), (W, H), interpolation=cv2.INTER_CUBIC)
        out[t] = away + 2 * noise > 0
    return out


def _laid_out(masks: list[np.ndarray], clip: tuple[SyntheticClip, Flows]) -> Atlas:
    """An atlas whose maps follow the flow, as the fit has it when masks are stabilised."""
    made, flows = clip
    background, bases = base_maps(flows, masks, Silent())
    atlas = starting_atlas((T, H, W), masks, background, bases, CONFIG, CPU)
    generator = torch.Generator().manual_seed(0)
    unwrap(atlas, prepare(made.frames, flows, CONFIG, CPU, generator), CONFIG, generator, Silent())
    set_canvas(atlas, CONFIG, Silent())
    return atlas


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float(((one > 0.5) & other).sum() / ((one > 0.5) | other).sum())


@pytest.mark.slow
def test_jittering_edges_are_stabilised_to_the_truth(clip: tuple[SyntheticClip, Flows]) -> None:
    truth = clip[0].alpha > 0.5
    rough = _trembling(truth)
    atlas = _laid_out([rough], clip)
    (calmed,) = stabilise(atlas, [rough], [[]], Silent())
    assert calmed.shape == rough.shape
    assert calmed.dtype == np.float32
    assert 1 - _overlap(calmed, truth) < 0.6 * (1 - _overlap(rough, truth))
    before = atlas.tensors["fg_distance"].clone()
    reset_opacity(atlas, [calmed], CONFIG)
    assert not torch.equal(before, atlas.tensors["fg_distance"])
    found = np.stack([atlas.opacity("foreground", torch.tensor([t]))[0, 0] for t in range(T)])
    assert _overlap(found, truth) > _overlap(rough, truth) + 0.02


@pytest.mark.slow
def test_steady_masks_and_exact_frames_do_not_change(clip: tuple[SyntheticClip, Flows]) -> None:
    truth = clip[0].alpha > 0.5
    steady = truth.astype(np.float32)
    (same,) = stabilise(_laid_out([steady], clip), [steady], [[]], Silent())
    assert np.array_equal(same, steady)

    rough = _trembling(truth)
    rough[5] = truth[5]
    (calmed,) = stabilise(_laid_out([rough], clip), [rough], [[5]], Silent())
    assert np.array_equal(calmed[5], rough[5])
    assert not np.array_equal(calmed[6], rough[6])


def test_an_object_in_front_says_nothing_about_the_one_behind(
    clip: tuple[SyntheticClip, Flows],
) -> None:
    truth = clip[0].alpha > 0.5
    front = np.zeros(truth.shape, np.float32)
    front[4:8, :, W // 2 :] = 1  # passes through, and hides a part for a while
    seen = np.where(front > 0.5, 0, _trembling(truth)).astype(np.float32)
    assert (truth[4:8] & (front[4:8] > 0.5)).any()
    atlas = _laid_out([front, seen], clip)
    _, calmed = stabilise(atlas, [front, seen], [[], []], Silent())
    assert not calmed[front > 0.5].any()
    here = [8, 9]  # just after it was hidden
    assert _overlap(calmed[here], truth[here]) > _overlap(seen[here], truth[here])


def test_no_object_and_a_single_frame_pass_through(clip: tuple[SyntheticClip, Flows]) -> None:
    none = np.zeros((T, H, W), np.float32)
    atlas = _laid_out([none], clip)
    assert not stabilise(atlas, [none], [[]], Silent())[0].any()
