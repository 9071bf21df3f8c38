"""Configurations of the released Text2LIVE as edits: what is read, and what is named instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.cli.edit import parse, parser
from backend.cli.options import model_of
from backend.cli.text2live_config import with_configs
from protocol.jobs import ClipModel, JobError

BASE = """
seed: -1
device: cuda
text_criterion: spherical # spherical | cosine
bootstrap_epoch: -1
lambda_bootstrap: 10
lambda_structure: 3
n_epochs: 3000
gamma: 0.999
min_lr: 0.00001
clip_model_name: "ViT-B/32"  # ViT-B/16 | ViT-B/32 | ViT-L/14
num_scales: 7
"""
RUSTY = """
finetune_background: False
finetune_foreground: True
checkpoint_path: data/pretrained_nla_models/car-turn/checkpoint # path to the checkpoint file
maximum_number_of_frames: 70
screen_text: ["rusty jeep"]
comp_text: ["rusty jeep", "old jeep"]
src_text: ["jeep"]
bootstrap_epoch: 3000
bootstrap_text: "car"
"""


def write(tmp_path: Path, *texts: str) -> list[str]:
    words = []
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.yaml").write_text(text)
        words += ["--text2live-config", str(tmp_path / f"{number}.yaml")]
    return words


def test_a_clips_configuration_becomes_an_edit(tmp_path: Path) -> None:
    words = write(tmp_path, BASE, RUSTY)
    args = parse(["frames", *words, "--out", "o"])
    assert args.prompt == ["rusty jeep", "old jeep"]
    assert (args.source, args.screen, args.region, args.avoid) == (
        ["jeep"], ["rusty jeep"], ["car"], [],
    )  # fmt: skip
    assert (args.layer, args.engine, args.preset, args.seed) == ("foreground", "mlp", "final", 0)
    assert model_of(args) == ClipModel(name="ViT-B-32", pretrained="openai")
    assert "text2live-atlas import" in with_configs(words)[1][-1]


def test_a_stills_configuration_needs_no_base(tmp_path: Path) -> None:
    text = 'image_path: "./cake.jpeg"\nscreen_text: "ice"\ncomp_text: "ice"\nsrc_text: "cake"\n'
    args = parse(["cake.jpeg", *write(tmp_path, text), "--out", "o", "--seed", "4"])
    assert (args.prompt, args.source, args.region) == (["ice"], ["cake"], [])
    assert (args.engine, args.seed) == ("explicit", 4)


def test_options_win_and_texts_are_added(tmp_path: Path) -> None:
    more = ["--preset", "draft", "--layer", "background", "--model", "demo", "--source", "a jeep"]
    args = parse(["frames", *write(tmp_path, BASE, RUSTY), "--out", "o", *more])
    assert (args.preset, args.layer, args.source) == ("draft", "background", ["jeep", "a jeep"])
    assert model_of(args) == ClipModel()


def test_what_cannot_be_expressed_is_named(tmp_path: Path) -> None:
    changed = RUSTY + "lambda_structure: 5\nn_epochs: 500\nmy_option: 1\n"
    notes = " ".join(with_configs(write(tmp_path, BASE, changed))[1])
    assert "lambda_structure: 5" in notes
    assert "n_epochs: 500" in notes
    assert "my_option" in notes
    assert "gamma" not in notes
    off = " ".join(with_configs(write(tmp_path, RUSTY, BASE))[1])
    assert "bootstrap_text was left out" in off


def test_a_negative_text_counts_only_if_it_is_switched_on(tmp_path: Path) -> None:
    text = RUSTY + 'bootstrap_negative_text: ["road"]\n'
    for switch, avoid in (("False", []), ("True", ["road"])):
        words = write(tmp_path, text + f"use_negative_bootstrap: {switch}\n")
        assert parse(["frames", *words, "--out", "o"]).avoid == avoid


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: [", "config_unreadable"),
        ("- 1\n- 2", "config_unreadable"),
        ("comp_text: 3", "config_unreadable"),
        ("comp_text: [1, 2]", "config_unreadable"),
        (BASE, "no_prompt"),
        ("comp_text: !!python/object/apply:os.system ['true']", "config_unreadable"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str, code: str) -> None:
    with pytest.raises(JobError) as why:
        with_configs(write(tmp_path, text))
    assert why.value.problem.code == code


def test_a_missing_file_is_named_and_without_one_nothing_changes(tmp_path: Path) -> None:
    with pytest.raises(JobError) as why:
        with_configs(["--text2live-config", str(tmp_path / "no.yaml")])
    assert "no.yaml" in why.value.problem.message
    words = ["frames", "--prompt", "x", "--out", "o"]
    assert with_configs(words) == (words, [])
    assert vars(parse(words)) == vars(parser().parse_args(words))
