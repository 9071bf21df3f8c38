"""The whole evaluation in small: cells are made once, measured by another model and reported."""

import csv
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from brief import make_brief
from tiny_clip import tiny_model

from backend import media
from backend.clip.places import DEMO_FOLDER
from backend.edit import config as edit_config
from backend.edit.config import EditConfig
from protocol.jobs import ClipModel, JobError
from scripts.measure.evaluate import __main__ as script
from scripts.measure.evaluate import cells, judge, plan, report
from scripts.measure.evaluate.cases import BUILT_IN, Case, MaskedClip, read_cases, read_clip
from scripts.measure.evaluate.measure import Bench
from scripts.measure.evaluate.variants import OURS, VARIANTS

CASE = Case(clip="demo", source="a blue swan", prompts=("a golden swan", "a wooden swan"))


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """Two prompts of a clip of four small frames, edited in this process by random weights."""
    make_brief(monkeypatch, (1, 1, 1), 1)
    monkeypatch.setattr(cells, "load_clip", lambda model, device: tiny_model())
    monkeypatch.setattr(plan, "pool", lambda parallel: ThreadPoolExecutor(parallel))
    file = tmp_path / "cases.json"
    file.write_text(
        json.dumps([{"clip": CASE.clip, "source": CASE.source, "prompts": CASE.prompts}])
    )

    def run(*more, minutes="9"):
        words = ["--judge", str(DEMO_FOLDER), "--out", str(tmp_path / "out"), "--cases", str(file)]
        sizes = ["--frames", "4", "--width", "96", "--minutes", minutes]
        return script.main([*words, *sizes, *more])

    return run


def rows_in(folder):
    return list(csv.DictReader((folder / "evaluation.csv").read_text().splitlines()))


@pytest.mark.slow
def test_a_run_continues_and_makes_nothing_twice(tiny, tmp_path, capsys):
    few = ("--variants", OURS, "frames alone", "--kinds", "clip", "still")
    assert tiny(*few, minutes="0") == 0
    assert "6 cells are left" in capsys.readouterr().out
    assert {row["variant"] for row in rows_in(tmp_path / "out")} == {"source"}

    assert tiny(*few) == 0
    said = capsys.readouterr().out
    assert said.count(" MB; ") == 6
    assert "0 cells are left" in said
    rows = rows_in(tmp_path / "out")
    assert len(rows) == 4 + 6
    for row in rows:
        made = row["variant"] != "source"
        assert bool(row["seconds"]) == made
        assert (float(row["coverage"]) > 0) == made
        assert bool(row["flicker"]) == (row["kind"] == "clip")
        assert row["drift"] == ""  # of clips longer than that alone

    assert tiny(*few) == 0
    assert " MB; " not in capsys.readouterr().out
    assert rows_in(tmp_path / "out") == rows
    text = (tmp_path / "out" / "evaluation.md").read_text()
    assert "| frames alone | 2 |" in text
    picture = media.read_image(tmp_path / "out" / "evaluation.jpg")
    assert picture.shape[1] > 3 * report.CELL[0]


@pytest.mark.slow
def test_seeds_give_the_spread(tiny, tmp_path, capsys):
    assert tiny("--variants", OURS, "--kinds", "still", "--repeat", "demo", "2") == 0
    assert "4 cells" not in capsys.readouterr().out
    rows = [row for row in rows_in(tmp_path / "out") if row["variant"] == OURS]
    assert sorted(row["seed"] for row in rows) == ["0", "0", "1", "1"]
    text = (tmp_path / "out" / "evaluation.md").read_text()
    assert "Spread over seeds" in text
    assert f"| {OURS} | 2 |" in text  # the means are of one seed


@pytest.mark.slow
def test_a_training_that_fails_is_reported_and_the_others_continue(
    tiny, tmp_path, monkeypatch, capsys
):
    real = cells.edit_image

    def fragile(image, setup):
        if setup.texts.prompt == ("a wooden swan",):
            raise JobError("diverged", "The edit broke down.", "Try another seed.")
        return real(image, setup)

    monkeypatch.setattr(cells, "edit_image", fragile)
    assert tiny("--variants", OURS, "--kinds", "still") == 0
    assert "The edit broke down." in capsys.readouterr().out
    problems = {row["prompt"]: row["problem"] for row in rows_in(tmp_path / "out")[2:]}
    assert problems == {"a golden swan": "", "a wooden swan": "The edit broke down."}
    assert f"| {OURS} | 2 (1 failed) |" in (tmp_path / "out" / "evaluation.md").read_text()


def test_unreadable_inputs_give_one_sentence(tiny, tmp_path, capsys):
    assert script.main(["--judge", str(tmp_path / "none"), "--out", str(tmp_path)]) == 2
    assert "There is no text-image model" in capsys.readouterr().err
    (tmp_path / "cases.json").write_text('[{"clip": "demo", "prompt": "x"}]')
    assert tiny() == 2
    assert "cases.json" in capsys.readouterr().err


