"""A worker is killed in the middle of an edit; run again, the job ends in the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from held_checkpoint import HOLD
from live_worker import SLOT, LiveWorker, is_a
from small_edits import HELD_AT

from backend.executors.base import Failed, Finished, Gone, Note, Ready
from backend.store import Store
from protocol.jobs import Clip, EditJob, Masks


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[LiveWorker]:
    made = LiveWorker(tmp_path, "small_edits:run")
    yield made
    made.executor.close()


@pytest.mark.slow
def test_a_killed_workers_edit_resumes_to_the_same_bytes(
    worker: LiveWorker, tmp_path: Path
) -> None:
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    spec = EditJob(
        clip=Clip(frames=(Store(tmp_path / "objects").save(image),)), prompt=("gold",),
        source=("noise",), masks=Masks(mode="none"), layer="background", preset="draft",
    )  # fmt: skip
    worker.until(is_a(Ready))
    worker.executor.start(SLOT, "a" * 32, spec)
    undisturbed = worker.until(is_a(Finished, Failed))
    assert isinstance(undisturbed, Finished), undisturbed

    (tmp_path / HOLD).touch()
    worker.executor.start(SLOT, "b" * 32, spec)
    worker.kill_when_held(tmp_path)
    ended = worker.until(is_a(Finished, Failed))
    assert isinstance(ended, Failed), ended
    assert ended.problem.code == "worker_died"
    assert Gone() in worker.reports
    assert len(list((tmp_path / "edits").glob("*.part"))) == 1

    worker.until(is_a(Ready))
    worker.executor.start(SLOT, "c" * 32, spec)
    resumed = worker.until(is_a(Finished, Failed))
    assert isinstance(resumed, Finished), resumed
    (note,) = [r.text for r in worker.reports if isinstance(r, Note) and "resumes" in r.text]
    assert note == f"The edit resumes at step {HELD_AT}, where it was interrupted."
    assert resumed.result.layer == undisturbed.result.layer
    assert not list((tmp_path / "edits").iterdir())
