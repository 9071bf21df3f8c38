"""A fit that was stopped at any moment goes on, and ends in the same bytes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.atlas.checkpoint import Checkpoint
from backend.atlas.config import preset
from backend.atlas.fit import decompose
from backend.atlas.hints import Hints
from backend.atlas.model import Atlas
from backend.progress import Cancelled, Silent
from scripts.make_clip import SyntheticClip, make_clip

CPU = torch.device("cpu")
TINY = replace(preset("draft"), long_side=96, uv_steps=4, half_steps=6, full_steps=6, sweeps=1)


class StopAt(Silent):
    """Cancels at a step of the fit."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.notes: list[str] = []

    def step(self, phase: str, done: int, total: int) -> None:
        if phase == "Fitting the atlas" and done == self.at:
            raise Cancelled

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def clip() -> SyntheticClip:
    return make_clip(frames=6, height=64, width=96, seed=1)


def run(clip: SyntheticClip, report: Silent, checkpoint: Checkpoint | None = None) -> Atlas:
    keys = {0: np.ascontiguousarray(clip.masks()[0])}
    return decompose(clip.frames, keys, Hints(mode="key", size=(64, 96)), TINY, CPU, report,
                     checkpoint)  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(clip: SyntheticClip) -> Atlas:
    return run(clip, Silent())


@pytest.mark.parametrize("stops", [(3,), (6,), (9, 11)], ids=["half size", "between", "twice"])
def test_an_interrupted_fit_ends_in_the_same_bytes(
    clip: SyntheticClip, undisturbed: Atlas, tmp_path: Path, stops: tuple[int, ...]
) -> None:
    checkpoint = Checkpoint(tmp_path / "fit.part", every=0)
    for stop in stops:
        with pytest.raises(Cancelled):
            run(clip, StopAt(stop), checkpoint)
    report = StopAt(-1)
    resumed = run(clip, report, checkpoint)
    assert "goes on" in report.notes[0]
    assert resumed.numbers == undisturbed.numbers
    for name, value in undisturbed.tensors.items():
        assert torch.equal(value, resumed.tensors[name]), name


def test_a_damaged_state_is_not_gone_on_from(clip: SyntheticClip, tmp_path: Path) -> None:
    path = tmp_path / "fit.part"
    path.write_bytes(b"half a file")
    report = StopAt(-1)
    run(clip, report, Checkpoint(path, every=1e9))
    assert not any("goes on" in note for note in report.notes)


def test_nothing_is_kept_before_its_time_or_after_the_end(
    clip: SyntheticClip, tmp_path: Path
) -> None:
    path = tmp_path / "fit.part"
    checkpoint = Checkpoint(path, every=1e9)
    with pytest.raises(Cancelled):
        run(clip, StopAt(8), checkpoint)
    assert not path.exists()
    path.write_bytes(b"")
    checkpoint.drop()
    checkpoint.drop()
    assert not path.exists()
