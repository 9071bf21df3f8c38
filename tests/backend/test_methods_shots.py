"""A clip with cuts: each shot its own atlas, the results in a row, and it is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from brief import make_brief
from jobs import Job

from backend.context import Context
from backend.masks.prompts import MaskPrompts
from backend.methods import atlas, edit, mask_prompts, paint
from backend.methods.shots import each_shot, find_shots, masks_within, worst
from protocol.jobs import (
    AtlasJob,
    BoxKey,
    ClickKey,
    Clip,
    EditJob,
    JobError,
    KeyMask,
    Masks,
    PaintJob,
    Result,
    reference,
)
from scripts.make_clip import make_clip

H, W = 72, 128


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_brief(monkeypatch, (4, 4, 3), edit_steps=3)


class Shots(Job):
    """Two shots in a row: the demo's swan, then the swan mirrored in other colours."""

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        made = make_clip(frames=5, height=H, width=W, seed=3)
        other = 255 - np.roll(made.frames[:4, :, ::-1], 1, axis=-1)
        self.frames = np.concatenate([made.frames, other])
        self.clip = self.clip_of(self.frames)
        masks = np.concatenate([made.masks(), made.masks()[:4, :, ::-1]])
        self.keys = self.keys_of(dict(enumerate(masks)))


@pytest.fixture
def shots(tmp_path: Path) -> Shots:
    return Shots(tmp_path)


def edit_job(shots: Shots, keys: Callable[[KeyMask], bool], mode: str = "key") -> EditJob:
    masks = Masks(mode=mode, keys=tuple(k for k in shots.keys if keys(k)))  # type: ignore[arg-type]
    return EditJob(
        clip=shots.clip, prompt=("golden swan",), source=("swan",), preset="draft", masks=masks
    )


@pytest.mark.slow
def test_each_shot_gets_an_atlas_and_a_report(shots: Shots) -> None:
    job = AtlasJob(clip=shots.clip, masks=Masks(mode="all", keys=shots.keys), preset="draft")
    result = atlas.run(job, shots.ctx)
    assert 0 < result.numbers["mask_confidence"] <= 1, "masks for all frames are judged too"
    assert 0 <= result.numbers["mask_worst_frame"] < 9
    assert result.numbers["shots"] == 2
    assert {"shot_1_report", "shot_2_report", "shot_2_foreground_atlas"} <= result.pictures.keys()
    assert "frame 6" in shots.notes()


@pytest.mark.slow
def test_layers_of_all_shots_come_in_a_row(shots: Shots) -> None:
    result = edit.run(edit_job(shots, lambda k: True, "all"), shots.ctx)
    assert len(result.layer) == 9
    for layer, key in zip(shots.layer(result), shots.keys, strict=True):
        alpha, mask = layer[..., 3], shots.ctx.load(key.mask)[..., 0] > 127
        assert alpha[~mask].mean() < alpha[mask].mean()


@pytest.mark.slow
def test_a_shot_in_which_nothing_is_found_stays_empty_and_says_so(shots: Shots) -> None:
    """The second shot stands still, so nothing moves in it and no mask was given."""
    still = shots.ctx.store(np.ascontiguousarray(shots.frames[6]))
    clip = Clip(frames=(*shots.clip.frames[:5], *[still] * 4))
    job = msgspec.structs.replace(edit_job(shots, lambda k: k.frame == 2), clip=clip)
    result = edit.run(job, shots.ctx)
    layers = shots.layer(result)
    assert layers[:5].any()
    assert not layers[5:].any()
    assert "stays empty" in shots.notes()
    assert "Shot 2 of 2, frames 6 to 9 has no mask" in shots.notes()


def test_paint_wants_one_shot(shots: Shots) -> None:
    image = np.zeros((H, W, 4), np.uint8)
    image[30:40, 40:60] = 255
    job = PaintJob(
        clip=shots.clip, image=shots.ctx.store(image), frame=0, preset="draft",
        masks=Masks(mode="all", keys=shots.keys),
    )  # fmt: skip
    with pytest.raises(JobError) as caught:
        paint.run(job, shots.ctx)
    assert caught.value.problem.code == "several_shots"


def test_masks_go_to_the_shot_they_are_in() -> None:
    mask = reference(np.zeros((4, 4, 1), np.uint8))
    masks = Masks(
        mode="key",
        keys=(KeyMask(frame=1, mask=mask), KeyMask(frame=7, mask=mask)),
        boxes=(BoxKey(frame=6, x0=0, y0=0, x1=2, y1=2),),
    )
    second = masks_within(masks, 5, 9)
    assert second.mode == "key"
    assert [k.frame for k in second.keys] == [2]
    assert [b.frame for b in second.boxes] == [1]
    assert masks_within(masks, 9, 12).mode == "auto"
    assert masks_within(Masks(mode="none"), 0, 3).mode == "none"


