"""Prompts to choose from: earlier ones, and looks that the built-in model knows."""

from __future__ import annotations

from pathlib import Path

from blender_addon.core.prompts import DEMO_LOOKS, KEPT, PromptHistory

CARD = Path(__file__).resolve().parents[2] / "backend" / "clip" / "demo" / "README.md"


def test_earlier_prompts_come_back_newest_first(tmp_path: Path) -> None:
    history = PromptHistory(tmp_path / "user" / "prompts.json")
    for prompt in ("a red car", "a boat ", "", "a red car"):
        history.add(prompt)
    assert PromptHistory(tmp_path / "user" / "prompts.json").prompts == ("a red car", "a boat")
    assert history.suggest("BOAT", "ViT-B-32:openai") == ["a boat"]
    for number in range(KEPT + 5):
        history.add(f"prompt {number}")
    assert len(history.prompts) == KEPT


def test_looks_are_suggested_for_the_built_in_model_only(tmp_path: Path) -> None:
    history = PromptHistory(tmp_path / "prompts.json")
    assert history.suggest("a swan of go", "demo") == ["a swan of gold"]
    assert history.suggest("a swan of go", "ViT-B-32:openai") == []


def test_a_damaged_or_unwritable_file_only_loses_suggestions(tmp_path: Path) -> None:
    (tmp_path / "prompts.json").write_text("{")
    history = PromptHistory(tmp_path / "prompts.json")
    assert history.prompts == ()
    blocked = tmp_path / "file"
    blocked.write_text("")
    PromptHistory(blocked / "prompts.json").add("a boat")


def test_the_model_card_names_every_suggested_look() -> None:
    card = " ".join(CARD.read_text("utf-8").split())
    assert [look for look in DEMO_LOOKS if look not in card] == []
