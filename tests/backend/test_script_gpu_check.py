"""The GPU check itself must not fail for silly reasons: tiny visits on the CPU."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from scripts.gpu_check import __main__ as command
from scripts.gpu_check.bench import Bench
from scripts.gpu_check.items import ITEMS, Item, chosen
from scripts.gpu_check.report import line_of, write_report
from scripts.gpu_check.runner import Settings, Visit


def good(bench: Bench) -> str:
    bench.put("number", float("nan"))
    return "went well"


def wrong(bench: Bench) -> str:
    with bench.attempt("part"):
        raise ArithmeticError("two and two are five")
    return "went on"


def breaks(bench: Bench) -> str:
    bench.put("before", 1)
    raise ValueError("no such thing")


def hangs(bench: Bench) -> str:
    bench.put("before", 1)
    time.sleep(100)
    return ""


def dies(bench: Bench) -> str:
    os._exit(7)


def item(function: Any, limit: float = 30) -> Item:
    return Item(1, function.__name__, "Title", 1, limit, f"{__name__}:{function.__name__}")


def visit(folder: Path, *items: Item, budget: float = 0) -> Visit:
    made = Visit(Settings("cpu", True, folder, folder, budget), list(items))
    try:
        for one in items:
            made.run(one)
    finally:
        made.close()
    return made


@pytest.mark.slow
def test_no_failure_stops_the_visit_and_each_is_reported(tmp_path: Path) -> None:
    real = chosen("machine,micro,7", "")
    made = visit(tmp_path, *real, *map(item, (wrong, breaks, dies, good)), item(hangs, limit=1))
    states = [one.state for one in made.outcomes]
    assert states == [*["passed"] * 3, "failed", "error", "died", "passed", "stopped"]
    part, broken, dead, last, hung = made.outcomes[3:]
    assert part.summary == "went on"
    assert "two and two are five" in line_of(part)
    assert "ValueError: no such thing" in broken.summary
    assert broken.values == hung.values == {"before": 1}, "kept although the item did not end"
    assert "exit code 7" in dead.summary
    assert "ms per step of a still, final" in write_report(made)
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["items"][2]["values"]["ms_per_step"] > 0
    assert found["items"][6]["values"] == {"number": "nan"}
    assert last.seconds < 30
    text = (tmp_path / "gpu.md").read_text()
    assert "| 1 | Title | died |" in text
    assert "7. Speed of an image edit" in text


def test_an_item_that_does_not_fit_in_the_rest_of_the_budget_is_skipped(tmp_path: Path) -> None:
    (outcome,) = visit(tmp_path, item(good), budget=2.5).outcomes
    assert outcome.state == "skipped"
    assert "no time left" in outcome.summary


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_the_device_it_says_so_and_does_not_fall_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--device", "cuda", "--only", "1", "--out", str(tmp_path)]) == 2
    assert "torch sees 0 CUDA devices" in capsys.readouterr().err


def test_items_are_chosen_by_name_or_number_and_exist() -> None:
    assert [one.name for one in chosen("waits, 1", "")] == ["machine", "waits"]
    assert chosen("", "machine") == list(ITEMS[1:])
    with pytest.raises(ValueError, match="there is no item 'speed'"):
        chosen("speed", "")
    for one in ITEMS:
        assert callable(one.load())
