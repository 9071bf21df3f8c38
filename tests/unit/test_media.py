"""Frames in and out: exact pixels, natural order, and one clear sentence for every bad input."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from backend import media
from protocol.jobs import JobError


def image(seed: int, h: int = 9, w: int = 7, c: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (h, w, c), dtype=np.uint8)


def test_rgba_png_keeps_every_pixel_also_where_alpha_is_zero(tmp_path: Path) -> None:
    rgba = image(0, c=4)
    rgba[:4, :, 3] = 0
    media.write_png(tmp_path / "deep" / "a.png", rgba)
    read = cv2.imread(str(tmp_path / "deep" / "a.png"), cv2.IMREAD_UNCHANGED)
    assert read is not None
    np.testing.assert_array_equal(read[..., [2, 1, 0, 3]], rgba)


def test_a_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    frames = [image(i) for i in range(3)]
    for name, frame in zip(["f10.png", "f2.png", "f1.png"], frames, strict=True):
        media.write_png(tmp_path / name, frame)
    (tmp_path / "notes.txt").write_text("not a frame")
    (tmp_path / ".hidden.png").write_text("not a frame either")
    np.testing.assert_array_equal(media.read_frames(tmp_path), np.stack(frames[::-1]))


def test_one_image_is_a_clip_of_one_frame(tmp_path: Path) -> None:
    media.write_png(tmp_path / "still.png", image(0))
    assert media.read_frames(tmp_path / "still.png").shape == (1, 9, 7, 3)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_and_grey_become_eight_bit_colour(tmp_path: Path, channels: int) -> None:
    eight = np.random.default_rng(0).integers(0, 256, (24, 32, channels), np.uint8)
    stored = np.ascontiguousarray(eight[..., ::-1]) if channels == 3 else eight
    if channels == 4:
        stored = np.ascontiguousarray(eight[..., [2, 1, 0, 3]])
    cv2.imwrite(str(tmp_path / "0.png"), stored.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "1.png"), stored)
    frames = media.read_frames(tmp_path)
    assert frames.dtype == np.uint8
    assert frames.shape == (2, 24, 32, 3)
    assert np.array_equal(frames[0], frames[1])
    assert np.array_equal(frames[1], np.repeat(eight, 3, 2) if channels == 1 else eight[..., :3])


def test_a_movie_is_read_in_full(tmp_path: Path) -> None:
    frames = [np.full((32, 48, 3), 20 * i, np.uint8) for i in range(6)]
    media.write_video(tmp_path / "clip.mp4", frames, 24)
    read = media.read_frames(tmp_path / "clip.mp4")
    assert read.shape == (6, 32, 48, 3)
    assert [round(float(f.mean()) / 20) for f in read] == [0, 1, 2, 3, 4, 5]


def test_masks_are_zero_or_full(tmp_path: Path) -> None:
    media.write_png(tmp_path / "m.png", np.array([[0, 100, 128, 255]], np.uint8))
    assert media.read_mask(tmp_path / "m.png").tolist() == [[0, 0, 255, 255]]


def test_the_composite_is_exact_where_alpha_is_zero_and_over_elsewhere() -> None:
    frame, layer = image(1), image(2, c=4)
    layer[:3, :, 3] = 0
    layer[3:5, :, 3] = 255
    out = media.composite(frame, layer)
    np.testing.assert_array_equal(out[:3], frame[:3])
    np.testing.assert_array_equal(out[3:5], layer[3:5, :, :3])
    a = layer[5:, :, 3:] / 255.0
    np.testing.assert_allclose(out[5:], a * layer[5:, :, :3] + (1 - a) * frame[5:], atol=0.51)


def test_layers_that_share_a_pixel_leave_nothing_of_it_to_the_footage() -> None:
    share = np.linspace(0, 1, 9)  # of the object in each pixel
    frame = np.full((1, 9, 3), 200, np.uint8)
    front, back = np.zeros((2, 1, 9, 4), np.uint8)
    front[..., 0], front[..., 3] = 255, np.rint(share * 255)
    back[..., 2], back[..., 3] = 255, np.rint((1 - share) * 255)
    both = media.composite(media.composite(frame, media.fill_under(front, back)), front)
    np.testing.assert_allclose(both[0, :, 0], share * 255, atol=2)
    np.testing.assert_allclose(both[0, :, 2], (1 - share) * 255, atol=2)
    assert both[..., 1].max() <= 2
    clear = np.zeros_like(front)
    np.testing.assert_array_equal(media.fill_under(clear, back), back)


def test_two_layers_as_one_look_as_if_both_had_been_laid_over_the_frame() -> None:
    frame, front, back = image(0, c=3), image(1, c=4), image(2, c=4)
    front[:3, :, 3], back[:, :3, 3] = 0, 0
    front[3, :, 3], back[:, 3, 3] = 255, 255
    one = media.lay_over(front, back)
    np.testing.assert_array_equal(one[:3, 3:], back[:3, 3:])
    np.testing.assert_array_equal(one[3:, :3], front[3:, :3])
    np.testing.assert_array_equal(one[3], front[3])
    assert not one[:3, :3].any()
    twice = media.composite(media.composite(frame, back), front)
    once = media.composite(frame, one)
    assert np.abs(once.astype(int) - twice.astype(int)).max() <= 2


def nothing(folder: Path) -> Path:
    return folder / "no such folder"


def empty(folder: Path) -> Path:
    return folder


def broken_image(folder: Path) -> Path:
    media.write_png(folder / "0.png", image(0))
    (folder / "1.png").write_bytes(b"this is text")
    return folder


def empty_image(folder: Path) -> Path:
    (folder / "0.png").write_bytes(b"")
    return folder


def broken_movie(folder: Path) -> Path:
    (folder / "a.mp4").write_bytes(b"this is text")
    return folder / "a.mp4"


def mixed_sizes(folder: Path) -> Path:
    media.write_png(folder / "0.png", image(0))
    media.write_png(folder / "1.png", image(0, h=8))
    return folder


@pytest.mark.parametrize(
    ("make", "code", "words"),
    [
        (nothing, "file_missing", "no such folder"),
        (empty, "no_frames", "no images"),
        (broken_image, "not_an_image", "1.png cannot be read as an image"),
        (empty_image, "not_an_image", "0.png cannot be read as an image"),
        (broken_movie, "not_a_movie", "a.mp4 cannot be read as a movie"),
        (mixed_sizes, "frame_sizes_differ", "1.png is 7×8, but 0.png is 7×9"),
    ],
)
def test_bad_input_is_named(tmp_path: Path, make, code: str, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(JobError, match=words) as caught:
        media.read_frames(make(tmp_path))
    assert caught.value.problem.code == code
    assert caught.value.problem.hint


def test_a_missing_folder_of_masks_is_reported(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="cannot be read") as caught:
        media.image_files(tmp_path / "none")
    assert caught.value.problem.code == "file_missing"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_video_that_does_not_fit_is_reported_and_leaves_the_old_one(tmp_path: Path) -> None:
    import resource

    target = tmp_path / "a.mp4"
    frames = [image(i, 128, 192) for i in range(8)]
    media.write_video(target, frames[:2], 24)
    before = target.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))
    try:
        with pytest.raises(JobError, match="Could not write"):
            media.write_video(target, frames, 24)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_is_tried_before_the_work(tmp_path: Path) -> None:
    media.prepare_folder(tmp_path / "new" / "out", 1000)
    assert list((tmp_path / "new" / "out").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(JobError, match="Could not write") as caught:
        media.prepare_folder(tmp_path / "file" / "out", 1000)
    assert caught.value.problem.hint
    with pytest.raises(JobError, match="MiB are free"):
        media.prepare_folder(tmp_path, 1 << 60)


def test_a_full_disk_is_said_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.png"
    media.write_png(target, image(0))
    before = target.read_bytes()

    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(JobError, match="No space left") as caught:
        media.write_png(target, image(1))
    assert caught.value.problem.retryable
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]
