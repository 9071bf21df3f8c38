"""The mask options of the command line become the job's masks, or a clear error."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.cli.arrays import JobArrays
from backend.cli.mask_options import add_mask_options, behind_of, masks_of
from protocol.jobs import JobError, Masks


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_mask_options(parser)
    return parser.parse_args(list(words))


def told(*words: str) -> Masks:
    return masks_of(parsed(*words), JobArrays(), range(8))


def told_behind(*words: str) -> tuple[Masks, ...]:
    return behind_of(parsed(*words), JobArrays(), range(8))


@pytest.fixture
def picture(tmp_path: Path) -> str:
    path = tmp_path / "mask.png"
    cv2.imwrite(str(path), np.full((4, 6), 200, np.uint8))
    return str(path)


def test_without_options_the_object_is_searched_for() -> None:
    assert told() == Masks(mode="auto")


def test_masks_boxes_and_strokes_on_frames_go_together(picture: str) -> None:
    masks = told(
        "--key-mask", f"3={picture}", "--box", "0=1,2,30,40.5", "--strokes", f"7={picture}"
    )
    assert masks.mode == "key"
    assert [key.frame for key in masks.keys] == [3]
    assert (masks.boxes[0].frame, masks.boxes[0].y1) == (0, 40.5)
    assert masks.strokes[0].frame == 7
    assert masks.strokes[0].mask.shape == (4, 6, 1)


def test_numbered_options_describe_the_objects_behind(picture: str, tmp_path: Path) -> None:
    words = ("--box", "0=1,2,3,4", "--key-mask-2", f"1={picture}", "--masks-3", str(tmp_path))
    second, third = told_behind(*words)
    assert told(*words).boxes[0].x1 == 3
    assert (second.mode, second.keys[0].frame) == ("key", 1)
    assert (third.mode, len(third.keys)) == ("all", 8)
    assert told_behind("--box", "0=1,2,3,4") == ()
    assert told_behind("--mask-text-2", "boat")[0].texts == ("boat",)


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (("--box-3", "0=1,2,3,4"), "bad_masks", "--box-2"),
        (("--box-2", "0=1,2,3,4", "--mask-text-2", "car"), "bad_masks", "--masks"),
        (("--box-2", "1,2,3,4"), "bad_key_mask", "--box-2 0=10,"),
    ],
)
def test_nonsense_about_objects_behind_is_refused_too(
    words: tuple[str, ...], code: str, hint: str
) -> None:
    with pytest.raises(JobError) as caught:
        told_behind(*words)
    assert caught.value.problem.code == code
    assert hint in caught.value.problem.hint


def test_a_text_or_no_object_at_all() -> None:
    assert told("--mask-text", "swan", "--mask-text", "goose").texts == ("swan", "goose")
    assert told("--no-object").mode == "none"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--no-object", "--mask-text", "swan"), "bad_masks"),
        (("--no-object", "--box", "0=1,2,3,4"), "bad_masks"),
        (("--box", "1,2,3,4"), "bad_key_mask"),
        (("--box", "0=1,2,3"), "bad_box"),
        (("--box", "0=1,2,3,4", "--box", "0=1,2,3,5"), "mask_twice"),
        (("--key-mask", "mask.png"), "bad_key_mask"),
    ],
)
def test_contradictions_are_refused_with_a_hint(words: tuple[str, ...], code: str) -> None:
    with pytest.raises(JobError) as caught:
        told(*words)
    assert caught.value.problem.code == code
    assert caught.value.problem.hint
