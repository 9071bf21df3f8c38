"""Which text-image model a command line names."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.cli.edit import parser
from backend.cli.options import model_of
from protocol.jobs import ClipModel, JobError

B32 = "ViT-B-32"


def model(*words: str) -> ClipModel:
    return model_of(parser().parse_args(["frames", "--prompt", "x", "--out", "o", *words]))


def test_one_option_or_three_name_the_same() -> None:
    assert model() == ClipModel()
    assert model("--model", f"{B32}:openai") == model("--model", B32, "--pretrained", "openai")
    both = model("--model", f"{B32}:openai:mine.pt")
    assert both == model("--model", B32, "--pretrained", "openai", "--checkpoint", "mine.pt")
    assert both == ClipModel(name=B32, pretrained="openai", checkpoint="mine.pt")
    assert model("--model", "ViT-B/32") == ClipModel(name=B32, pretrained="openai")
    assert model("--model", "ViT-B/32", "--checkpoint", "mine.pt").pretrained == ""


def test_a_file_or_folder_that_is_here_gets_its_full_path(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    whole = str(tmp_path / "mine")
    assert model("--model", "./mine").checkpoint == whole
    assert model("--checkpoint", "mine").checkpoint == whole
    there = model("--model", "./mine", "--connection", "c.json")  # on the backend's machine
    assert there.checkpoint == "./mine"


@pytest.mark.parametrize("option", ["--pretrained", "--checkpoint"])
def test_weights_that_are_named_twice_are_refused(option: str) -> None:
    with pytest.raises(JobError) as why:
        model("--model", f"{B32}:openai", option, "other")
    assert option in why.value.problem.message
