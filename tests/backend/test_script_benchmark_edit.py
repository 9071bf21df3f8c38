"""The benchmark of the edit: it runs, and the plain loop it measures against does the same work."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from backend.edit.config import EditConfig, ViewConfig
from backend.edit.generator import Generator
from scripts.measure import benchmark_edit
from scripts.measure.plain_edit import PlainGenerator, PlainLoop

CPU = torch.device("cpu")
STILL = ViewConfig(count=2, crop=(1.0, 1.0), flip=0, affine=0, perspective=0, jitter=0, grey=0)


def rows(printed: str) -> dict[str, list[float]]:
    lines = [line.strip("| ").split(" | ") for line in printed.splitlines() if "| " in line]
    return {name: [float(n) for n in numbers] for name, *numbers in lines[1:]}


@pytest.mark.slow
def test_both_cases_are_timed(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark_edit.main(["--quick", "--steps", "1", "--device", "cpu"]) == 0
    found = rows(capsys.readouterr().out)
    assert set(found) == {"image", "video"}
    for ours, peak, plain, plain_peak, ratio, median, clock in found.values():
        assert min(ours, plain, peak, plain_peak, median, clock) > 0
        assert ratio == pytest.approx(plain / ours, rel=0.3)


def test_ratios_are_of_sums_of_pairs_and_of_the_clock() -> None:
    pairs = [
        (benchmark_edit.Cost(*ours, peak=1), benchmark_edit.Cost(*plain, peak=2))
        for ours, plain in (((1, 2), (2, 2)), ((2, 4), (6, 3)), ((1, 2), (4, 3)))
    ]
    row = benchmark_edit.row_of("image", pairs)
    assert row == "| image | 1.33 | 1.0 | 4.00 | 2.0 | 3.00 | 3.00 | 1.00 |"


def test_both_loops_see_the_same_images() -> None:
    model = benchmark_edit.clip_of_size(True, CPU)
    config = replace(EditConfig(), size=64, channels=6, scales=3, views=STILL, bootstrap=0.0)
    one, other = (
        benchmark_edit.prepare("image", model, config, kind) for kind in (Generator, PlainGenerator)
    )
    for step in (1, 2):
        ours = one.examples(step)[0].source
        one.setup.criterion(one.examples(step), step)  # draws views from the same numbers
        torch.testing.assert_close(other.examples(step)[0].source, ours)


@pytest.mark.slow
def test_the_arithmetic_grows_with_the_picture(capsys: pytest.CaptureFixture[str]) -> None:
    calls = []
    for size in ("32", "64"):
        words = ["--quick", "--arithmetic", "--case", "image", "--device", "cpu", "--size", size]
        benchmark_edit.main(words)
        calls.append(rows(capsys.readouterr().out)["image"][2])
    assert 500 < calls[0] <= calls[1]


def test_a_matrix_product_is_counted_as_what_it_touches_and_a_view_as_nothing() -> None:
    a, b = torch.rand(4, 5), torch.rand(5, 6)
    with benchmark_edit.Traffic() as traffic:
        a @ b
        a[:2].exp_()
    assert (traffic.calls, traffic.bytes) == (2, 4 * (20 + 30 + 24 + 2 * 10))


def test_the_plain_generator_is_the_same_network() -> None:
    sizes: dict[str, Any] = {"channels": 6, "scales": 3, "side": 33}
    x = torch.rand(1, 3, 33, 41)
    torch.testing.assert_close(PlainGenerator(**sizes)(x), Generator(**sizes)(x))


def test_the_plain_loop_has_the_same_loss() -> None:
    """Where nothing is left to chance: whole pictures, all templates."""
    model = benchmark_edit.clip_of_size(True, CPU)
    config = replace(
        EditConfig(), size=64, channels=6, scales=3, views=STILL, templates=1.0, internal=False,
        bootstrap=0.0,
    )  # fmt: skip
    ours = benchmark_edit.prepare("image", model, config, Generator)
    theirs = benchmark_edit.prepare("image", model, config, PlainGenerator)
    wanted, _ = ours.setup.criterion(ours.examples(1), 1)
    plain = PlainLoop(theirs, model, benchmark_edit.TEXTS, config)
    assert plain.step(1) == pytest.approx(float(wanted.detach()), rel=1e-4)
    with torch.no_grad():
        assert ours.setup.criterion(theirs.examples(1), 1)[0] < wanted
