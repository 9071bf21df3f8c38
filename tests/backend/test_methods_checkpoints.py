"""A job that is run again goes on with its edit; what nobody needs any more is not kept."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from brief import make_brief
from jobs import Job
from tiny_clip import tiny_model

from backend.checkpoint import Checkpoint
from backend.clip import cache
from backend.clip.model import TextImageModel
from backend.context import Context
from backend.edit.config import EditConfig, preset
from backend.executors.base import AnyReport, Step
from backend.imported_atlases import folder_for
from backend.methods import checkpoints, edit
from backend.methods.checkpoints import EditCheckpoints
from backend.painters import text2live
from backend.painters.base import Plan, Task
from backend.progress import Cancelled
from protocol.jobs import EditJob, Masks

STEPS = 6


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_brief(monkeypatch, (6, 6, 4), edit_steps=STEPS)
    monkeypatch.setattr(
        checkpoints, "Checkpoint", lambda path, **rest: Checkpoint(path, every=0, **rest)
    )


class Still(Job):
    """An edit of one frame of noise, and what it keeps on the disk."""

    def spec(self, **fields: object) -> EditJob:
        image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
        return EditJob(
            clip=self.clip_of([image]), prompt=("gold",), source=("noise",),
            masks=Masks(mode="none"), layer="background", preset="draft",
            **fields,  # type: ignore[arg-type]
        )  # fmt: skip

    def kept(self) -> list[Path]:
        return sorted((self.data / "edits").iterdir())


def late(reports: list[AnyReport]) -> bool:
    return any(isinstance(r, Step) and r.phase == "edit" and r.done >= 1 for r in reports)


@pytest.mark.slow
def test_the_state_goes_when_the_job_has_ended_well(tmp_path: Path) -> None:
    job = Still(tmp_path)
    edit.run(job.spec(), job.ctx)
    assert job.kept() == []


@pytest.mark.slow
def test_a_cancelled_edit_is_kept_and_the_same_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.context.STEP_INTERVAL", 0.0)
    whole, stopped = Still(tmp_path / "whole"), Still(tmp_path, stop=late)
    wanted = edit.run(whole.spec(), whole.ctx)
    spec = stopped.spec()
    with pytest.raises(Cancelled):
        edit.run(spec, stopped.ctx)
    assert len(stopped.kept()) == 1
    again = Still(tmp_path)
    assert edit.run(spec, again.ctx).layer == wanted.layer
    assert "resumes at step 1" in again.notes()
    assert again.kept() == []


@pytest.mark.slow
def test_a_shot_that_is_done_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Still(tmp_path)
    spec = job.spec()
    with monkeypatch.context() as broken:
        broken.setattr(edit, "each_shot", fails_after_the_first)
        with pytest.raises(OSError, match="pulled the plug"):
            edit.run(spec, job.ctx)
    assert len(job.kept()) == 1
    again = Still(tmp_path)
    edit.run(spec, again.ctx)
    assert f"resumes at step {STEPS}" in again.notes()


def fails_after_the_first(
    spec: EditJob, frames: np.ndarray, ctx: Context, run_one: Callable[..., object]
) -> None:
    run_one(spec, frames, ctx)
    raise OSError("pulled the plug")


def test_what_decides_the_result_decides_where_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Still(tmp_path)
    config = preset("draft", video=False, layer="background")
    model = tiny_model()
    base = job.spec()
    kept = EditCheckpoints(job.ctx)

    def path(
        spec: EditJob = base,
        layer: str = "background",
        config: EditConfig = config,
        model: TextImageModel = model,
    ) -> Path | None:
        with monkeypatch.context() as patched:
            patched.setattr(cache, "text_image_model", lambda name, device: model)
            patched.setattr(text2live, "config_of", lambda task: config)
            plan = text2live.Text2Live(spec, job.ctx.device).plan(
                Task(job=spec, layer=layer, video=False, warm=False)
            )
        return kept.of_layer(spec, layer, plan).path

    same = path()
    assert same == path()
    others = [
        path(layer="foreground"),
        path(job.spec(seed=1)),
        path(msgspec.structs.replace(base, prompt=("silver",))),
        path(msgspec.structs.replace(base, masks=Masks())),
        path(config=replace(config, steps=7)),
        path(model=tiny_model(seed=1)),
    ]
    monkeypatch.setattr(text2live.train, "VERSION", "edit-next")
    others.append(path())
    assert len({same, *others}) == 8


def test_an_imported_atlas_is_another_atlas(tmp_path: Path) -> None:
    job = Still(tmp_path)
    spec = msgspec.structs.replace(job.spec(), engine="mlp", masks=Masks())
    kept, plan = EditCheckpoints(job.ctx), Plan(steps=1, identity="toy")

    def path(spec: EditJob = spec) -> Path | None:
        return kept.of_layer(spec, "background", plan).path

    fitted = path()
    folder = folder_for(job.ctx.data, spec.clip.frames)
    folder.mkdir(parents=True)
    imported = path()
    os.utime(folder, (1000, 1000))
    assert len({fitted, imported, path()}) == 3
    assert path() == path()


def test_what_nobody_came_back_for_is_swept(tmp_path: Path) -> None:
    folder = tmp_path / "edits"
    folder.mkdir(parents=True)
    for name, days in (("old.part", 4), ("new.part", 2)):
        (folder / name).write_text("")
        past = time.time() - days * 24 * 3600
        os.utime(folder / name, (past, past))
    EditCheckpoints(Still(tmp_path).ctx)
    assert [path.name for path in folder.iterdir()] == ["new.part"]
