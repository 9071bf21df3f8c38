"""The two methods on a small clip: atlas kept and reused, stills, cancel in every phase."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from brief import make_brief
from jobs import Job
from msgspec.structs import replace

from backend.edit.config import EditTexts
from backend.edit.train import Setup
from backend.executors.base import AnyReport, Previewed, Step
from backend.methods import atlas, edit
from backend.painters import text2live
from backend.progress import Cancelled
from protocol.jobs import AtlasJob, Clip, ClipModel, EditJob, JobError
from scripts.make_clip import SyntheticClip, make_clip


@pytest.fixture(scope="module")
def shot() -> SyntheticClip:
    return make_clip(frames=6, height=72, width=128, seed=3)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_brief(monkeypatch, (6, 6, 4), edit_steps=6)


def atlas_job(job: EditJob) -> AtlasJob:
    return AtlasJob(clip=job.clip, masks=job.masks, preset=job.preset, seed=job.seed)


@pytest.mark.slow
@pytest.mark.usefixtures("shared_atlases")
def test_an_edit_gives_a_layer_for_every_frame_at_the_clips_own_size(
    tmp_path: Path, shot: SyntheticClip
) -> None:
    job = Job(tmp_path)
    result = edit.run(job.swan_edit(shot), job.ctx)
    layers = job.layer(result)
    assert layers.shape == (6, 72, 128, 4)
    assert layers.dtype == np.uint8
    far = shot.alpha == 0
    assert (layers[..., 3][far] == 0).mean() > 0.8
    assert {"atlas", "edited_atlas"} <= set(result.pictures)
    assert result.numbers["seconds"] > 0
    assert any(isinstance(report, Previewed) for report in job.reports)


@pytest.mark.slow
def test_the_atlas_of_a_shot_is_made_once(tmp_path: Path, shot: SyntheticClip) -> None:
    first, second, third = Job(tmp_path), Job(tmp_path), Job(tmp_path)
    wanted = first.swan_edit(shot)
    made = atlas.run(atlas_job(wanted), first.ctx)
    assert set(made.pictures) == {"foreground_atlas", "background_atlas", "report"}
    edit.run(wanted, second.ctx)
    assert "atlas from an earlier job" in second.notes()
    other = third.swan_edit(shot, seed=1)
    edit.run(other, third.ctx)
    assert "atlas from an earlier job" not in third.notes()
    assert len(list((tmp_path / "atlases").iterdir())) == 2


@pytest.mark.slow
def test_a_damaged_atlas_is_made_anew(tmp_path: Path, shot: SyntheticClip) -> None:
    first, second = Job(tmp_path), Job(tmp_path)
    wanted = atlas_job(first.swan_edit(shot))
    made = atlas.run(wanted, first.ctx)
    (folder,) = (tmp_path / "atlases").iterdir()
    (tensors,) = folder.glob("*.safetensors")
    tensors.write_bytes(tensors.read_bytes()[:100])
    assert atlas.run(wanted, second.ctx).pictures == made.pictures
    assert "is made again" in second.notes()


@pytest.mark.slow
@pytest.mark.usefixtures("shared_atlases")
def test_a_background_layer_stays_behind_the_object(tmp_path: Path, shot: SyntheticClip) -> None:
    job = Job(tmp_path)
    result = edit.run(job.swan_edit(shot, layer="background"), job.ctx)
    alpha = job.layer(result)[..., 3]
    solid = np.stack([cv2.erode(a, np.ones((9, 9))) for a in shot.alpha]) > 0.99
    assert alpha[shot.alpha == 0].max() > 100
    assert alpha[solid].mean() < 10


@pytest.mark.slow
def test_the_same_seed_gives_the_same_layer(tmp_path: Path, shot: SyntheticClip) -> None:
    layers = []
    for data in (tmp_path / "a", tmp_path / "b"):
        job = Job(data)
        layers.append(edit.run(job.swan_edit(shot), job.ctx).layer)
    assert layers[0] == layers[1]


def test_one_frame_is_edited_as_a_still_inside_its_mask(
    tmp_path: Path, shot: SyntheticClip
) -> None:
    job = Job(tmp_path)
    result = edit.run(job.swan_edit(shot, frames=1), job.ctx)
    layer = job.ctx.load(result.layer[0])
    assert layer.shape == (72, 128, 4)
    assert not layer[..., 3][shot.alpha[0] == 0].any()
    assert "one frame" in job.notes()
    assert not (tmp_path / "atlases").exists()


def test_all_five_texts_reach_the_edit(
    tmp_path: Path, shot: SyntheticClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {name: (f"the {name}",) for name in ("screen", "region", "avoid")}
    caught = []

    def edit_image(image: np.ndarray, setup: Setup, mask: object) -> np.ndarray:
        caught.append(setup.texts)
        return np.zeros((*image.shape[:2], 4), np.uint8)

    monkeypatch.setattr(text2live, "edit_image", edit_image)
    job = Job(tmp_path)
    settings = {"screen": texts["screen"]}
    wanted = job.swan_edit(shot, frames=1, region=texts["region"], avoid=texts["avoid"])
    edit.run(replace(wanted, settings=settings), job.ctx)
    assert caught == [EditTexts(prompt=("golden swan",), source=("blue swan",), **texts)]


@pytest.mark.parametrize("count", [1, 3])
def test_a_clip_of_one_flat_colour_is_refused_in_a_sentence(tmp_path: Path, count: int) -> None:
    job = Job(tmp_path)
    black = job.ctx.store(np.zeros((72, 128, 3), np.uint8))
    wanted = EditJob(clip=Clip(frames=(black,) * count), prompt=("red car",))
    with pytest.raises(JobError, match="one flat colour") as why:
        edit.run(wanted, job.ctx)
    assert why.value.problem.hint


def test_missing_weights_are_said_before_any_work(
    tmp_path: Path, shot: SyntheticClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    job = Job(tmp_path)
    wanted = job.swan_edit(
        shot, model=ClipModel(name="ViT-B-32", checkpoint=str(tmp_path / "no.pt"))
    )
    with pytest.raises(JobError, match=r"no\.pt") as caught:
        edit.run(wanted, job.ctx)
    assert "demo" in caught.value.problem.hint
    assert job.phases() == []


@pytest.mark.slow
def test_cancel_works_in_every_phase_and_leaves_no_half_atlas(tmp_path: Path) -> None:
    shot = make_clip(frames=3, height=48, width=64, seed=3)
    whole = Job(tmp_path / "whole")
    edit.run(whole.swan_edit(shot), whole.ctx)
    phases = whole.phases()
    assert len(phases) >= 5
    for number, phase in enumerate(phases):

        def in_phase(reports: list[AnyReport], wanted: str = phase) -> bool:
            return bool(reports) and isinstance(reports[-1], Step) and reports[-1].phase == wanted

        data = tmp_path / str(number)
        job = Job(data, stop=in_phase)
        wanted = job.swan_edit(shot)
        with pytest.raises(Cancelled):
            edit.run(wanted, job.ctx)
        assert job.phases()[-1] == phase
        again = Job(data)
        result = edit.run(wanted, again.ctx)
        assert len(result.layer) == 3