@pytest.mark.slow
def test_every_cell_has_a_process_of_its_own():
    with plan.pool(1) as pool:
        ids = [pool.submit(os.getpid).result() for _ in range(2)]
    assert len({os.getpid(), *ids}) == 3


# --- the plan ------------------------------------------------------------------------------------


def test_cells_come_variant_by_variant_and_further_seeds_last():
    found = plan.cells_of([CASE], ["clip", "still"], [OURS, "atlas alone"], {"demo": 2})
    assert [(c.variant, c.still, c.prompt, c.seed) for c in found] == [
        (OURS, False, 0, 0), (OURS, False, 1, 0), (OURS, True, 0, 0), (OURS, True, 1, 0),
        ("atlas alone", False, 0, 0), ("atlas alone", False, 1, 0),
        (OURS, False, 0, 1), (OURS, False, 1, 1), (OURS, True, 0, 1), (OURS, True, 1, 1),
    ]  # fmt: skip


def footage(seed=0):
    rng = np.random.default_rng(seed)
    inside = np.zeros((3, 40, 60), bool)
    inside[:, 10:30, 20:44] = True
    return MaskedClip(rng.integers(0, 256, (3, 40, 60, 3), dtype=np.uint8), inside)


def order(variant=OURS, prompt=0, seed=0, still=True, clip=None, preset="draft", model="demo"):
    settings = plan.Settings(
        out=Path("out"), preset=preset, device="cpu", model=ClipModel(name=model), parallel=1
    )
    cell = plan.Cell(case=CASE, still=still, prompt=prompt, variant=variant, seed=seed)
    return plan.order_of(cell, clip or footage(), settings)


def test_a_cell_is_named_after_all_that_it_is_made_from(monkeypatch):
    key = cells.cell_key(order())
    assert key == cells.cell_key(order())
    others = [
        order(prompt=1), order(seed=1), order("no structure"), order(still=False),
        order("frames alone", still=False),
        order(clip=footage(1)), order(preset="final"), order(model="ViT-B-32"),
    ]  # fmt: skip
    keys = {key, *map(cells.cell_key, others)}
    monkeypatch.setattr(cells.train, "VERSION", "another")
    assert len(keys | {cells.cell_key(order())}) == len(others) + 2


def test_a_still_is_the_middle_frame_without_an_atlas():
    clip = footage()
    still, moving = order(clip=clip), order(clip=clip, still=False)
    np.testing.assert_array_equal(still.footage.frames, clip.frames[1:2])
    assert still.atlas is None
    assert moving.atlas is not None
    assert len(moving.footage.frames) == 3
    assert still.config == edit_config.preset("draft", video=False, layer="foreground")
    assert moving.config == edit_config.preset("draft", video=True, layer="foreground")


def test_ablations_remove_one_part():
    config = EditConfig()
    taken = {
        "no bootstrap": {"bootstrap": 0.0, "bootstrap_steps": 0},
        "no sparsity": {"sparsity": 0.0},
        "no structure": {"structure": 0.0},
        "no screen": {"screen": 0.0},
        "no internal": {"internal": False},
    }
    for name, change in taken.items():
        assert VARIANTS[name].change(config, False) == replace(config, **change)
        assert VARIANTS[name].how == "atlas"
    assert VARIANTS[OURS].change(config, True) == config


@pytest.mark.parametrize("still", [True, False])
def test_the_references_settings_at_its_own_steps(still):
    config = edit_config.preset("final", video=not still, layer="foreground")
    made = VARIANTS["reference"].change(config, still)
    assert (made.distance, made.structure_norm, made.same_views) == ("spherical", "mse", False)
    assert made.matte == (0, 1)
    assert made.steps == config.steps == (1000 if still else 3000)
    if still:
        assert (made.structure, made.sparsity, made.bootstrap) == (2, 6, 10)
        assert (made.bootstrap_steps, made.relevancy_windows) == (1000, 1)
    else:
        assert (made.structure, made.sparsity, made.sparsity_l0) == (3, 0.1, 0.005)
        assert (made.bootstrap, made.backdrop) == (0, "atlas")


# --- clips and cases -----------------------------------------------------------------------------


def test_the_built_in_cases_ask_four_prompts_each_of_three_clips():
    cases = read_cases(BUILT_IN)
    textures = {case.clip: case for case in cases if case.recipe == plan.TEXTURE}
    assert len(textures) >= 3
    assert all(len(case.prompts) >= 4 for case in textures.values())


def test_a_case_has_a_screen_for_every_prompt_or_none(tmp_path):
    case = Case(clip="demo", source="x", prompts=("a", "b"), screens=("c", "d"))
    assert (case.screen(1), CASE.screen(1)) == (("d",), ())
    assert case.cut(1) == Case(clip="demo", source="x", prompts=("a",), screens=("c",))
    assert case.cut(None) == case
    (tmp_path / "cases.json").write_text(
        '[{"clip": "demo", "source": "x", "prompts": ["a", "b"], "screens": ["c"]}]'
    )
    with pytest.raises(JobError, match="as many screens as prompts"):
        read_cases(tmp_path / "cases.json")