def test_clicks_beside_the_object_alone_leave_a_shot_to_be_looked_at() -> None:
    clicks = (ClickKey(frame=1, x=3, y=3), ClickKey(frame=7, x=1, y=1, inside=False))
    masks = Masks(mode="segment", clicks=clicks, weights="/w")
    assert masks_within(masks, 0, 5).clicks == clicks[:1]
    assert masks_within(masks, 5, 9) == Masks(mode="auto", weights="/w")
    box = BoxKey(frame=6, x0=0, y0=0, x1=2, y1=2)
    assert masks_within(msgspec.structs.replace(masks, boxes=(box,)), 5, 9).mode == "segment"


def ran(
    shots: Shots, job: EditJob, without: tuple[int, ...] = (1,)
) -> tuple[Result, list[tuple[int, str]]]:
    """A job whose shots of these numbers have no object; and first frame and mode of each run."""
    runs: list[tuple[int, str]] = []

    def run_one(shot: EditJob, frames: np.ndarray, ctx: Context) -> Result:
        first = ctx.first_frame
        runs.append((first, shot.masks.mode))
        if (0 if first == 0 else 1) in without and shot.masks.mode != "none":
            raise JobError("no_foreground", "Nothing moves.", "Give a mask.")
        numbers = {"mask_confidence_worst": 0.9 - 0.1 * first, "mask_worst_frame": 2.0}
        return Result(layer=shot.clip.frames, numbers=numbers)

    return each_shot(job, shots.frames, shots.ctx, run_one), runs


def test_a_background_without_an_object_is_edited_as_background_and_it_is_said(
    shots: Shots,
) -> None:
    job = msgspec.structs.replace(edit_job(shots, lambda k: k.frame == 2), layer="background")
    result, runs = ran(shots, job)
    assert runs == [(0, "key"), (5, "auto"), (5, "none")]
    assert result.layer == shots.clip.frames
    assert (
        "Shot 2 of 2, frames 6 to 9: Nothing moves. The whole shot is background" in shots.notes()
    )
    with pytest.raises(JobError, match="Nothing moves"):
        ran(shots, job, without=(0, 1))


def test_a_shot_without_an_object_has_a_background_alone_of_both(shots: Shots) -> None:
    job = msgspec.structs.replace(
        edit_job(shots, lambda k: k.frame == 2),
        layer="both",
        background=("snow",),
        settings={"screen": ["gold"]},
    )
    asked: list[EditJob] = []

    def run_one(shot: EditJob, frames: np.ndarray, ctx: Context) -> Result:
        asked.append(shot)
        if shot.masks.mode == "auto":
            raise JobError("no_foreground", "Nothing moves.", "Give a mask.")
        refs = shot.clip.frames
        parts = {"foreground": refs, "background": refs} if shot.layer == "both" else {}
        return Result(layer=refs, parts=parts)

    result = each_shot(job, shots.frames, shots.ctx, run_one)
    bare = asked[-1]
    assert (bare.layer, bare.prompt, bare.settings) == ("background", ("snow",), {})
    assert bare.masks.mode == "none"
    assert result.layer == result.parts["background"] == shots.clip.frames
    assert result.parts["foreground"][:5] == shots.clip.frames[:5]
    assert not any(shots.ctx.load(ref).any() for ref in result.parts["foreground"][5:])


def test_an_object_that_is_not_in_a_shot_leaves_its_layer_empty(shots: Shots) -> None:
    result, runs = ran(shots, edit_job(shots, lambda k: k.frame == 2))
    assert runs == [(0, "key"), (5, "auto")]
    assert shots.ctx.load(result.layer[-1]).max() == 0
    assert "Its layer stays empty" in shots.notes()


def test_the_worst_frame_is_counted_in_the_whole_clip(shots: Shots) -> None:
    result, _ = ran(shots, edit_job(shots, lambda k: True, "all"), without=())
    assert result.numbers["mask_worst_frame"] == 5 + 2
    assert result.numbers["mask_confidence_worst"] == pytest.approx(0.4)


def test_notes_name_frames_of_the_artists_timeline(shots: Shots) -> None:
    """A strip at frame 101 is cut at frame 106, not at frame 6 of the clip."""
    shots.ctx.number_from(101)
    ran(shots, edit_job(shots, lambda k: True, "all"), without=())
    assert "at frame 106;" in shots.notes()
    (_first, second) = find_shots(shots.frames, shots.ctx)
    assert second.name.startswith("Shot 2 of 2, frames 106 to")
    with shots.ctx.in_shot(5):
        assert shots.ctx.first_frame == 105
    assert shots.ctx.first_frame == 100


@pytest.mark.slow
def test_notes_of_a_shot_count_frames_in_the_whole_clip(
    shots: Shots, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    real = mask_prompts.prompts_of

    def prompts_of(masks: Masks, size: tuple[int, int], ctx: Context) -> MaskPrompts:
        asked.append(ctx.first_frame)
        return real(masks, size, ctx)

    monkeypatch.setattr(atlas, "prompts_of", prompts_of)
    atlas.run(AtlasJob(clip=shots.clip, masks=Masks(mode="all", keys=shots.keys)), shots.ctx)
    assert asked == [0, 5]


def test_the_worst_shot_speaks_for_the_clip() -> None:
    joined = worst([{"psnr": 30, "slip_fg": 1, "seconds": 2}, {"psnr": 25, "seconds": 3}])
    assert joined == {"psnr": 25, "slip_fg": 1, "seconds": 5}
