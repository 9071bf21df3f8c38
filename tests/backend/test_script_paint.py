"""The paint command with a stand-in backend: what it writes, a sentence for each bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_script_edit import connection, frames  # noqa: F401  (fixtures)

from backend import media
from backend.cli import paint


def run(connection: Path, frames: Path, *more: object) -> int:  # noqa: F811
    words = [frames, "--connection", connection, "--preset", "draft", *more]
    return paint.main([str(word) for word in words])


def test_both_atlases_are_written(connection: Path, frames: Path, tmp_path: Path) -> None:  # noqa: F811
    assert run(connection, frames, "--export-atlas", tmp_path / "atlas") == 0
    names = {file.name for file in (tmp_path / "atlas").iterdir()}
    assert names == {"foreground_atlas.png", "background_atlas.png"}


def test_paint_makes_a_layer(connection: Path, frames: Path, tmp_path: Path) -> None:  # noqa: F811
    image = np.zeros((36, 48, 4), np.uint8)
    image[10:20, 10:20] = 255
    media.write_png(tmp_path / "p.png", image)
    for words in (["--atlas", tmp_path / "p.png"], ["--frame", 1, "--paint", tmp_path / "p.png"]):
        out = tmp_path / str(len(words))
        assert run(connection, frames, *words, "--out", out) == 0
        assert len(list((out / "layer").iterdir())) == 4
        assert (out / "sheet.png").exists()


def test_a_painted_copy_of_the_frame_is_clear_where_it_is_the_frame() -> None:
    frame = np.random.default_rng(0).integers(0, 250, (6, 8, 3), dtype=np.uint8)
    image = np.concatenate([frame, np.full((6, 8, 1), 255, np.uint8)], 2)
    image[2, 3, :3] = 255
    clear = paint.without_frame(image, frame)
    assert (clear[..., 3] > 0).sum() == 1
    assert (clear[2, 3] == 255).all()
    image[0, 0, 3] = 128  # it has an alpha of its own
    assert paint.without_frame(image, frame) is image


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--paint", "p.png", "--out", "o"], "belong together"),
        (["--atlas", "p.png"], "No output folder"),
        (["--atlas", "none.png", "--out", "o"], "none.png"),
        (["--frame", "9", "--paint", "p.png", "--out", "o"], "has 4 frames"),
        (["--frame", "1", "--paint", "small.png", "--out", "o"], "the clip is 48×36"),
    ],
)
def test_bad_options_give_one_sentence(
    connection: Path,  # noqa: F811
    frames: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    media.write_png(tmp_path / "p.png", np.full((36, 48, 4), 9, np.uint8))
    media.write_png(tmp_path / "small.png", np.full((20, 40, 4), 9, np.uint8))
    assert run(connection, frames, *words) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