def test_an_effect_on_the_background_is_measured_where_the_object_is_not():
    clip = footage()
    assert clip.of_layer("foreground") is clip
    np.testing.assert_array_equal(clip.of_layer("background").inside, ~clip.inside)
    case = Case(
        clip="demo", source="a wall", prompts=("a wall on fire",), screens=("fire",),
        layer="background", recipe="effect",
    )  # fmt: skip
    found = plan.cells_of([case, CASE], ["clip", "still"], [OURS, "no screen"], {})
    mine = [cell for cell in found if cell.case is case]
    assert [(c.variant, c.kind) for c in mine] == [(OURS, "clip, effect")]
    settings = plan.Settings(
        out=Path("out"), preset="draft", device="cpu", model=ClipModel(), parallel=1
    )
    made = plan.order_of(mine[0], clip, settings)
    assert (made.layer, made.texts.screen) == ("background", ("fire",))
    assert made.config.opaque > 0


def test_a_folder_is_read_from_its_middle_and_made_smaller(tmp_path):
    for t in range(5):
        frame = np.full((40, 80, 3), 10 * t, np.uint8)
        mask = np.zeros((40, 80), np.uint8)
        mask[10:20, 20 + 2 * t : 40 + 2 * t] = 255
        media.write_png(tmp_path / "clip" / "frames" / f"{t:03d}.png", frame)
        media.write_png(tmp_path / "clip" / "masks" / f"{t:03d}.png", mask)
    made = read_clip("clip", tmp_path, 3, 40)
    assert made.frames.shape == (3, 20, 40, 3)
    assert made.frames[:, 0, 0, 0].tolist() == [10, 20, 30]
    assert made.middle == 1
    columns = np.nonzero(made.inside[1].any(0))[0]
    assert (columns.min(), columns.max()) == (12, 21)
    assert read_clip("clip", tmp_path, 9, 400).frames.shape == (5, 40, 80, 3)


def test_the_demo_comes_with_its_true_masks():
    made = read_clip("demo", Path("nowhere"), 2, 64)
    assert made.frames.shape == (2, 36, 64, 3)
    assert 0.05 < made.inside.mean() < 0.6


# --- the judge and the bench ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo_judge():
    return judge.Judge(str(DEMO_FOLDER), torch.device("cpu"))


def test_the_judge_sees_the_object_close_up(demo_judge):
    frame = np.zeros((1, 60, 100, 3), np.uint8)
    inside = np.zeros((1, 60, 100), bool)
    inside[0, 20:40, 70:90] = True
    frame[inside] = 255
    seen = demo_judge.close_ups(frame, inside)[0, ..., 0]
    assert seen.shape == (64, 64)
    white = seen > 127
    assert white.mean() == pytest.approx((20 / 26) ** 2, abs=0.03)
    assert np.abs(white.astype(int) - white[:, ::-1]).mean() < 0.05
    corner = np.zeros_like(inside)
    corner[0, 50:60, 95:100] = True
    assert demo_judge.close_ups(frame, corner).shape == (1, 64, 64, 3)


def test_the_judge_knows_gold_when_it_sees_it(demo_judge):
    clip = read_clip("demo", Path("nowhere"), 1, 192)
    bench = Bench(clip, demo_judge)
    prompts = ("a red swan", "a green swan")

    def painted(colour):
        rgba = np.zeros((1, *clip.frames.shape[1:3], 4), np.uint8)
        rgba[clip.inside] = (*colour, 235)
        return rgba

    right = bench.measure(painted((200, 20, 20)), "a blue swan", prompts, 0)
    wrong = bench.measure(painted((20, 150, 40)), "a blue swan", prompts, 0)
    nothing = bench.measure(painted((0, 0, 0)) * 0, "a blue swan", prompts, 0)
    assert right["similarity"] > max(wrong["similarity"], nothing["similarity"])
    assert right["direction"] > wrong["direction"]
    assert (right["named"], wrong["named"], nothing["named"]) == (1, 0, 0)
    assert nothing["direction"] == nothing["coverage"] == nothing["structure"] == 0
    assert nothing["edges"] == pytest.approx(0, abs=1e-6)
    assert right["coverage"] == pytest.approx(235 / 255, abs=0.01)
    assert right["psnr_outside"] == 100


@pytest.mark.parametrize(
    ("place", "asked"),
    [
        ("ViT-L-14 openai", ClipModel(name="ViT-L-14", pretrained="openai")),
        (str(DEMO_FOLDER), ClipModel(checkpoint=str(DEMO_FOLDER))),
        (f"ViT-B-32 {DEMO_FOLDER}", ClipModel(name="ViT-B-32", checkpoint=str(DEMO_FOLDER))),
    ],
)
def test_a_judge_is_a_place_or_a_name(place, asked):
    assert judge.model_at(place) == asked
