"""A fit that is stopped anywhere resumes, and ends in the same bytes."""

import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from backend.atlas import engines
from backend.atlas.explicit.config import preset
from backend.atlas.explicit.fit import decompose
from backend.atlas.explicit.model import Atlas
from backend.checkpoint import Checkpoint, State
from backend.masks.prompts import MaskPrompts
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
    given = [MaskPrompts("key", keys, size=(64, 96))]
    return decompose(clip.frames, given, TINY, CPU, report, checkpoint)


@pytest.fixture(scope="module")
def undisturbed(clip: SyntheticClip) -> Atlas:
    return run(clip, Silent())


@pytest.mark.slow
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
    assert "resumes" in report.notes[0]
    assert resumed.numbers == undisturbed.numbers
    for name, value in undisturbed.tensors.items():
        assert torch.equal(value, resumed.tensors[name]), name


@pytest.mark.slow
def test_a_damaged_state_is_not_gone_on_from(clip: SyntheticClip, tmp_path: Path) -> None:
    path = tmp_path / "fit.part"
    path.write_bytes(b"half a file")
    report = StopAt(-1)
    run(clip, report, Checkpoint(path, every=1e9, report=report))
    assert not any("resumes" in note for note in report.notes)
    assert any("cannot be read" in note for note in report.notes)
    assert not path.exists(), "or the next try would fail on it again"


def through_engine(clip: SyntheticClip, report: StopAt, checkpoint: Checkpoint) -> None:
    keys = {0: np.ascontiguousarray(clip.masks()[0])}
    given = [MaskPrompts("key", keys, size=(64, 96))]
    engines.decompose("explicit", "draft", 0, clip.frames, given, CPU, report, checkpoint)


@pytest.mark.slow
def test_a_state_that_does_not_fit_is_dropped_and_the_fit_starts_over(
    clip: SyntheticClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines.explicit_config, "preset", lambda name, seed=0: TINY)
    path = tmp_path / "fit.part"
    with pytest.raises(Cancelled):
        through_engine(clip, StopAt(3), Checkpoint(path, every=0))
    tensors = safetensors.torch.load_file(path)
    with safetensors.safe_open(path, "pt") as file:
        about = file.metadata()
    del tensors["generator"]
    safetensors.torch.save_file(tensors, path, about)
    report = StopAt(-1)
    through_engine(clip, report, Checkpoint(path, every=1e9, report=report))
    assert any("does not fit" in note for note in report.notes)
    assert not path.exists()


def test_an_error_that_is_not_the_states_fault_is_not_hidden(
    clip: SyntheticClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def broken(*arguments: object) -> None:
        calls.append(arguments)
        raise ValueError("a fault of ours")

    monkeypatch.setattr(engines.fit, "decompose", broken)
    with pytest.raises(ValueError, match="a fault of ours"):
        through_engine(clip, StopAt(-1), Checkpoint(tmp_path / "fit.part"))
    assert len(calls) == 1


def test_a_full_disk_gets_one_note_and_the_fit_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    report = StopAt(-1)
    checkpoint = Checkpoint(tmp_path / "fit.part", every=0, report=report)
    with monkeypatch.context() as broken:
        broken.setattr(safetensors.torch, "save_file", full)
        for step in range(3):
            checkpoint.keep(lambda step=step: State("half", step, {}, {}))
    assert len(report.notes) == 1
    assert "No space left" in report.notes[0]
    assert list(tmp_path.iterdir()) == []
    checkpoint.keep(lambda: State("half", 3, {"x": torch.zeros(1)}, {}))
    assert (tmp_path / "fit.part").exists(), "it is saved again once there is space"


@pytest.mark.slow
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
