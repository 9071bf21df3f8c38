"""What a running job has access to, and how its exceptions are reported."""

from __future__ import annotations

import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest

from backend import device as devices
from backend.context import Context
from backend.device import MEMORY_STEP, computes_bfloat16, find_device, memory_of
from backend.executors.base import Note, Previewed, Step
from backend.methods import dispatch
from backend.methods.dispatch import with_defaults, with_places
from backend.progress import Cancelled
from backend.worker import problem_of
from protocol.jobs import AtlasJob, BoxKey, Clip, ClipModel, EditJob, JobError, Masks, Result


@pytest.fixture
def sent():
    return []


@pytest.fixture
def context(tmp_path, sent):
    return Context("job", "cpu", tmp_path, sent.append)


def test_progress_is_throttled_and_knows_the_time_left(context, sent, monkeypatch):
    clock = [10.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    for done in range(101):
        context.step("Editing", done, 100)
        clock[0] += 0.02
    assert all(isinstance(report, Step) for report in sent)
    assert 8 <= len(sent) <= 11
    assert (sent[0].done, sent[0].eta_s) == (0, None)
    assert sent[-1].done == 100
    middle = sent[len(sent) // 2]
    assert middle.eta_s == pytest.approx((100 - middle.done) * 0.02, rel=0.01)
    context.step("Rendering", 0, 4)
    assert (sent[-1].phase, sent[-1].eta_s) == ("Rendering", None)


def test_every_call_raises_after_a_cancel(tmp_path, sent):
    context = Context("job", "cpu", tmp_path, sent.append, lambda: True)
    image = np.zeros((4, 4, 3), np.uint8)
    for call in (
        lambda: context.step("x", 0, 1),
        lambda: context.preview(image),
        lambda: context.note("x"),
        lambda: context.store(image),
        context.check,
    ):
        with pytest.raises(Cancelled):
            call()
    assert sent == []


def test_pictures_are_stored_before_they_are_shown(context, sent):
    image = np.full((4, 5, 3), 9, np.uint8)
    context.preview(image)
    context.note("a note")
    preview, note = sent
    assert isinstance(preview, Previewed)
    assert np.array_equal(context.load(preview.object), image)
    assert note == Note(job="job", text="a note")
    assert np.array_equal(context.load(context.store(image)), image)


def test_the_folder_of_an_atlas(context):
    folder = context.atlas_folder("abc")
    assert folder.parent.is_dir()
    assert not folder.exists()
    assert folder == context.atlas_folder("abc") != context.atlas_folder("abd")


def test_jobs_that_name_no_model_get_the_backends():
    chosen = ClipModel(name="ViT-B-32", pretrained="openai")
    for name, expected in (("", chosen), ("demo", ClipModel(name="demo"))):
        spec = _edit(ClipModel(name=name))
        assert with_defaults(spec, chosen).model == expected


def test_models_are_looked_up_in_their_folder(tmp_path):
    box = BoxKey(frame=0, x0=0, y0=0, x1=1, y1=1)
    named = ClipModel(name="ViT-B-32", checkpoint="a.pt")
    spec = EditJob(
        clip=Clip(frames=()),
        prompt=("x",),
        model=named,
        masks=Masks(mode="segment", boxes=(box,), weights="sub/b"),
        behind=(Masks(mode="text", texts=("y",), model=ClipModel(checkpoint="/c.pt")),),
    )
    placed = with_places(spec, tmp_path)
    assert placed.model.checkpoint == str(tmp_path / "a.pt")
    assert placed.masks.weights == str(tmp_path / "sub" / "b")
    assert placed.behind[0].model.checkpoint == str(Path("/c.pt"))
    assert placed.masks.model.checkpoint == placed.behind[0].weights == ""
    assert with_places(_edit(ClipModel()), tmp_path) == _edit(ClipModel())


def _edit(model: ClipModel) -> EditJob:
    return EditJob(clip=Clip(frames=()), prompt=("x",), model=model)


class OutOfMemoryError(RuntimeError):
    """Named as torch's is."""


@pytest.mark.parametrize(
    ("why", "code"),
    [
        (JobError("own_code", "own words"), "own_code"),
        (MemoryError(), "out_of_memory"),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"), "out_of_memory"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
            "out_of_memory",
        ),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), "out_of_memory"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "device_failed"),
        (ValueError("bad shape"), "worker_error"),
        (KeyError(), "worker_error"),
    ],
)
def test_an_exception_becomes_a_problem(why, code):
    problem = problem_of(why, "/logs/worker-0.log")
    assert problem.code == code
    if code == "worker_error":
        assert type(why).__name__ in problem.message
        assert "/logs/worker-0.log" in problem.hint


