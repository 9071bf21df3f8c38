"""When a GPU runs out of memory, fewer views are scored at once: a note, and the same result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_clip import tiny_model

from backend.clip.model import TextImageModel
from backend.edit import image, train
from backend.edit.config import EditConfig, EditTexts, ViewConfig, preset
from backend.edit.criterion import Criterion, Example
from backend.edit.image import edit_image
from backend.edit.pixels import composite
from backend.edit.scoring import Scorer
from backend.edit.texts import TextTargets
from backend.edit.train import Setup
from backend.edit.views import draw_views
from backend.progress import Silent
from protocol.jobs import JobError

CPU = torch.device("cpu")
TINY = EditConfig(
    steps=4, size=48, channels=4, scales=3, bootstrap_steps=0, views=ViewConfig(count=5),
    whole_every=2,
)  # fmt: skip
TEXTS = EditTexts(prompt=("gold",), source=("noise",))
PICTURE = np.random.default_rng(0).integers(0, 255, (40, 56, 3), np.uint8)


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class SmallModel:
    """A tiny CLIP whose GPU holds the gradients of so many views at once."""

    def __init__(self, room: int) -> None:
        self.model, self.room = tiny_model(), room
        self.error: Exception = torch.OutOfMemoryError("CUDA out of memory.")
        self.passes: list[int] = []
        self._real = self.model.encode_image
        self.model.encode_image = self.encode  # type: ignore[method-assign]

    def encode(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        if x_BCHW.requires_grad and len(x_BCHW) > self.room:
            raise self.error
        self.passes.append(len(x_BCHW))
        return self._real(x_BCHW)


@pytest.fixture
def histories(monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    kept: list[list[float]] = []
    real = train.train
    monkeypatch.setattr(image, "train", lambda *a: kept.append(real(*a)))
    return kept


def edit(model: TextImageModel, report: Silent, config: EditConfig = TINY) -> None:
    edit_image(PICTURE, Setup(TEXTS, model, config, report))


@pytest.mark.slow
def test_fewer_views_at_once_give_a_note_and_the_same_losses(
    histories: list[list[float]],
) -> None:
    report, small = Notes(), SmallModel(room=6)
    edit(tiny_model(), Silent())
    edit(small.model, report)
    # The first step has two pictures: 2·5 views over themselves and 2·5 over green.
    assert [int(n.split(" are scored")[0].split()[-1]) for n in report.notes] == [10, 5]
    assert all("result is the same" in note for note in report.notes)
    assert max(small.passes) <= 5
    np.testing.assert_allclose(histories[1], histories[0], rtol=1e-4)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_a_librarys_failed_allocation_halves_the_views_too(
    error: RuntimeError,
) -> None:
    report, small = Notes(), SmallModel(room=6)
    small.error = error
    edit(small.model, report, replace(TINY, steps=1))
    assert len(report.notes) == 2


@pytest.mark.slow
def test_an_edit_that_does_not_fit_names_a_preset_that_would() -> None:
    smaller = {"final": "preview", "preview": "draft", "draft": None}
    for name, better in smaller.items():
        config = replace(TINY, preset=preset(name, video=False, layer="foreground").preset)
        with pytest.raises(JobError) as caught:
            edit(SmallModel(room=0).model, Notes(), config)
        problem = caught.value.problem
        assert (problem.code, problem.retryable) == ("out_of_memory", True)
        assert ("preset" in problem.hint) is (better is not None)
        if better:
            assert f"preset {better}," in problem.hint
        assert "close other programs" in problem.hint.lower()


def test_running_out_of_memory_in_the_generator_is_not_retried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries = []

    def full(self: object, x: object, detail: object) -> None:
        tries.append(x)
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(train.Generator, "forward", full)
    report = Notes()
    with pytest.raises(JobError, match="not have enough memory"):
        edit(tiny_model(), report)
    assert len(tries) == 1
    assert report.notes == []


def test_other_errors_of_a_step_pass_through() -> None:
    model = tiny_model()

    def broken(x: object) -> torch.Tensor:
        raise RuntimeError("a fault of ours")

    model.encode_image = broken  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="a fault of ours"):
        edit(model, Notes())


def examples(layer: torch.Tensor) -> list[Example]:
    random = torch.Generator().manual_seed(1)
    made = []
    for height, width in ((40, 56), (40, 56), (48, 40)):
        source = torch.rand(1, 3, height, width, generator=random)
        small = torch.nn.functional.interpolate(layer, (height, width))
        over_green = composite(small, torch.tensor([0.0, 0.7, 0.2]).reshape(1, 3, 1, 1))
        output = composite(small, source)
        made.append(Example(source=source, output=output, screen=over_green, alpha=small[:, 3:]))
    return made


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 4, 7, 100])
def test_batches_give_the_loss_and_the_gradient_of_the_whole(at_once: int) -> None:
    results = []
    for part in (0, at_once):
        model = tiny_model()
        layer = torch.rand(1, 4, 30, 30, generator=torch.Generator().manual_seed(2))
        layer.requires_grad_()
        judge = Criterion(model, TextTargets(model, TEXTS), TINY, torch.Generator().manual_seed(0))
        judge.scorer.at_once = part
        loss, _ = judge(examples(layer), 0)
        loss.backward()
        results.append((loss.detach(), layer.grad))
    torch.testing.assert_close(results[1][0], results[0][0])
    torch.testing.assert_close(results[1][1], results[0][1], rtol=1e-4, atol=1e-7)


def test_a_batch_is_dropped_and_computed_again() -> None:
    small = SmallModel(room=4)
    scorer = Scorer(small.model)
    scorer.at_once = 4
    picture = torch.rand(1, 3, 40, 40, requires_grad=True)
    views = draw_views(ViewConfig(count=6), 40, 40, torch.Generator().manual_seed(0))
    embedded = scorer.embed([(views, picture), (views, picture)])
    assert small.passes == [4, 4, 4]
    torch.testing.assert_close(embedded[:6], embedded[6:])
    embedded.sum().backward()
    assert small.passes == [4] * 6
    with torch.no_grad():
        scorer.embed([(views, picture)])
    assert small.passes[6:] == [4, 2]


def test_halving_ends_at_one_view() -> None:
    scorer = Scorer(tiny_model())
    assert not scorer.halve()
    scorer.largest = 5
    sizes = []
    while scorer.halve():
        sizes.append(scorer.at_once)
    assert sizes == [2, 1]
