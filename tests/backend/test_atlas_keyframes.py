"""Atlas keyframes: they reproduce what changes over time, and do not move what is painted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.atlas import files
from backend.atlas.explicit import colours
from backend.atlas.explicit.config import preset
from backend.atlas.explicit.fit import decompose
from backend.atlas.explicit.keyframes import add_frames, bracket, denoise, keyframe_times, spread
from backend.atlas.explicit.model import Atlas
from backend.atlas.quality import rebuild
from backend.atlas.render import render_layer
from backend.atlas.sampling import sample
from backend.masks.prompts import MaskPrompts
from backend.progress import Silent
from scripts.make_clip import make_clip

CPU = torch.device("cpu")
T, H, W = 16, 64, 96
BRIEF = replace(preset("draft"), long_side=W, uv_steps=15, half_steps=10, full_steps=10, sweeps=3)


def _turning() -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """A clip whose object slowly turns from red to blue, unlike light or motion."""
    clip = make_clip(T, H, W, seed=1)
    share = np.linspace(0, 1, T)[:, None, None, None]
    tint = (1 - share) * [1.3, 0.8, 0.5] + share * [0.5, 0.8, 1.3]
    inside = clip.alpha[..., None]
    frames = clip.frames * (1 - inside) + np.clip(clip.frames * tint, 0, 255) * inside
    return frames.round().astype(np.uint8), dict(enumerate(clip.masks()))


@pytest.fixture(scope="module")
def both() -> dict[int, Atlas]:
    frames, keys = _turning()
    return {
        most: decompose(
            frames, [MaskPrompts("all", keys)], replace(BRIEF, keys=most), CPU, Silent()
        )
        for most in (1, 20)
    }


# The parts


def test_keyframes_cover_the_clip_and_short_clips_have_one() -> None:
    assert keyframe_times(76, 20, 5).tolist() == list(range(0, 76, 5))
    assert keyframe_times(75, 4, 5)[[0, -1]].tolist() == [0, 74]
    assert len(keyframe_times(75, 4, 5)) == 4
    for count, most in ((1, 20), (3, 20), (75, 1)):
        assert keyframe_times(count, most, 5).tolist() == [0]


def test_frames_lie_between_keyframes_and_all_keyframes_share_a_little() -> None:
    times, t = torch.tensor([0.0, 4, 8]), torch.arange(9)
    before, share = bracket(times, t)
    assert before.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1]
    torch.testing.assert_close(times[before] + 4 * share, t.float())
    sums = torch.zeros(3, 9, 1, 1)  # a channel for each frame
    add_frames(sums, times, t, torch.eye(9)[:, :, None, None])
    torch.testing.assert_close(sums.sum(0).flatten(), torch.ones(9))
    assert sums[0].flatten().tolist() == [1, 0.75, 0.5, 0.25, 0, 0, 0, 0, 0]
    felt = spread(sums)[:, :, 0, 0]
    assert (felt > 0).all()
    assert (felt[0].diff() < 0).all(), "less with distance"


def test_noise_is_taken_back_and_change_is_not() -> None:
    torch.manual_seed(0)
    common = torch.rand(1, 3, 32, 32)
    keys = common + 0.004 * torch.randn(2, 3, 32, 32)
    keys[1, :, :, 16:] += 0.3
    out = denoise(keys, common, torch.ones(1, 1, 32, 32), 1.0)
    assert torch.equal(out[0], common[0])
    assert torch.equal(out[1, :, :, :8], common[0, :, :, :8])
    changed = common[0, :, :, 20:] + 0.3
    assert (out[1, :, :, 20:] - changed).std() < 0.5 * (keys[1, :, :, 20:] - changed).std()


def test_each_frame_uses_its_own_image() -> None:
    images, uv = torch.rand(2, 3, 6, 5), torch.rand(2, 4, 7, 2) * 2 - 1
    out = sample(images, uv)
    for i in (0, 1):
        torch.testing.assert_close(out[i : i + 1], sample(images[i : i + 1], uv[i : i + 1]))


def test_changes_are_softened_and_detail_is_kept() -> None:
    torch.manual_seed(0)
    common = torch.rand(1, 3, 32, 32)
    keys = common.repeat(2, 1, 1, 1)
    keys[0, :, 16, 16] = 1 - common[0, :, 16, 16]  # one frame's noise
    keys[1] *= 0.5  # a shadow
    out = denoise(keys, common, torch.ones(1, 1, 32, 32), 1.0)
    assert (out[0] - common).abs().max() < 0.25 * (keys[0] - common).abs().max()
    detail = [one[:, 1:] - one[:, :-1] for one in (out[1], common[0])]
    assert (detail[0] * detail[1]).mean() > 0.5 * detail[1].square().mean()


def test_changes_are_as_strong_at_the_rim_of_what_is_known() -> None:
    common, cover = torch.rand(1, 3, 32, 32), torch.zeros(1, 1, 32, 32)
    cover[..., 16:] = 1
    out = denoise((common + 0.2 * cover).repeat(2, 1, 1, 1), common, cover, 2.0)
    torch.testing.assert_close(out[:, :, :, 16:], (common + 0.2).repeat(2, 1, 1, 1)[:, :, :, 16:],
                               atol=0.01, rtol=0)  # fmt: skip


@pytest.mark.slow
def test_large_atlases_have_fewer_keyframes_and_huge_ones_only_one(
    both: dict[int, Atlas],
) -> None:
    texels = both[1].image("background")[0, 0].numel()
    for room, pictures in ((1e9, 4), (2.5 * texels, 2), (1.5 * texels, 1)):
        atlas = Atlas((T, H, W), (H, W), (1, 2), dict(both[1].tensors), {})
        colours.split_into_keyframes(atlas, replace(BRIEF, key_texels=room))
        assert len(atlas.tensors.get("bg_keys", [0])) == pictures


# The fit


@pytest.mark.slow
def test_keyframes_reproduce_what_changes(both: dict[int, Atlas]) -> None:
    one, several = (both[most].numbers for most in (1, 20))
    assert "fg_keys" not in both[1].tensors
    assert len(both[20].tensors["fg_keys"]) == len(both[20].tensors["fg_times"]) == 4
    assert several["psnr_held_out_fg"] > one["psnr_held_out_fg"] + 2
    assert several["psnr_held_out"] > one["psnr_held_out"]
    assert several["psnr"] - several["psnr_held_out"] < 3.5, "colours leak"


@pytest.mark.slow
def test_maps_opacity_and_background_do_not_depend_on_keyframes(both: dict[int, Atlas]) -> None:
    for name, tensor in both[1].tensors.items():
        if name.startswith(("fg_knots", "bg_knots", "fg_alpha")) or name.endswith(
            ("base", "canvas")
        ):
            assert torch.equal(tensor, both[20].tensors[name]), name
    rgba = torch.rand(1, 4, *both[1].image("foreground").shape[2:])
    painted = [list(render_layer(both[most], "foreground", rgba, Silent())) for most in (1, 20)]
    assert np.array_equal(painted[0], painted[1])


@pytest.mark.slow
def test_colours_move_without_a_jump(both: dict[int, Atlas]) -> None:
    t = torch.arange(T)
    textures = both[20].texture("foreground", t)
    assert textures.shape == (T, 3, *both[20].image("foreground").shape[2:])
    seen = textures * both[20].coverage("foreground")
    steps = seen.diff(dim=0).abs().mean((1, 2, 3))
    whole = (seen[-1] - seen[0]).abs().mean()
    assert steps.max() < 3 * whole / (T - 1)
    assert both[1].texture("foreground", t).shape[0] == 1


@pytest.mark.slow
def test_the_atlas_image_is_the_most_complete_keyframe(both: dict[int, Atlas]) -> None:
    picture, keys = both[20].image("foreground"), both[20].tensors["fg_keys"]
    assert picture.shape[0] == 1
    assert any(torch.equal(picture[0].half(), key) for key in keys)
    atlas = Atlas((T, H, W), (H, W), (2, 4), dict(both[20].tensors), {})
    times = atlas.tensors["fg_times"].round().long()
    reach = torch.full_like(atlas.tensors["fg_reach"], -1e3)  # an object seen at one keyframe only
    reach[times[2]] = both[20].tensors["fg_reach"][times[2]]
    atlas.tensors["fg_reach"] = reach
    colours.pick_images(atlas)
    assert torch.equal(atlas.image("foreground")[0], keys[2])


@pytest.mark.slow
def test_what_a_keyframe_does_not_show_takes_the_nearest_colours() -> None:
    frames, keys = _turning()
    for t in range(8):
        keys[t] = np.zeros_like(keys[t])
    atlas = decompose(
        frames, [MaskPrompts("all", keys)], replace(BRIEF, key_blur=0.1), CPU, Silent()
    )
    assert torch.isfinite(atlas.tensors["fg_keys"]).all()
    first, _, third, last = atlas.tensors["fg_keys"] * atlas.coverage("foreground")[0]
    assert (first - third).abs().mean() < 0.75 * (first - last).abs().mean()


@pytest.mark.slow
def test_colours_over_time_are_kept_on_the_disk(both: dict[int, Atlas], tmp_path: Path) -> None:
    both[20].save(tmp_path / "a")
    again = Atlas.load(tmp_path / "a", CPU)
    t = torch.tensor([0, 6, T - 1])
    assert torch.equal(rebuild(again, t, (H, W))[0], rebuild(both[20], t, (H, W))[0])


@pytest.mark.slow
@pytest.mark.parametrize(("old", "most"), [(1, 1), (2, 20)])
def test_an_atlas_of_an_older_format_is_read(
    both: dict[int, Atlas], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: int, most: int
) -> None:
    atlas = both[most]
    alone = ("boxes", "distance", "reach", "alpha0", "alpha1")  # there was one object
    tensors = {
        name.removeprefix("fg_") if name[3:] in alone else name: tensor
        for name, tensor in atlas.tensors.items()
    }
    monkeypatch.setattr(files, "FORMAT", old)
    Atlas((T, H, W), atlas.work, atlas.bg_every, tensors, {}).save(tmp_path / "a")
    monkeypatch.undo()
    t = torch.tensor([3])
    again = Atlas.load(tmp_path / "a", CPU)
    assert again.layers == ("foreground", "background")
    assert torch.equal(rebuild(again, t, (H, W))[0], rebuild(atlas, t, (H, W))[0])
    assert torch.equal(again.box("foreground", t), atlas.box("foreground", t))


@pytest.mark.slow
def test_a_late_sweep_leaves_colours_that_no_frame_decides(both: dict[int, Atlas]) -> None:
    frames = torch.from_numpy(_turning()[0]).permute(0, 3, 1, 2)
    kept = torch.ones(T, 1, H, W, dtype=torch.bool)
    atlas = Atlas((T, H, W), (H, W), (2, 4), {k: v.clone() for k, v in both[1].tensors.items()}, {})
    atlas.tensors["fg_image"][:] = 0.9
    bare = atlas.coverage("foreground").expand(1, 3, -1, -1) == 0
    assert bare.any()
    colours.sweep(atlas, frames, kept, 1.2, Silent(), fill=False)
    still = atlas.coverage("foreground").expand(1, 3, -1, -1) == 0
    assert (atlas.image("foreground")[still] == 0.9).all()
    assert (atlas.image("foreground")[~still] != 0.9).float().mean() > 0.9
    colours.sweep(atlas, frames, kept, 1.2, Silent())
    assert (atlas.image("foreground")[still] != 0.9).any()
