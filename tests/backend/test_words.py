"""What a model cannot read of a prompt is said before any work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from backend.cli import edit
from backend.clip.load import load_clip
from backend.clip.places import DEMO_FOLDER
from backend.clip.words import KnownWords
from backend.edit.texts import remarks_on
from backend.methods import edit as methods_edit
from protocol.jobs import Clip, ClipModel, EditJob, JobError, ObjectRef
from scripts.demo_model import captions
from scripts.demo_model.export import load_exported
from scripts.demo_model.tokens import UNKNOWN

COMMON = [
    "a", "an", "the", "of", "in", "on", "with", "and", "made", "out", "covered", "painted",
    "from", "over", "into", "turned", "to", "like", "old", "new", "very", "big", "small",
    "large", "little", "giant", "huge", "tiny", "shiny", "rusty", "dirty", "clean", "wet",
    "dry", "golden", "wooden", "stone", "metal", "glass", "paper", "ice", "snow", "fire",
    "smoke", "rain", "fog", "beautiful", "realistic", "detailed", "photorealistic", "bright",
    "dark", "light", "colorful", "colourful", "texture", "style", "pattern", "winter", "summer",
    "autumn", "spring", "night", "day", "forest", "desert", "city", "sea", "sky",
]  # fmt: skip


@pytest.fixture(scope="module")
def demo():
    return load_clip(ClipModel(), "cpu")


def test_training_teaches_the_commonest_words_of_prompts():
    taught = KnownWords(captions.classes(), tuple(captions.other_phrases()))
    assert taught.unknown(COMMON) == []
    assert [n for n, phrases in taught.classes["looks"].items() if len(set(phrases)) < 3] == []


def test_the_demo_lists_no_word_that_its_token_table_lacks(demo):
    _, tokens = load_exported(DEMO_FOLDER)
    words = sorted(demo.words.all)
    assert len(words) > 300
    assert [w for w, row in zip(words, tokens(words), strict=True) if UNKNOWN in row] == []


def test_every_look_of_the_demo_has_three_ways_to_say_it(demo):
    looks = demo.words.classes["looks"]
    assert len(looks) >= 57
    assert [name for name, phrases in looks.items() if len(set(phrases)) < 3] == []


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("a golden swan", []),
        ("A GOLDEN Swan, covered in snow!", []),
        ("ein Schwan aus Samt", ["ein", "Schwan", "aus", "Samt"]),
        ("лебедь из золота", ["лебедь", "из", "золота"]),
        ("金色天鹅", ["金色天鹅"]),
        ("a swan 🦢 made of 🔥", ["🦢", "🔥"]),
        ("a “golden” swan-boat", []),
        ("velvet velvet swan", ["velvet"]),
    ],
)
def test_unknown_words_are_named_as_written(demo, text, unknown):
    assert demo.words.unknown([text]) == unknown
    remarks = remarks_on(demo, [text])
    assert len(remarks) == bool(unknown)
    assert all(word in remarks[0] for word in unknown)


def test_a_text_past_the_models_length_is_told_where_it_is_cut(demo):
    short = "a golden swan in the snow"
    long = " ".join(["a golden swan on a meadow"] * 6)
    assert remarks_on(demo, [short]) == []
    (remark,) = remarks_on(demo, [long])
    kept = demo.readable(long, spare=7)
    assert f"“{kept}”" in remark
    assert long.startswith(kept)
    assert 15 <= len(kept.split()) <= 23


def test_one_endless_word_is_kept_whole(demo):
    assert demo.readable("gold" * 100) == "gold" * 100


def test_a_damaged_list_of_words_is_named(tmp_path: Path):
    folder = Path(load_clip.__code__.co_filename).parent / "demo"
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "words.json").unlink()
    (tmp_path / "words.json").write_text(json.dumps({"classes": 3}), encoding="utf-8")
    with pytest.raises(JobError) as error:
        load_clip(ClipModel(checkpoint=str(tmp_path)), "cpu")
    assert error.value.problem.code == "weights_broken"
    assert "words.json" in error.value.problem.message


def test_words_are_compared_without_case_and_punctuation(tmp_path: Path):
    path = tmp_path / "words.json"
    path.write_text('{"classes": {"looks": {"gold": ["Golden"]}}, "other": ["a {}!"]}', "utf-8")
    assert KnownWords.read(path).unknown(["GOLDEN, a tin"]) == ["tin"]


def test_the_command_line_lists_what_the_demo_knows(capsys):
    with pytest.raises(SystemExit) as end:
        edit.parser().parse_args(["--list-looks"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert "looks (" in shown
    assert "gold " in shown
    assert "gilded" in shown
    assert "effects (5)" in shown


def test_an_edit_starts_with_what_the_model_cannot_read(tmp_path: Path):
    """The note comes before the frames are even fetched."""
    notes: list[str] = []

    class StoppedError(Exception):
        pass

    class Waiting:
        device, data, job = torch.device("cpu"), tmp_path, "j"

        def note(self, text: str) -> None:
            notes.append(text)

        def __getattr__(self, name: str) -> object:
            raise StoppedError

    frame = ObjectRef(digest="0" * 64, dtype="uint8", shape=(32, 32, 3))
    job = EditJob(clip=Clip(frames=(frame, frame)), prompt=("a velvet swan",))
    with pytest.raises(StoppedError):
        methods_edit.run(job, Waiting())
    assert "velvet" in notes[0]
