"""The steps of a fit and the colour sweeps never make the host wait for a GPU."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from fits import CPU, TINY, every_mask
from torch.utils._python_dispatch import TorchDispatchMode

from backend.atlas.explicit.fit import decompose
from backend.atlas.explicit.model import Atlas
from backend.masks.prompts import MaskPrompts
from backend.progress import Silent
from backend.to_device import constant, send_numbers
from scripts.make_clip import make_clip

READS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "unique_dim")
WAITLESS = ("Unwrapping", "Fitting the atlas", "Filling the atlas")


class Watch(TorchDispatchMode, Silent):
    """Counts, by phase, what would wait for a GPU: results read back, and new host tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.phase = ""
        self.reads: Counter[tuple[str, str]] = Counter()
        self.steps: Counter[str] = Counter()
        self.copies: Counter[str] = Counter()

    def step(self, phase: str, done: int, total: int) -> None:
        self.phase = phase
        self.steps[phase] += 1

    def preview(self, image: np.ndarray) -> None:
        self.phase = ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in READS:
            self.reads[self.phase, name] += 1
        self.copies[self.phase] += name == "lift_fresh"  # torch.tensor(…)
        return func(*args, **(kwargs or {}))


@pytest.mark.slow
def test_a_step_copies_its_numbers_at_once_and_reads_nothing() -> None:
    clip = make_clip(6, 48, 80)
    config = replace(TINY, uv_steps=3, half_steps=3, full_steps=3, keys=2, key_every=3)
    with Watch() as watch:
        made = decompose(clip.frames, [MaskPrompts("all", every_mask(clip))], config, CPU, watch)
    assert "bg_keys" in made.tensors
    assert {key: n for key, n in watch.reads.items() if key[0] in WAITLESS} == {}
    # One copy a step, and the constants once.
    for phase in WAITLESS[:2]:
        assert watch.copies[phase] <= watch.steps[phase] + 4


@pytest.mark.parametrize("every", [1, 3, 7])
def test_the_hosts_rows_are_those_of_the_spline(every: int) -> None:
    atlas = Atlas((20, 8, 8), (8, 8), (every,), {"bg_base": torch.zeros(20, 3, 3)}, {})
    for numbers in ([0], [19], [3, 4, 18, 19], list(range(20))):
        rows, _ = atlas.time_rows(torch.tensor(numbers), 0)
        assert atlas.time_knots(numbers, 0) == torch.unique(rows).tolist()


def test_lists_are_sent_together_and_come_apart() -> None:
    made = send_numbers([[1, 2], [], [3]], CPU)
    assert [one.tolist() for one in made] == [[1, 2], [], [3]]
    assert all(one.dtype == torch.long for one in made)
    assert constant((1.0, 2.0), CPU) is constant((1.0, 2.0), CPU)