def test_a_long_exception_is_cut():
    assert len(problem_of(ValueError("x" * 10**6), "log").message) < 1000


def test_the_device_is_the_requested_one_or_an_error():
    torch = pytest.importorskip("torch")
    assert find_device("none")[0] == "cpu"
    assert find_device("cpu")[0] == "cpu"
    chosen, text = find_device("auto")
    assert chosen == ("cuda:0" if torch.cuda.is_available() else "cpu")
    assert text.startswith(chosen)
    for wrong, use in (("banana", "auto"), ("mps", "a Mac's GPU"), ("rocm", "cuda:0")):
        with pytest.raises(JobError) as why:
            find_device(wrong)
        assert why.value.problem.code == "bad_device"
        assert use.lower() in why.value.problem.hint.lower()
    with pytest.raises(JobError) as why:
        find_device("cuda:99")
    assert why.value.problem.code == "no_cuda"


class Cards:
    """Three CUDA cards, as torch.cuda shows them: a V100, an A100 and a T4."""

    capabilities = ((7, 0), (8, 0), (7, 5))

    def __init__(self, monkeypatch):
        torch = pytest.importorskip("torch")
        self.current = None
        for name, stand_in in {
            "is_available": lambda: True,
            "device_count": lambda: len(self.capabilities),
            "get_device_capability": lambda device: self.capabilities[torch.device(device).index],
            "get_device_properties": lambda index: types.SimpleNamespace(total_memory=2**34),
            "get_device_name": lambda index: f"card {index}",
            "set_device": lambda index: setattr(self, "current", index),
            "is_bf16_supported": lambda: True,
        }.items():
            monkeypatch.setattr(torch.cuda, name, stand_in)


def test_a_cuda_worker_makes_its_card_the_current_one(monkeypatch):
    cards = Cards(monkeypatch)
    assert find_device("cuda:1") == ("cuda:1", "cuda:1 (card 1, 16 GiB)")
    assert cards.current == 1
    assert find_device("cuda")[0] == "cuda:0"
    assert cards.current == 0


def test_bfloat16_is_for_the_cards_that_compute_it(monkeypatch):
    torch = pytest.importorskip("torch")
    Cards(monkeypatch)
    cards = [torch.device("cuda", index) for index in range(3)]
    assert [computes_bfloat16(card) for card in cards] == [False, True, False]
    monkeypatch.setattr(torch.version, "hip", "6.2")
    assert computes_bfloat16(cards[0])
    assert not computes_bfloat16(torch.device("mps"))


def test_a_job_runs_by_its_kind(context, monkeypatch):
    for name in ("atlas", "edit"):
        stand_in = types.ModuleType(f"backend.methods.{name}")
        stand_in.run = lambda spec, ctx, name=name: Result(numbers={name: 1.0})
        monkeypatch.setitem(sys.modules, f"backend.methods.{name}", stand_in)
        monkeypatch.setattr(f"backend.methods.{name}", stand_in, raising=False)
    assert "atlas" in dispatch.run_job(AtlasJob(clip=Clip(frames=())), context).numbers
    assert "edit" in dispatch.run_job(_edit(ClipModel()), context).numbers


def test_free_memory_is_what_programs_can_still_allocate(tmp_path, monkeypatch):
    table = (
        "MemTotal:       24000000 kB\nMemFree:          100000 kB\nMemAvailable:   12000000 kB\n"
    )
    (tmp_path / "meminfo").write_text(table)
    monkeypatch.setattr(devices, "MEMINFO", tmp_path / "meminfo")
    memory = memory_of("cpu")
    assert memory is not None
    assert memory.total == 24000000 * 1024
    assert 0 <= 12000000 * 1024 - memory.free < MEMORY_STEP
    monkeypatch.setattr(devices, "MEMINFO", tmp_path / "no Linux")
    assert memory_of("cpu") is None
