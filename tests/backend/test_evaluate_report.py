"""The evaluation's report: tables of means, spread over seeds, the CSV and the sheet."""

import csv

import numpy as np
import pytest

from scripts.measure.evaluate import report
from scripts.measure.evaluate.measure import COLUMNS
from scripts.measure.evaluate.report import Row
from scripts.measure.evaluate.variants import OURS


def row(variant=OURS, prompt="p", seed=0, problem="", **numbers):
    return Row(
        clip="demo", kind="clip", prompt=prompt, variant=variant, seed=seed, problem=problem,
        numbers=numbers,
    )  # fmt: skip


def test_the_table_holds_means_and_leaves_failures_out():
    rows = [
        row(similarity=0.2, coverage=0.5), row(prompt="q", similarity=0.4),
        row("no screen", similarity=0.1, coverage=0.25),
        row("no screen", "q", similarity=9, problem="It broke."),
    ]  # fmt: skip
    lines = report.table(rows, ["no screen", OURS, "no sparsity"], ("similarity", "coverage"))
    assert lines.splitlines()[2:] == [
        "| no screen | 2 (1 failed) | 0.100 | 0.25 |",
        "| ours | 2 | 0.300 | – |",
    ]
    assert "CLIP similarity ↑ | α inside" in lines


def test_variants_are_compared_on_the_prompts_that_all_of_them_have():
    rows = [row(prompt=p) for p in "abc"] + [row("no screen", p) for p in "bcd"]
    rows += [row("no sparsity", p) for p in "abcd"]
    kept = report.comparable(rows)
    assert sorted((r.variant, r.prompt) for r in kept) == [
        (name, prompt) for name in ("no screen", "no sparsity", OURS) for prompt in "bc"
    ]
    assert report.comparable([]) == []


def test_prompt_by_prompt_every_cell_is_a_line():
    lines = report.by_prompt([row(similarity=0.25), row(prompt="q")], ("similarity",))
    assert lines.splitlines()[2:] == ["| demo | p | 0.250 |", "| demo | q | – |"]
    assert lines.startswith("| clip | prompt | CLIP similarity ↑ |")


def test_spread_is_over_seeds_not_over_prompts():
    rows = [row(seed=s, similarity=0.1 * s) for s in range(3)]
    rows += [row(prompt="q", seed=s, similarity=5 + 0.2 * s) for s in range(3)]
    rows += [row(prompt="r", similarity=77)]
    found = report.spreads(rows)
    assert found == {"similarity": pytest.approx(np.sqrt((0.1**2 + 0.2**2) / 2))}
    assert report.spreads(rows[-1:]) == {}


def test_the_csv_holds_every_cell():
    text = report.as_csv([row(similarity=0.123456789, seconds=3), row(problem="It broke, alas.")])
    first, second = csv.DictReader(text.splitlines())
    assert list(first)[5:-1] == list(COLUMNS)
    assert (first["similarity"], first["seconds"], first["drift"]) == ("0.123457", "3", "")
    assert second["problem"] == "It broke, alas."


def test_the_sheet_puts_images_under_their_names():
    red, blue = (np.full((30, 40, 3), c, np.uint8) for c in ((255, 0, 0), (0, 0, 255)))
    page = report.sheet(["one", "two"], [("first", [red, None]), ("second", [None, blue])])
    width, height = report.CELL
    right, lower = width + 2 * report.GAP, 2 * (report.LABEL + report.GAP) + height
    top = 2 * report.LABEL + report.GAP
    assert (page[top : top + height, report.GAP : report.GAP + width] == (255, 0, 0)).all()
    below = page[lower + report.LABEL :][:height]
    assert (below[:, right : right + width] == (0, 0, 255)).all()
    assert (page[top : top + height, right : right + width] == report.PAPER).all()


def test_the_sheet_shows_the_object_and_what_is_around_it():
    inside = np.zeros((90, 160), bool)
    inside[40:60, 100:130] = True
    x0, y0, x1, y1 = report.around(inside)
    assert (x1 - x0) / (y1 - y0) == pytest.approx(4 / 3, abs=0.05)
    assert 30 < x1 - x0 < 60
    assert x0 < 100 < 130 < x1
    assert y0 < 40 < 60 < y1
    assert (x0 + x1) / 2 == pytest.approx(115, abs=1)
    assert report.around(np.zeros((90, 160), bool)) == (0, 0, 160, 90)
