"""The quality report finds what is wrong with an atlas, and only that."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from backend.atlas.explicit.colours import initial_colours
from backend.atlas.explicit.config import preset
from backend.atlas.explicit.fit import decompose
from backend.atlas.explicit.model import Atlas
from backend.atlas.explicit.start import set_canvas, starting_atlas
from backend.atlas.report import examine, sheet, verdict
from backend.masks.prompts import MaskPrompts
from backend.progress import Silent
from scripts.make_clip import SyntheticClip, make_clip

H, W, T = 108, 192, 12
CPU = torch.device("cpu")
CONFIG = replace(preset("draft"), long_side=W, uv_steps=30, half_steps=20, full_steps=20)


@pytest.fixture(scope="module")
def clip() -> SyntheticClip:
    return make_clip(frames=T, width=W, height=H)


@pytest.fixture(scope="module")
def whole(clip: SyntheticClip) -> Atlas:
    return decompose(
        clip.frames, [MaskPrompts("all", dict(enumerate(clip.masks())))], CONFIG, CPU, Silent()
    )


def judged(atlas: Atlas, clip: SyntheticClip) -> dict[str, float]:
    frames = torch.from_numpy(clip.frames).permute(0, 3, 1, 2)
    return examine(atlas, frames, torch.ones(T, 1, H, W, dtype=torch.bool), Silent())


def copy(atlas: Atlas) -> Atlas:
    tensors = {name: value.clone() for name, value in atlas.tensors.items()}
    return Atlas((T, H, W), atlas.work, atlas.bg_every, tensors, {})


@pytest.mark.slow
def test_a_sound_atlas_neither_slips_nor_folds(whole: Atlas, clip: SyntheticClip) -> None:
    numbers = judged(whole, clip)
    assert numbers["slip_fg"] < 0.5
    assert numbers["slip_bg"] < 0.5
    assert numbers["folds_fg"] < 0.01
    assert not any("slip" in s or "folded" in s for s in verdict(numbers))
    assert {"psnr_held_out_fg", "psnr_held_out_bg", "psnr_held_out_edge"} <= whole.numbers.keys()


@pytest.mark.slow
def test_maps_that_stay_behind_their_object_slip(whole: Atlas, clip: SyntheticClip) -> None:
    broken = copy(whole)
    drift = torch.arange(T).float()[:, None, None] * 0.5
    broken.tensors["fg_knots0"][:, 0] += drift
    numbers = judged(broken, clip)
    assert numbers["slip_fg"] == pytest.approx(4.0, abs=0.6)  # half a pixel a frame, eight frames
    assert numbers["slip_bg"] < 0.5
    assert any(
        f"slip on the object by about {numbers['slip_fg']:.1f}" in sentence
        for sentence in verdict(numbers)
    )


@pytest.mark.parametrize("wrong", [0.0, 0.3])
def test_a_fast_object_before_a_pattern_that_repeats_is_judged_rightly(wrong: float) -> None:
    random = np.random.default_rng(0)
    stripes = (np.arange(W) // 6 % 2 * 90 + 60)[None, :, None]
    skin = cv2.resize(random.integers(0, 255, (12, 12, 3)).astype(np.uint8), (48, 48))
    frames = np.empty((T, H, W, 3), np.uint8)
    masks = np.zeros((T, H, W), np.float32)
    still = np.tile(np.eye(3), (T, 1, 1))
    moving = still.copy()
    for t in range(T):
        x = 5 + 11 * t  # nearly twice the stripes' period, each frame
        frames[t] = stripes
        frames[t, 30:78, x : x + 48] = skin[:, : W - x]
        masks[t, 30:78, x : x + 48] = 1
        moving[t, 0, 2] = -x * (1 + wrong / 11)
    atlas = starting_atlas((T, H, W), [masks], still, [moving], CONFIG, CPU)
    set_canvas(atlas, CONFIG, Silent())
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2)
    kept = torch.ones(T, 1, H, W, dtype=torch.bool)
    initial_colours(atlas, pixels, kept, Silent())
    numbers = examine(atlas, pixels, kept, Silent())
    assert numbers["slip_fg"] == pytest.approx(8 * wrong, abs=0.4)
    assert numbers["slip_bg"] < 0.4


@pytest.mark.slow
def test_a_turned_over_piece_is_a_fold(whole: Atlas, clip: SyntheticClip) -> None:
    broken = copy(whole)
    broken.tensors["fg_knots1"][:, 0, :, 7] += 80
    numbers = judged(broken, clip)
    assert numbers["folds_fg"] > 0.02
    assert any("folded" in sentence for sentence in verdict(numbers))


def test_the_verdict_names_leaks_and_blur() -> None:
    said = verdict({"psnr": 33.0, "psnr_held_out": 27.0, "psnr_held_out_fg": 22.0})
    assert len(said) == 2
    assert "mask" in said[0]
    assert "object" in said[1]
    assert verdict({}) == []


@pytest.mark.slow
def test_the_sheet_shows_frames_boards_and_atlases(whole: Atlas, clip: SyntheticClip) -> None:
    picture = sheet(whole, clip.frames, "demo")
    assert picture.dtype == np.uint8
    assert picture.shape[0] > 4 * 144
    assert picture.shape[1] == 5 * 264
    blue = (picture[..., 2].astype(int) - picture[..., 0]) > 60  # the swan, in many places
    assert blue[30:180].any()  # its atlas
    assert blue[190:].sum() > 2000
