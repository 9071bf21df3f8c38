"""The quality report sees what is wrong with an atlas, and only that."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from backend.atlas.config import preset
from backend.atlas.fit import decompose
from backend.atlas.model import Atlas
from backend.atlas.report import examine, sheet, verdict
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
    return decompose(clip.frames, dict(enumerate(clip.masks())), "all", CONFIG, CPU, Silent())


def judged(atlas: Atlas, clip: SyntheticClip) -> dict[str, float]:
    frames = torch.from_numpy(clip.frames).permute(0, 3, 1, 2)
    return examine(atlas, frames, torch.ones(T, 1, H, W, dtype=torch.bool), Silent())


def copy(atlas: Atlas) -> Atlas:
    tensors = {name: value.clone() for name, value in atlas.tensors.items()}
    return Atlas((T, H, W), atlas.work, atlas.bg_every, tensors, {})


def test_a_sound_atlas_neither_slips_nor_folds(whole: Atlas, clip: SyntheticClip) -> None:
    numbers = judged(whole, clip)
    assert numbers["slip_fg"] < 0.5
    assert numbers["slip_bg"] < 0.5
    assert numbers["folds_fg"] < 0.01
    assert not any("slip" in s or "folded" in s for s in verdict(numbers))
    assert {"psnr_held_out_fg", "psnr_held_out_bg", "psnr_held_out_edge"} <= whole.numbers.keys()


def test_maps_that_stay_behind_their_object_slip(whole: Atlas, clip: SyntheticClip) -> None:
    broken = copy(whole)
    drift = torch.arange(T).float()[:, None, None] * 0.5
    broken.tensors["fg_knots0"][:, 0] += drift
    numbers = judged(broken, clip)
    assert numbers["slip_fg"] == pytest.approx(4.0, abs=0.6)  # half a pixel a frame, eight frames
    assert numbers["slip_bg"] < 0.5
    assert any("slip on the object by about 4" in sentence for sentence in verdict(numbers))


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


def test_the_sheet_shows_frames_boards_and_atlases(whole: Atlas, clip: SyntheticClip) -> None:
    picture = sheet(whole, clip.frames, "demo")
    assert picture.dtype == np.uint8
    assert picture.shape[0] > 4 * 144
    assert picture.shape[1] == 5 * 264
    blue = (picture[..., 2].astype(int) - picture[..., 0]) > 60  # the swan, in many places
    assert blue[30:180].any()  # its atlas
    assert blue[190:].sum() > 2000
