"""What an edit needs of a GPU's memory is measured before it starts, and acted on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from flat_atlas import FlatAtlas
from tiny_clip import tiny_model

from backend.edit import footage, image, memory_plan, video
from backend.edit.config import EditConfig, EditTexts, ViewConfig
from backend.edit.crops import Window
from backend.edit.frame_stack import FrameStack
from backend.edit.generator import Generator
from backend.edit.memory_plan import Needs, frames_stay_on_host, kept_for_backward, needs_of
from backend.edit.train import Setup
from backend.progress import Silent

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
TINY = EditConfig(
    steps=2, size=48, channels=4, scales=2, bootstrap_steps=2, views=ViewConfig(count=5),
    whole_every=2, detail=1.0, structure=1.0,
)  # fmt: skip
TEXTS = EditTexts(prompt=("gold",), source=("noise",), avoid=("noise",))
FRAMES = np.random.default_rng(0).integers(0, 255, (3, 40, 48, 3), np.uint8)
NEEDS = Needs(fixed=2**30, pixels=2**30, view=2**28, views=20)


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def setup(config: EditConfig = TINY, report: Silent | None = None) -> Setup:
    return Setup(TEXTS, tiny_model(), config, report or Silent())


def test_views_are_halved_before_they_fail() -> None:
    assert NEEDS.at_once(2**33) == 20
    free = round((NEEDS.fixed + NEEDS.pixels + 7 * NEEDS.view) / memory_plan.USABLE) + 10
    assert NEEDS.at_once(free) == 7
    assert NEEDS.at_once(2**29) == 1
    assert NEEDS.total(7) == NEEDS.fixed + NEEDS.pixels + 7 * NEEDS.view


def test_the_note_says_what_is_needed_free_and_done() -> None:
    plenty = memory_plan.sentence(NEEDS, 20, 8 * 10**9, on_host=False)
    assert plenty == "This edit needs about 7.5 GB of the GPU's memory; 8.0 GB is free."
    tight = memory_plan.sentence(NEEDS, 7, 5 * 10**9, on_host=True)
    assert "4.0 GB" in tight
    assert "in 3 parts" in tight
    assert "frames stay" in tight
    assert "smaller preset" not in tight
    assert "smaller preset" in memory_plan.sentence(NEEDS, 1, 10**9, on_host=False)


@pytest.mark.parametrize(("free", "at_once"), [(2**40, 0), (0, 1)])
def test_the_plan_is_made_before_the_first_step(
    monkeypatch: pytest.MonkeyPatch, free: int, at_once: int
) -> None:
    monkeypatch.setattr(memory_plan, "_free", lambda device: free)
    report = Notes()
    made = setup(report=report)
    image.Still(FRAMES[0], made)
    assert made.criterion.scorer.at_once == at_once
    assert len(report.notes) == 1
    clip = setup(report=report)
    video.ClipLayer(FRAMES, FlatAtlas((3, 40, 48), (50, 60)), "background", clip)
    assert clip.criterion.scorer.at_once == at_once


def test_a_cpu_has_no_plan() -> None:
    report = Notes()
    image.Still(FRAMES[0], setup(report=report))
    assert report.notes == []
    assert not frames_stay_on_host(CPU, 10**6, (2160, 4096))


def test_what_autograd_keeps_is_counted_once_and_without_weights() -> None:
    weight = torch.ones(8, 8, requires_grad=True)
    x = torch.ones(4, 8, requires_grad=True)

    def compute() -> torch.Tensor:
        made = x @ weight  # keeps x
        return made.tanh() * made.tanh()  # each keeps its result, the product shares them

    assert kept_for_backward(compute, [weight]) == (1 + 2 + 1) * x.nbytes


def test_the_estimate_is_near_the_peak_of_a_step(tmp_path: Path) -> None:
    config = replace(TINY, size=128, channels=16, scales=4, internal_scale=(1.0, 1.0))
    config = replace(config, internal_crop=(1.0, 1.0), bootstrap_steps=0, structure=0.0)
    made = setup(config)
    still = image.Still(np.resize(FRAMES, (128, 128, 3)), made)
    pixels = 2 * 128 * 128
    needs = needs_of(made, still.network, pixels, 2, 0)
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        loss, _ = made.criterion(still.examples(0), 0)
        loss.backward()  # type: ignore[no-untyped-call]
    path = tmp_path / "trace.json"
    profile.export_chrome_trace(str(path))
    totals = [
        event["args"]["Total Allocated"]
        for event in json.loads(path.read_text())["traceEvents"]
        if event.get("name") == "[memory]"
    ]
    expected = needs.total(needs.views) - needs.fixed
    assert 0.6 < expected / (max(totals) - totals[0]) < 1.7


def test_a_generator_keeps_as_many_bytes_for_every_pixel() -> None:
    network = Generator(channels=8, scales=3, side=64)
    image_13HW = torch.rand(1, 3, 96, 200)
    kept = kept_for_backward(lambda: network(image_13HW), network.parameters())
    assert kept / (96 * 200) == pytest.approx(memory_plan.generator_bytes(network), rel=0.05)


def test_frames_beyond_a_share_of_the_gpu_stay_on_the_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory_plan, "_free", lambda device: 8 * 2**30)
    assert frames_stay_on_host(GPU, 70, (2160, 4096))
    assert not frames_stay_on_host(GPU, 70, (432, 768))


def test_frames_on_the_host_give_the_same_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = []
    for on_host in (False, True):
        monkeypatch.setattr(footage, "frames_stay_on_host", lambda *a, there=on_host: there)
        atlas = FlatAtlas((3, 40, 48), (50, 60))
        layers.append(video.edit_atlas(FRAMES, atlas, "background", setup()))
    assert torch.equal(layers[0], layers[1])


def test_a_stack_gives_frames_and_crops() -> None:
    maps = [torch.rand(1, 2, 6, 8) for _ in range(3)]
    for on_host in (False, True):
        stack = FrameStack.of(maps, CPU, on_host=on_host)
        assert len(stack) == 3
        assert torch.equal(stack[1], maps[1])
        assert torch.equal(torch.cat(list(stack)), torch.cat(maps))
        assert torch.equal(stack.cut(2, Window(1, 2, 4, 7)), maps[2][..., 1:4, 2:7])
