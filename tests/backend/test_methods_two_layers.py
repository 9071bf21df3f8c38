"""Foreground and background in one job, and edits that start from earlier ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from brief import make_brief
from jobs import Job

from backend import media
from backend.context import Context
from backend.edit import recipes
from backend.edit.train import Setup
from backend.executors.base import Step
from backend.methods import edit
from backend.methods.warm_starts import sweep
from backend.painters import text2live
from protocol.jobs import JobError, Masks, ObjectRef, Result
from scripts.make_clip import SyntheticClip, make_clip

pytestmark = pytest.mark.usefixtures("shared_atlases")

STEPS = 4
FIRST, SECOND = "1" * 32, "2" * 32


@pytest.fixture(scope="module")
def shot() -> SyntheticClip:
    return make_clip(frames=4, height=72, width=128, seed=3)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_brief(monkeypatch, (6, 6, 4), edit_steps=STEPS)


def assert_one_over_the_other(job: Job, result: Result, shot: SyntheticClip) -> None:
    count = len(result.layer)
    front, back = job.layer(result, "foreground"), job.layer(result, "background")
    assert front.shape == back.shape == (count, 72, 128, 4)
    far, deep = shot.alpha[:count] == 0, shot.alpha[:count] == 1
    assert front[..., 3][deep].mean() > 2 * front[..., 3][far].mean()
    assert back[..., 3][far].mean() > 2 * back[..., 3][deep].mean()
    for frame, one, behind, joined in zip(
        shot.frames, front, back, job.layer(result), strict=False
    ):
        twice = media.composite(media.composite(frame, behind), one).astype(int)
        assert np.abs(media.composite(frame, joined).astype(int) - twice).max() <= 2


@pytest.mark.slow
def test_both_layers_of_a_clip_are_edited_in_one_job(tmp_path: Path, shot: SyntheticClip) -> None:
    job = Job(tmp_path, FIRST)
    result = edit.run(job.swan_edit(shot, layer="both", background=("snow",)), job.ctx)
    assert len(result.layer) == 4
    assert_one_over_the_other(job, result, shot)
    assert {"foreground_atlas", "edited_background_atlas"} <= result.pictures.keys()
    steps = [(r.done, r.total) for r in job.reports if isinstance(r, Step) and r.phase == "edit"]
    assert {total for _, total in steps} == {2 * STEPS}
    assert steps == sorted(steps)
    assert steps[-1] == (2 * STEPS, 2 * STEPS)


def parts_as_made(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, tuple[ObjectRef, ...]]]:
    """The parts of every job of both layers, before they are fitted to each other."""
    made: list[dict[str, tuple[ObjectRef, ...]]] = []
    real = edit.join_layers

    def joined(parts: dict[str, tuple[ObjectRef, ...]], ctx: Context) -> object:
        made.append(parts)
        return real(parts, ctx)

    monkeypatch.setattr(edit, "join_layers", joined)
    return made


@pytest.mark.slow
def test_no_seam_is_left_round_the_object(
    tmp_path: Path, shot: SyntheticClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[dict[str, tuple[ObjectRef, ...]]] = []
    real = edit.join_layers
    monkeypatch.setattr(
        edit, "join_layers", lambda parts, ctx: made.append(parts) or real(parts, ctx)
    )
    job = Job(tmp_path, FIRST)
    result = edit.run(job.swan_edit(shot, layer="both"), job.ctx)
    shares = [
        np.stack([job.ctx.load(ref)[..., 3] for ref in refs]) / 255.0 for refs in made[0].values()
    ]
    whole = job.layer(result)[..., 3] / 255.0
    shared = (shares[0] > 0.1) & (shares[1] > 0.1) & (sum(shares) < 1)
    assert shared.any()
    np.testing.assert_allclose(whole[shared], sum(shares)[shared], atol=0.01)


def test_both_layers_of_a_still(tmp_path: Path, shot: SyntheticClip) -> None:
    job = Job(tmp_path, FIRST)
    result = edit.run(job.swan_edit(shot, frames=1, layer="both"), job.ctx)
    assert_one_over_the_other(job, result, shot)


def test_both_layers_of_a_still_without_a_word_of_the_object_is_refused(
    tmp_path: Path, shot: SyntheticClip
) -> None:
    job = Job(tmp_path, FIRST)
    bare = msgspec.structs.replace(job.swan_edit(shot, frames=1, layer="both"), masks=Masks())
    with pytest.raises(JobError) as why:
        edit.run(bare, job.ctx)
    assert why.value.problem.code == "no_foreground"


def caught(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> list[tuple[np.ndarray, str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]]:
    """Every call of an edit function: pixels, layer, prompt, source, screen."""
    calls = []
    real = getattr(text2live, name)

    def spying(pixels: np.ndarray, *rest: object) -> object:
        layer = rest[1] if name == "edit_atlas" else ""
        texts = next(one.texts for one in rest if isinstance(one, Setup))
        calls.append((pixels, layer, texts.prompt, texts.source, texts.screen))
        return real(pixels, *rest)

    monkeypatch.setattr(text2live, name, spying)
    return calls


@pytest.mark.slow
def test_the_object_is_judged_over_the_edited_background(
    tmp_path: Path, shot: SyntheticClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, made = caught(monkeypatch, "edit_atlas"), parts_as_made(monkeypatch)
    job = Job(tmp_path, FIRST)
    asked = job.swan_edit(
        shot,
        layer="both",
        settings={"screen": ["gold"]},
        background=("snow",),
        background_source=("wall",),
    )
    edit.run(asked, job.ctx)
    (first, *back), (second, *front) = calls
    assert back == ["background", ("snow",), ("wall",), ()]
    assert front == ["foreground", ("golden swan",), ("blue swan",), ("gold",)]
    np.testing.assert_array_equal(first, shot.frames)
    behind = [job.ctx.load(ref) for ref in made[0]["background"]]
    for frame, layer, seen in zip(shot.frames, behind, second, strict=True):
        np.testing.assert_array_equal(seen, media.composite(frame, layer))


@pytest.mark.slow
def test_a_background_without_a_prompt_shows_the_objects(
    tmp_path: Path, shot: SyntheticClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = caught(monkeypatch, "edit_image")
    job = Job(tmp_path, FIRST)
    edit.run(job.swan_edit(shot, frames=1, layer="both", settings={"screen": ["gold"]}), job.ctx)
    assert [call[2:] for call in calls] == [
        (("golden swan",), (), ("gold",)),
        (("golden swan",), ("blue swan",), ("gold",)),
    ]


# --- a later edit --------------------------------------------------------------------------------


def edited(data: Path, shot: SyntheticClip, job: str = FIRST, **fields: object) -> Result:
    one = Job(data, job)
    return edit.run(one.swan_edit(shot, **fields), one.ctx)


def steps_of(job: Job) -> int:
    return max(r.total for r in job.reports if isinstance(r, Step) and r.phase == "edit")


@pytest.mark.slow
@pytest.mark.parametrize("frames", [1, 4])
def test_a_later_edit_starts_where_the_earlier_one_ended(
    tmp_path: Path, shot: SyntheticClip, frames: int
) -> None:
    edited(tmp_path, shot, frames=frames)
    again = Job(tmp_path, SECOND)
    result = edit.run(again.swan_edit(shot, frames=frames, after=FIRST), again.ctx)
    assert steps_of(again) == round(0.3 * STEPS)
    copy = edited(tmp_path, shot, "3" * 32, frames=frames, after=FIRST)
    assert copy.layer == result.layer, "the same seed and the same earlier edit"
    other = edited(tmp_path / "other", shot, frames=frames, seed=5)
    assert other.layer != result.layer
    moved = edited(tmp_path / "other", shot, SECOND, frames=frames, after=FIRST)
    assert moved.layer != result.layer, "another earlier edit"


@pytest.mark.slow
def test_an_edit_of_both_goes_on_from_both(tmp_path: Path, shot: SyntheticClip) -> None:
    edited(tmp_path, shot, layer="both")
    again = Job(tmp_path, SECOND)
    result = edit.run(again.swan_edit(shot, layer="both", after=FIRST), again.ctx)
    assert steps_of(again) == 2 * round(0.3 * STEPS)
    assert_one_over_the_other(again, result, shot)


@pytest.mark.slow
def test_a_layer_that_was_not_edited_is_begun_afresh_and_it_is_said(
    tmp_path: Path, shot: SyntheticClip
) -> None:
    edited(tmp_path, shot)
    again = Job(tmp_path, SECOND)
    edit.run(again.swan_edit(shot, layer="background", after=FIRST), again.ctx)
    assert steps_of(again) == STEPS
    assert "did not cover the background" in again.notes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda folder: None, "no_earlier_edit"),
        (lambda folder: next(folder.iterdir()).write_bytes(b"x"), "generator_damaged"),
    ],
)
def test_an_earlier_edit_that_is_not_there_is_an_error(
    tmp_path: Path, shot: SyntheticClip, spoil: Callable[[Path], object], code: str
) -> None:
    edited(tmp_path, shot)
    spoil(tmp_path / "generators" / FIRST)
    after = "9" * 32 if code == "no_earlier_edit" else FIRST
    with pytest.raises(JobError) as why:
        edited(tmp_path, shot, SECOND, after=after)
    assert why.value.problem.code == code
    assert why.value.problem.hint.endswith(".")


@pytest.mark.slow
def test_an_earlier_edit_of_another_size_is_an_error(
    tmp_path: Path, shot: SyntheticClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited(tmp_path, shot)
    real = recipes.config_of
    monkeypatch.setattr(
        recipes,
        "config_of",
        lambda *a, **k: replace(real(*a, **k), channels=6),
    )
    with pytest.raises(JobError, match="another size"):
        edited(tmp_path, shot, SECOND, after=FIRST)


def test_only_the_last_edits_are_kept(tmp_path: Path) -> None:
    folders = [tmp_path / str(n) for n in range(5)]
    for age, folder in enumerate(folders):
        folder.mkdir()
        os.utime(folder, (1e9 + age, 1e9 + age))
    sweep(tmp_path, 2)
    assert sorted(tmp_path.iterdir()) == folders[-2:]
