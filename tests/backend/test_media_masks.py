"""Masks of any habit: what counts as the object, and what is said about it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from movies import write_movie
from test_media_images import PALETTE, encode, indexed

from backend import media
from protocol.jobs import JobError

INSIDE = np.zeros((20, 30), np.bool_)
INSIDE[5:15, 8:20] = True


def white(value: int = 255) -> np.ndarray:
    return np.where(INSIDE, value, 0).astype(np.uint8)


def grey(file: Path, values: np.ndarray) -> Path:
    cv2.imwrite(str(file), values)
    return file


def black_with_alpha(file: Path) -> Path:
    media.write_png(file, np.dstack([np.zeros((20, 30, 3), np.uint8), white()]))
    return file


def cut_out(file: Path) -> Path:
    colours = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    media.write_png(file, np.dstack([colours * INSIDE[..., None], white()]))
    return file


def labels(file: Path) -> Path:
    """DAVIS: index 1 and 2 of a palette whose colours are dark."""
    indices = INSIDE.astype(np.uint8)
    indices[10:] *= 2
    file.write_bytes(indexed(indices, PALETTE))
    return file


def label_colours(file: Path) -> Path:
    media.write_png(file, PALETTE[INSIDE.astype(np.uint8)])
    return file


def jpeg(file: Path) -> Path:
    jpg = file.with_suffix(".jpg")
    cv2.imwrite(str(jpg), white(), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return jpg


def exr(file: Path) -> Path:
    values = INSIDE.astype(np.float32)[..., None].repeat(3, 2)
    return encode(file.with_suffix(".exr"), "exr", "gbrpf32le", values, format="half")


@pytest.mark.parametrize(
    ("make", "note"),
    [
        (lambda f: grey(f, white()), ""),
        (lambda f: grey(f, white(1)), "everything that is not black counts"),
        (lambda f: grey(f, white(38)), "everything that is not black counts"),
        (lambda f: grey(f, white().astype(np.uint16) * 257), ""),
        (lambda f: grey(f, white(1).astype(np.uint16)), "brightest: 1 of 65535"),
        (lambda f: grey(f, white().astype(np.uint16)), "brightest: 255 of 65535"),
        (labels, "every colour other than black"),
        (label_colours, "every colour other than black"),
        (black_with_alpha, "read from the alpha"),
        (cut_out, "read from the alpha"),
        (jpeg, ""),
        (exr, ""),
        (lambda f: grey(f, cv2.GaussianBlur(white(100), (0, 0), 0.5)), "half of that counts"),
    ],
)
def test_the_object_is_found_in_a_mask_of_any_habit(tmp_path: Path, make, note: str) -> None:  # type: ignore[no-untyped-def]
    found = media.read_mask_source(make(tmp_path / "m.png"))
    (mask,) = found.masks
    assert set(np.unique(mask)) == {0, 255}
    assert ((mask > 0) != INSIDE).sum() <= 8
    assert note in " ".join(found.notes)
    assert bool(note) == bool(found.notes)


def test_what_is_object_is_decided_for_all_masks_of_a_folder_together(tmp_path: Path) -> None:
    for k, value in enumerate((255, 120, 30)):  # a mask that fades
        grey(tmp_path / f"{k}.png", white(value))
    found = media.read_mask_source(tmp_path)
    assert [bool(mask.any()) for mask in found.masks] == [True, False, False]
    assert "1.png and 1 more: the mask is empty" in " ".join(found.notes)


def test_a_frame_without_the_object_keeps_the_alpha_of_its_folder(tmp_path: Path) -> None:
    cut_out(tmp_path / "0.png")
    media.write_png(tmp_path / "1.png", np.dstack([np.full((20, 30, 3), 9, np.uint8), 0 * white()]))
    first, second = media.read_mask_source(tmp_path).masks
    assert (first > 0).sum() == INSIDE.sum()
    assert not second.any()


def test_a_movie_can_be_the_masks(tmp_path: Path) -> None:
    frames = [np.roll(white(), 2 * k, 1)[..., None].repeat(3, 2) for k in range(4)]
    movie = write_movie(tmp_path / "m.mp4", frames)
    masks = media.read_mask_source(movie).masks
    assert len(masks) == 4
    for mask, frame in zip(masks, frames, strict=True):
        assert ((mask > 0) != (frame[..., 0] > 0)).mean() < 0.03


def test_empty_masks_are_an_error_with_what_was_found(tmp_path: Path) -> None:
    file = grey(tmp_path / "m.png", white(0))
    with pytest.raises(JobError, match=r"m\.png is 0 of 255") as caught:
        media.read_mask_source(file)
    assert caught.value.problem.code == "masks_empty"
    assert "--no-object" in caught.value.problem.hint


def test_a_mask_that_is_white_everywhere_is_noted(tmp_path: Path) -> None:
    found = media.read_mask_source(grey(tmp_path / "m.png", np.full((4, 4), 255, np.uint8)))
    assert "white everywhere" in " ".join(found.notes)


def test_a_frame_without_the_object_keeps_the_palette_of_its_folder(tmp_path: Path) -> None:
    for k, label in enumerate((1, 0, 2)):
        indices = (label * INSIDE).astype(np.uint8)
        (tmp_path / f"{k}.png").write_bytes(indexed(indices, PALETTE))
    found = media.read_mask_source(tmp_path)
    assert [int((mask > 0).sum()) for mask in found.masks] == [INSIDE.sum(), 0, INSIDE.sum()]
    assert "1.png: the mask is empty" in " ".join(found.notes)


def test_a_mask_that_only_seems_empty_beside_the_others_is_named_with_its_brightness(
    tmp_path: Path,
) -> None:
    for k, value in enumerate((255, 1)):
        grey(tmp_path / f"{k}.png", white(value))
    notes = " ".join(media.read_mask_source(tmp_path).notes)
    assert "1.png: the mask is empty. Its brightest value is 1 of 255" in notes


def test_a_mask_that_may_be_inverted_is_noted(tmp_path: Path) -> None:
    assert media.read_mask_source(grey(tmp_path / "a.png", white())).notes == ()
    found = media.read_mask_source(grey(tmp_path / "b.png", 255 - white()))
    assert "b.png: the object covers every edge" in " ".join(found.notes)


def test_what_was_changed_in_a_movie_of_masks_is_noted(tmp_path: Path) -> None:
    frames = [white()[..., None].repeat(3, 2)] * 6
    movie = write_movie(tmp_path / "m.mp4", frames, stamps=[0, 1, 2, 6, 7, 8])
    found = media.read_mask_source(movie)
    assert len(found.masks) == 9
    assert "variable frame rate" in " ".join(found.notes)
