"""An edit that was stopped at any point resumes, and ends in the same bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from flat_atlas import FlatAtlas
from tiny_clip import tiny_model

from backend.checkpoint import Checkpoint
from backend.edit import image, train
from backend.edit.config import EditConfig, EditTexts, ViewConfig
from backend.edit.image import edit_image
from backend.edit.train import Setup
from backend.edit.video import edit_atlas
from backend.progress import Cancelled, Silent
from protocol.jobs import JobError

CPU = torch.device("cpu")
TINY = EditConfig(
    steps=6, size=48, channels=4, scales=3, bootstrap_steps=6, views=ViewConfig(count=2),
    preview_every=3, whole_every=3,
)  # fmt: skip
TEXTS = EditTexts(prompt=("a golden disc", "gold"), source=("a red disc",))
FRAMES = np.random.default_rng(0).integers(0, 255, (5, 48, 56, 3), np.uint8)


class StopAt(Silent):
    """Cancels inside a step, after its draws; remembers notes and steps."""

    def __init__(self, at: int = -1) -> None:
        self.at, self.calls = at, 0
        self.notes: list[str] = []
        self.steps: list[int] = []

    def step(self, phase: str, done: int, total: int) -> None:
        self.steps.append(done)
        self.calls += done == self.at
        if self.calls > 4:
            raise Cancelled

    def note(self, text: str) -> None:
        self.notes.append(text)


def still(report: Silent, checkpoint: Checkpoint | None = None, config: EditConfig = TINY) -> bytes:
    return edit_image(FRAMES[0], Setup(TEXTS, tiny_model(), config, report, checkpoint)).tobytes()


def still_of_few_crops(report: Silent, checkpoint: Checkpoint | None = None) -> bytes:
    return still(report, checkpoint, replace(TINY, internal_count=3))


class Noise(FlatAtlas):
    """Random colours."""

    def image(self, layer: str) -> torch.Tensor:
        return torch.rand(1, 3, *self.texels, generator=torch.Generator().manual_seed(0))


def moving(report: Silent, checkpoint: Checkpoint | None = None) -> bytes:
    atlas = Noise((5, 48, 56), (60, 70), shift=2.0)
    config = replace(TINY, size=56)
    setup = Setup(TEXTS, tiny_model(), config, report, checkpoint)
    made = edit_atlas(FRAMES, atlas, "background", setup)
    return made.numpy().tobytes()


@cache
def undisturbed(edit: Callable[..., bytes]) -> bytes:
    """What the edit gives when nothing stops it."""
    return edit(Silent())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edit", "stops"),
    [(still, (1,)), (still, (3, 5)), (still_of_few_crops, (3, 5)), (moving, (3, 5))],
)
def test_an_interrupted_edit_ends_in_the_same_bytes(
    edit: Callable[..., bytes], stops: tuple[int, ...], tmp_path: Path
) -> None:
    checkpoint = Checkpoint(tmp_path / "edit.part", every=0)
    for stop in stops:
        with pytest.raises(Cancelled):
            edit(StopAt(stop), checkpoint)
    report = StopAt()
    resumed = edit(report, checkpoint)
    assert report.notes == [f"The edit resumes at step {stops[-1]}, where it was interrupted."]
    assert set(report.steps) == {0, *range(stops[-1], TINY.steps + 1)}
    assert resumed == undisturbed(edit)


@pytest.mark.slow
def test_the_losses_of_all_steps_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[list[float]] = []
    real = train.train
    monkeypatch.setattr(image, "train", lambda *a: runs.append(real(*a)))
    checkpoint = Checkpoint(tmp_path / "edit.part", every=0)
    still(Silent())
    with pytest.raises(Cancelled):
        still(StopAt(5), checkpoint)
    still(Silent(), checkpoint)
    assert len(runs[1]) == TINY.steps
    assert runs[1] == runs[0]


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "edit.part", every=1e9)
    made = still(Silent(), checkpoint)
    report = StopAt()
    assert still(report, checkpoint) == made
    assert set(report.steps) == {0, TINY.steps}


@pytest.mark.slow
def test_the_state_is_complete_without_momentum(tmp_path: Path) -> None:
    config = replace(TINY, momentum=0.0)
    checkpoint = Checkpoint(tmp_path / "edit.part", every=0)
    with pytest.raises(Cancelled):
        still(StopAt(5), checkpoint, config)
    report = StopAt()
    assert still(report, checkpoint, config) == still(Silent(), config=config)
    assert "at step 5" in report.notes[0]


@pytest.mark.slow
def test_a_damaged_state_is_dropped_with_a_note(tmp_path: Path) -> None:
    path = tmp_path / "edit.part"
    path.write_bytes(b"half a file")
    report = StopAt()
    still(report, Checkpoint(path, every=1e9, report=report, what="edit"))
    assert report.notes == [
        "The saved state of the interrupted edit cannot be read, so the edit starts over."
    ]
    assert set(report.steps) == set(range(TINY.steps + 1))


def spoil_name(tensors: dict[str, torch.Tensor], about: dict[str, object]) -> None:
    tensors["another.weight"] = tensors.pop("head.weight")


def spoil_shape(tensors: dict[str, torch.Tensor], about: dict[str, object]) -> None:
    tensors["head.bias:s"] = torch.zeros(9)


def spoil_step(tensors: dict[str, torch.Tensor], about: dict[str, object]) -> None:
    about["step"] = 2


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [spoil_name, spoil_shape, spoil_step])
def test_a_state_that_does_not_fit_is_dropped_with_a_note(
    spoil: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / "edit.part"
    with pytest.raises(Cancelled):
        still(StopAt(4), Checkpoint(path, every=0))
    tensors = safetensors.torch.load_file(path)
    with safetensors.safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["about"])
    spoil(tensors, about)
    safetensors.torch.save_file(tensors, path, {"about": json.dumps(about)})
    report = StopAt()
    made = still(report, Checkpoint(path, every=1e9, report=report, what="edit"))
    assert report.notes == [
        "The saved state of the interrupted edit does not fit. The edit starts over."
    ]
    assert made == undisturbed(still)


def test_an_edit_that_diverged_is_not_resumed(tmp_path: Path) -> None:
    path = tmp_path / "edit.part"
    model = tiny_model()
    with pytest.raises(Cancelled):
        still(StopAt(4), Checkpoint(path, every=0))
    assert path.exists()
    with torch.no_grad():
        model.visual.proj.fill_(float("nan"))
    config = replace(TINY, bootstrap=0.0)
    setup = Setup(TEXTS, model, config, Silent(), Checkpoint(path, every=0))
    with pytest.raises(JobError, match="step 5") as broken:
        edit_image(FRAMES[0], setup)
    assert broken.value.problem.code == "diverged"
    assert not path.exists()
