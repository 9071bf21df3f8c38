"""Several objects that pass in front of each other: quality, and which hides which."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from crossing import Crossing

from backend.atlas import engines
from backend.atlas.brush import paint_into_atlas
from backend.atlas.explicit.config import AtlasConfig, preset
from backend.atlas.explicit.fit import decompose
from backend.atlas.explicit.model import Atlas
from backend.atlas.layers import shares, visibility
from backend.atlas.render import render_layer
from backend.atlas.report import sheet
from backend.checkpoint import Checkpoint
from backend.masks.objects import resolve_objects
from backend.masks.prompts import MaskPrompts
from backend.motion import flow
from backend.progress import Cancelled, Silent
from protocol.jobs import JobError

H, W, T = 96, 160, 12
CPU = torch.device("cpu")
SHORT = replace(preset("draft"), uv_steps=40, half_steps=40, full_steps=40)
TINY = replace(preset("draft"), long_side=96, uv_steps=3, half_steps=4, full_steps=4, sweeps=1)


class Diary(Silent):
    """Records notes, and may stop at a step of the fit."""

    def __init__(self, stop: int = -1) -> None:
        self.stop = stop
        self.notes: list[str] = []

    def step(self, phase: str, done: int, total: int) -> None:
        if phase == "Fitting the atlas" and done == self.stop:
            raise Cancelled

    def note(self, text: str) -> None:
        self.notes.append(text)


def given(
    clip: Crossing, mode: str = "all", frames: tuple[int, ...] = tuple(range(T))
) -> list[MaskPrompts]:
    return [
        MaskPrompts(mode, {t: mask for t, mask in clip.masks(layer).items() if t in frames})
        for layer in clip.layers[:-1]
    ]


def run(
    clip: Crossing,
    objects: list[MaskPrompts],
    config: AtlasConfig = SHORT,
    report: Silent | None = None,
    checkpoint: Checkpoint | None = None,
) -> Atlas:
    return decompose(clip.frames, objects, config, CPU, report or Silent(), checkpoint)


@pytest.fixture(scope="module")
def three() -> tuple[Crossing, Atlas]:
    """A clip of three objects and its atlas; the smaller clips below have two."""
    clip = Crossing(3, T, H, W)
    return clip, run(clip, given(clip))


def seen(atlas: Atlas, layer: str) -> np.ndarray:
    return visibility(atlas, layer, torch.arange(atlas.frames))[:, 0].numpy()


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


# Quality


@pytest.mark.slow
def test_the_atlas_explains_the_clip(three: tuple[Crossing, Atlas]) -> None:
    clip, atlas = three
    assert atlas.layers == clip.layers
    assert atlas.numbers["psnr"] > 36
    assert atlas.numbers["psnr"] - atlas.numbers["psnr_held_out"] < 4.5, "colours leak"
    assert min(atlas.numbers["psnr_fg"], atlas.numbers["psnr_fg2"]) > 38


@pytest.mark.slow
def test_what_is_seen_of_each_layer_agrees_with_the_truth(three: tuple[Crossing, Atlas]) -> None:
    clip, atlas = three
    for layer, least in zip(clip.layers, (0.97, 0.96, 0.9), strict=False):
        found, truth = seen(atlas, layer), clip.share(layer)
        assert overlap(found > 0.5, truth > 0.5) > least, layer
        assert np.abs(found - truth).mean() < 0.012, layer


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["foreground", "foreground_2"])
def test_a_painted_point_is_carried_through_the_crossing(
    three: tuple[Crossing, Atlas], layer: str
) -> None:
    clip, atlas = three
    inside = [
        cv2.erode((one > 0.99).astype(np.uint8), np.ones((3, 3))) for one in clip.share(layer)
    ]
    y, x = np.nonzero(inside[0])
    here = np.stack([x, y], -1) + 0.5
    there = clip.track(here, 0, T - 1, layer)
    shown = inside[-1][there[:, 1].astype(int), there[:, 0].astype(int)] > 0
    here, there = here[shown], there[shown]
    assert len(here) > 300

    def look_up(t: int, points: np.ndarray) -> np.ndarray:
        uv = atlas.uv(layer, torch.tensor([t])).permute(0, 3, 1, 2)
        at = torch.tensor(points / (W, H) * 2 - 1, dtype=torch.float32)[None, None]
        return F.grid_sample(uv, at, align_corners=False)[0, :, 0].T.double().numpy()

    wrong = look_up(0, here) - look_up(T - 1, there)
    halves = 0.5 * np.eye(2)
    slopes = [look_up(T - 1, there + half) - look_up(T - 1, there - half) for half in halves]
    pixels = np.linalg.solve(np.stack(slopes, -1), wrong[..., None])[..., 0]
    error = np.linalg.norm(pixels, axis=-1)
    assert np.median(error) < 0.3
    assert error.mean() < 0.6


@pytest.fixture(scope="module")
def two() -> tuple[Crossing, flow.Flows]:
    """A clip of two objects and its optical flow."""
    clip = Crossing(2, T, H, W)
    return clip, flow.estimate(clip.frames, (1, 2, 4, 8), 1.0, Silent())


@pytest.mark.slow
@pytest.mark.parametrize(("keys", "least"), [((0,), 0.85), ((0, T - 1), 0.95)])
def test_masks_on_one_or_two_frames_are_carried_while_they_pass(
    two: tuple[Crossing, flow.Flows], keys: tuple[int, ...], least: float
) -> None:
    clip, flows = two
    diary = Diary()
    masks, numbers = resolve_objects(clip.frames, given(clip, "key", keys), flows, diary)
    for layer, mask in zip(clip.layers, masks, strict=False):
        assert overlap(mask > 0.5, clip.share(layer) > 0.5) > least, layer
    assert numbers["mask_confidence_2"] > 0.8, "hidden is not doubtful"
    assert all(note.startswith("Object ") for note in diary.notes)


# Who hides whom


@pytest.mark.slow
def test_shares_are_a_partition_front_to_back(three: tuple[Crossing, Atlas]) -> None:
    clip, atlas = three
    t = torch.arange(T)
    parts = [visibility(atlas, layer, t) for layer in clip.layers]
    torch.testing.assert_close(sum(parts), torch.ones(T, 1, H, W))
    front = atlas.opacity("foreground", t)
    assert torch.equal(parts[0], front)
    assert (parts[1][front == 1] == 0).all()
    hidden = atlas.opacity("foreground_2", t)[front == 1]
    assert (hidden > 0.5).any(), "the one behind continues under the one in front"


@pytest.mark.slow
def test_paint_on_an_object_behind_never_covers_what_is_in_front(
    three: tuple[Crossing, Atlas],
) -> None:
    clip, atlas = three
    core = np.zeros((T, H, W), bool)
    total = np.zeros((T, H, W))
    for layer in clip.layers:
        rgba = torch.ones(1, 4, 16, 16)
        out = np.stack(list(render_layer(atlas, layer, rgba, Silent())))[..., 3]
        assert core.any() == (layer != "foreground")
        assert (out[core] == 0).all(), layer
        assert (out[clip.share(layer) > 0.999] > 200).mean() > 0.9, layer
        solid = (clip.share(layer) > 0.99).astype(np.uint8)
        # Deeper than the band in which opacity is free.
        core |= np.stack([cv2.erode(one, np.ones((13, 13))) for one in solid]) > 0
        total += out
    assert np.abs(total - 255).max() <= 2, "no seam: together they cover the frame"


@pytest.mark.slow
def test_the_edge_in_front_shows_the_object_behind_not_the_background(
    three: tuple[Crossing, Atlas],
) -> None:
    """Where the two overlap, the background must not shine through along the edge."""
    clip, atlas = three
    rim = (clip.share("foreground") > 0.05) & (clip.share("foreground") < 0.95)
    behind = np.stack([cv2.dilate(one, np.ones((3, 3))) for one in clip.share("foreground_2")])
    rim &= (behind > 0.9) & (clip.share("background") < 0.01)
    assert rim.sum() > 100
    assert seen(atlas, "background")[rim].mean() < 0.05


@pytest.mark.slow
def test_paint_on_a_frame_stays_on_the_object_behind(three: tuple[Crossing, Atlas]) -> None:
    clip, atlas = three
    t = T // 3
    paint = torch.ones(1, 4, H, W)  # over the whole frame
    painting = paint_into_atlas(atlas, "foreground_2", paint, t, Silent())
    assert painting.error < 3
    share = clip.share("foreground_2")
    for index, out in enumerate(
        render_layer(atlas, "foreground_2", painting.rgba, Silent(), window=painting.window)
    ):
        assert out[..., 3][share[index] < 0.001].mean() < 1.5
    assert painting.inside == pytest.approx(float(share[t].mean()), abs=0.02)
    front = np.where(clip.share("foreground")[t] > 0.999, 1.0, 0.0)
    on_front = paint * torch.from_numpy(cv2.erode(front, np.ones((9, 9)))).float()
    with pytest.raises(JobError, match="outside the visible part of the foreground_2") as caught:
        paint_into_atlas(atlas, "foreground_2", on_front, t, Silent())
    assert caught.value.problem.code == "paint_outside"


@pytest.mark.slow
def test_the_sheet_shows_every_layer(three: tuple[Crossing, Atlas]) -> None:
    clip, atlas = three
    tiles = 1 + 3 + 4 + 1
    assert sheet(atlas, clip.frames).shape == (30 + 4 * 152, tiles * 264, 3)


# What an Atlas promises


@pytest.mark.slow
def test_saved_and_loaded_it_is_the_same(three: tuple[Crossing, Atlas], tmp_path: Path) -> None:
    clip, atlas = three
    atlas.save(tmp_path / "a")
    again = engines.load_atlas(tmp_path / "a", CPU)
    assert again.layers == clip.layers
    assert again.numbers == atlas.numbers
    t = torch.tensor([0, 7])
    asks: list[Callable[[Atlas, str], torch.Tensor]] = [
        lambda a, k: a.uv(k, t),
        lambda a, k: a.image(k),
        lambda a, k: a.texture(k, t),
        lambda a, k: visibility(a, k, t),
    ]
    for layer in clip.layers:
        for ask in asks:
            assert torch.equal(ask(atlas, layer), ask(again, layer))  # type: ignore[arg-type]


@pytest.mark.slow
def test_names_are_those_of_its_layers(three: tuple[Crossing, Atlas]) -> None:
    _, atlas = three
    own = {"fg": set(), "fg2": set(), "fg3": set(), "bg": set()}  # type: ignore[var-annotated]
    for name in atlas.tensors:
        k, _, kind = name.partition("_")
        own[k].add(kind)
    assert own["fg"] == own["fg2"] == own["fg3"], "no object is special"
    with pytest.raises(ValueError, match="layer is one of"):
        visibility(atlas, "foreground_4", torch.tensor([0]))
    with pytest.raises(ValueError, match="an object is one of"):
        atlas.opacity("background", torch.tensor([0]))


@pytest.mark.slow
def test_an_interrupted_fit_of_several_ends_in_the_same_bytes(tmp_path: Path) -> None:
    clip = Crossing(2, 6, 64, 96)
    whole = run(clip, given(clip, "key", (0,)), TINY)
    checkpoint = Checkpoint(tmp_path / "fit.part", every=0)
    with pytest.raises(Cancelled):
        run(clip, given(clip, "key", (0,)), TINY, Diary(6), checkpoint)
    diary = Diary()
    resumed = run(clip, given(clip, "key", (0,)), TINY, diary, checkpoint)
    assert "resumes" in diary.notes[0]
    assert resumed.numbers == whole.numbers
    assert resumed.numbers["mask_confidence_2"] > 0
    for name, value in whole.tensors.items():
        assert torch.equal(value, resumed.tensors[name]), name


# Hard input


@pytest.fixture(scope="module")
def small() -> Crossing:
    return Crossing(2, 5, 64, 96)


def sound(atlas: Atlas) -> None:
    for name, tensor in atlas.tensors.items():
        assert torch.isfinite(tensor.float()).all(), name
    assert all(np.isfinite(v) for v in atlas.numbers.values())


@pytest.mark.slow
def test_the_front_one_wins_where_masks_overlap(small: Crossing) -> None:
    everywhere = {t: np.full((64, 96), 255, np.uint8) for t in range(5)}
    first = given(small)[0]
    atlas = run(small, [first, MaskPrompts("all", everywhere)], TINY)
    sound(atlas)
    front = small.share("foreground") > 0.999
    assert seen(atlas, "foreground")[front].mean() > 0.95
    assert seen(atlas, "foreground_2")[front].mean() < 0.05
    assert seen(atlas, "background").max() < 0.6


@pytest.mark.slow
def test_frames_without_the_object_behind(small: Crossing) -> None:
    first, second = given(small)
    for t in (0, 3, 4):
        second.keys[t] = np.zeros_like(second.keys[t])
    atlas = run(small, [first, second], TINY)
    sound(atlas)
    assert atlas.opacity("foreground_2", torch.tensor([0, 3])).max() == 0
    assert atlas.opacity("foreground_2", torch.tensor([1])).max() > 0.9
    assert atlas.box("foreground_2", torch.tensor([3])).tolist() == [[0, 0, 0, 0]]


@pytest.mark.slow
def test_an_object_of_mode_none_is_empty(small: Crossing) -> None:
    atlas = run(small, [given(small)[0], MaskPrompts("none")], TINY)
    sound(atlas)
    assert atlas.layers == small.layers
    assert seen(atlas, "foreground_2").max() == 0


def test_one_frame_of_two_objects(small: Crossing) -> None:
    atlas = decompose(small.frames[:1], given(small, frames=(0,)), TINY, CPU, Silent())
    sound(atlas)
    assert overlap(seen(atlas, "foreground_2")[0] > 0.5, small.share("foreground_2")[0] > 0.5) > 0.9


EMPTY = np.zeros((64, 96), np.uint8)
FULL = np.full((64, 96), 255, np.uint8)


@pytest.mark.parametrize(
    ("code", "front", "behind", "words"),
    [
        ("no_foreground_2", {}, {0: EMPTY}, r"Object 2 \(foreground_2\): All masks"),
        (
            "no_foreground_2",
            {0: FULL},
            {0: FULL},
            r"Object 2 \(foreground_2\): The objects in front",
        ),
        ("no_foreground", {0: EMPTY}, {}, r"Object 1 \(foreground\)"),
        ("mask_size", {}, {0: EMPTY[:, 1:]}, r"Object 2 \(foreground_2\): The mask of frame"),
        ("mask_frame", {}, {9: FULL}, r"Object 2 \(foreground_2\): There is a mask for frame 10"),
    ],
)
def test_an_error_says_which_object_it_is_about(
    small: Crossing,
    code: str,
    front: dict[int, np.ndarray],
    behind: dict[int, np.ndarray],
    words: str,
) -> None:
    first, second = given(small, "key", (0,))
    objects = [MaskPrompts("key", front or first.keys), MaskPrompts("key", behind or second.keys)]
    with pytest.raises(JobError, match=words) as caught:
        run(small, objects, TINY)
    assert caught.value.problem.code == code
    assert caught.value.problem.hint


def test_the_networks_know_one_object(small: Crossing) -> None:
    with pytest.raises(JobError, match="takes one object") as caught:
        engines.decompose("mlp", "draft", 0, small.frames, given(small), CPU, Silent())
    assert "explicit" in caught.value.problem.hint


def test_shares_want_an_object() -> None:
    with pytest.raises(ValueError, match="at least one object"):
        shares({})
