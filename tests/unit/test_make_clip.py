"""The demo clip's truth agrees with its pictures."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from scripts.make_clip import SyntheticClip, make_clip, write_clip


@pytest.fixture(scope="module")
def clip() -> SyntheticClip:
    return make_clip(frames=13, height=108, width=192, seed=3)


def _look_up(image: np.ndarray, points_xy: np.ndarray) -> np.ndarray:
    at = (points_xy - 0.5).astype(np.float32)[None]
    return cv2.remap(image.astype(np.float32), at, None, cv2.INTER_LINEAR)[0]


def test_shapes_and_ranges(clip: SyntheticClip) -> None:
    assert clip.frames.shape == (13, 108, 192, 3)
    assert clip.frames.dtype == np.uint8
    assert clip.alpha.shape == (13, 108, 192)
    assert clip.alpha.dtype == clip.fg_uv.dtype == clip.bg_uv.dtype == np.float32
    assert clip.fg_uv.shape == clip.bg_uv.shape == (13, 108, 192, 2)
    assert clip.alpha.min() == 0
    assert clip.alpha.max() == pytest.approx(1, abs=1e-3)
    assert 0.08 < clip.alpha.mean() < 0.4
    assert np.logical_and(clip.alpha > 0.05, clip.alpha < 0.95).any(), "edges are antialiased"


@pytest.mark.parametrize("layer", ["foreground", "background"])
def test_a_painted_point_lands_on_its_own_colour(clip: SyntheticClip, layer: str) -> None:
    inside = clip.alpha if layer == "foreground" else 1 - clip.alpha
    sure = [cv2.erode((a > 0.99).astype(np.uint8), np.ones((5, 5))) for a in inside]
    y, x = np.nonzero(sure[0])
    start = np.stack([x, y], -1) + 0.5
    end = clip.track(start, 0, 12, layer)
    lands = _look_up(sure[12], end) > 0.999
    assert lands.sum() > 300
    there = _look_up(clip.frames[12], end)[lands]
    here = clip.frames[0][y, x].astype(np.float32)[lands]
    stays = clip.frames[12][y, x].astype(np.float32)[lands]
    error = np.abs(there - here).mean()
    assert error < 0.4 * np.abs(stays - here).mean(), "following the truth beats standing still"
    assert error < 9


def test_track_there_and_back_is_the_start(clip: SyntheticClip) -> None:
    points = np.array([[20.0, 30.0], [111.5, 50.5], [180.0, 100.0]])
    for layer in ("foreground", "background"):
        moved = clip.track(points, 1, 11, layer)
        assert np.abs(moved - points).max() > 2
        np.testing.assert_allclose(clip.track(moved, 11, 1, layer), points, atol=1e-6)


def test_track_agrees_with_layer_coordinates(clip: SyntheticClip) -> None:
    start = np.array([[120.5, 70.5]])
    end = clip.track(start, 0, 9, "foreground")
    uv = _look_up(clip.fg_uv[9], end)
    np.testing.assert_allclose(uv, clip.fg_uv[0][70, 120][None], atol=2e-4)


def test_seed_decides_the_clip() -> None:
    small = {"frames": 2, "height": 48, "width": 80}
    assert np.array_equal(make_clip(seed=5, **small).frames, make_clip(seed=5, **small).frames)
    assert not np.array_equal(make_clip(seed=5, **small).frames, make_clip(seed=6, **small).frames)


def test_written_clip_reads_back(clip: SyntheticClip, tmp_path: Path) -> None:
    write_clip(clip, tmp_path)
    frame = cv2.imread(str(tmp_path / "frames" / "00004.png"))
    mask = cv2.imread(str(tmp_path / "masks" / "00004.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(frame[..., ::-1], clip.frames[4])
    assert np.array_equal(mask, clip.masks()[4])
    assert set(np.unique(mask)) == {0, 255}
