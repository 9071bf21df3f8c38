"""The measuring scripts time the device that they are given, not the first one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from scripts.measure import benchmark_edit, compare_atlas
from scripts.measure.evaluate import cells

SECOND = torch.device("cuda:1")


def benchmark() -> None:
    meter = benchmark_edit.Meter(SECOND, block=1)
    meter.begin()
    meter.cost()


def clock() -> None:
    compare_atlas.Clock(SECOND).read()


def evaluation() -> None:
    cells.Meter("cuda:1").read()


@pytest.mark.parametrize("measure", [benchmark, clock, evaluation])
def test_the_given_device_is_measured(
    measure: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def record(device: Any = None) -> int:
        asked.append(device)
        return 0

    for name in ("synchronize", "reset_peak_memory_stats", "max_memory_allocated"):
        monkeypatch.setattr(torch.cuda, name, record)
    measure()
    assert asked
    assert {str(device) for device in asked} == {"cuda:1"}
