"""Edited frames of the command line: which frame of the clip each file shows."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from backend.cli.arrays import JobArrays
from backend.cli.edit import parser
from backend.cli.painted_frames import JobFiles, read_painted_frames
from backend.cli.painter_options import chosen_painter, painter_settings
from backend.media import SourceClip, write_png, write_video
from protocol.jobs import JobError

CLIP = SourceClip(np.zeros((4, 32, 32, 3), np.uint8), None, (7, 8, 9, 10))


def images(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for level, name in enumerate(names):
        write_png(folder / name, np.full((16, 16, 3), 10 * level, np.uint8))
    return folder


def frames_of(path: Path, clip: SourceClip = CLIP) -> list[int]:
    return [one.frame for one in read_painted_frames(path, clip, JobArrays())]


def test_images_are_matched_by_their_numbers(tmp_path: Path) -> None:
    folder = images(tmp_path / "some", "swan.0010.png", "swan.0008.png")
    assert frames_of(folder) == [1, 3]
    assert frames_of(folder / "swan.0010.png") == [3]


def test_as_many_images_as_frames_are_matched_in_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert frames_of(images(tmp_path / "all", "1.png", "2.png", "3.png", "4.png")) == [0, 1, 2, 3]
    assert "matched in order" in capsys.readouterr().out
    assert frames_of(images(tmp_path / "words", "a.png", "b.png", "c.png", "d.png")) == [0, 1, 2, 3]


def test_an_image_of_no_frame_of_the_clip_is_refused(tmp_path: Path) -> None:
    for folder, name in (("far", "11.png"), ("unnamed", "swan.png")):
        with pytest.raises(JobError, match="7 to 10") as why:
            frames_of(images(tmp_path / folder, name))
        assert why.value.problem.code == "painted_frame_unknown"
    with pytest.raises(JobError) as why:
        frames_of(tmp_path / "nowhere")
    assert why.value.problem.code == "file_missing"


def test_a_still_takes_any_image(tmp_path: Path) -> None:
    still = SourceClip(CLIP.frames[:1], None, (0,))
    assert frames_of(images(tmp_path / "one", "edited.png") / "edited.png", still) == [0]


@pytest.mark.parametrize("count", [3, 4, 5])
def test_a_movie_has_the_length_of_the_clip(tmp_path: Path, count: int) -> None:
    movie = tmp_path / "edited.mp4"
    write_video(movie, [np.full((32, 32, 3), 40 * n, np.uint8) for n in range(count)], Fraction(24))
    if count == 4:
        assert frames_of(movie) == [0, 1, 2, 3]
        return
    with pytest.raises(JobError, match="but the clip has 4") as why:
        frames_of(movie)
    assert why.value.problem.code == "painted_length_differs"


def test_reference_images_are_read_into_the_job(tmp_path: Path) -> None:
    photo = images(tmp_path / "photos", "moss.png") / "moss.png"
    words = ["clip", "--prompt", "moss", "--out", "o", "--reference", str(photo)]
    args = parser("text2live").parse_args([*words, "--reference-weight", "0.8"])
    arrays = JobArrays()
    made = painter_settings(args, "text2live", JobFiles(CLIP, arrays))
    assert made["reference_weight"] == 0.8
    assert arrays(made["reference"][0]["digest"]).shape == (16, 16, 3)


def test_edited_frames_alone_choose_their_painter_and_need_no_prompt() -> None:
    words = ["clip", "--painted-frames", "edit.mp4", "--out", "o"]
    assert chosen_painter(words) == "from_frames"
    assert parser("from_frames").parse_args(words).painted_frames == Path("edit.mp4")
    assert chosen_painter(["clip", "--prompt", "x", "--out", "o"]) == "text2live"
