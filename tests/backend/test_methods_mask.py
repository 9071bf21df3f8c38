"""Method `mask`: the object's mask on every frame with its confidence, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from jobs import Job

from backend.context import Context
from backend.methods import mask, shots
from backend.methods.dispatch import METHODS
from protocol.jobs import JobError, MaskJob, Masks, Result
from scripts.make_clip import make_clip

H, W, COUNT = 72, 128, 5


@pytest.mark.slow
def test_masks_and_their_confidence_for_every_frame(tmp_path: Path) -> None:
    job, made = Job(tmp_path), make_clip(frames=COUNT, height=H, width=W, seed=3)
    true = made.masks() > 127
    keys = job.keys_of({0: made.masks()[0]})
    spec = MaskJob(
        clip=job.clip_of(made.frames), masks=Masks(mode="key", keys=keys), preset="draft"
    )
    result = mask.run(spec, job.ctx)
    assert len(result.layer) == len(result.confidence) == COUNT
    assert all(0.5 < value <= 1 for value in result.confidence)
    assert result.numbers["mask_confidence_worst"] == pytest.approx(min(result.confidence))
    for ref, there in zip(result.layer, true, strict=True):
        image = job.ctx.load(ref)
        assert (image[..., :3] == 255).all()
        assert image.shape[:2] == there.shape
        found = image[..., 3] > 127
        assert (found & there).sum() / (found | there).sum() > 0.8
    assert not result.pictures
    assert not (tmp_path / "atlases").exists()


def test_an_object_that_is_nowhere_is_an_error(tmp_path: Path) -> None:
    job = Job(tmp_path)
    made = make_clip(frames=2, height=H, width=W, seed=3)
    keys = job.keys_of({0: np.zeros((H, W), np.uint8)})
    spec = MaskJob(clip=job.clip_of(made.frames), masks=Masks(mode="key", keys=keys))
    with pytest.raises(JobError) as caught:
        mask.run(spec, job.ctx)
    assert caught.value.problem.code == "no_foreground"


def test_frames_of_a_shot_without_the_object_have_no_confidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, frames = Job(tmp_path), np.zeros((5, H, W, 3), np.uint8)
    monkeypatch.setattr(shots, "find_cuts", lambda _frames, _report: [3])

    def run_shot(_spec: MaskJob, part: np.ndarray, ctx: Context) -> Result:
        if len(part) == 2:
            raise JobError("no_foreground", "The object is not there.")
        layer = tuple(ctx.store(np.full((9, 16, 4), 255, np.uint8)) for _ in part)
        return Result(layer=layer, confidence=(0.9, 0.8, 0.7))

    result = shots.each_shot(MaskJob(clip=job.clip_of(frames)), frames, job.ctx, run_shot)
    assert result.confidence == (0.9, 0.8, 0.7, 0.0, 0.0)
    assert len(result.layer) == 5


def test_jobs_of_this_kind_come_here() -> None:
    assert METHODS[MaskJob] == mask.__name__
