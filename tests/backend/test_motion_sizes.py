"""Frames of any shape: wide, tall and tiny. No image derived from them is too small for flow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from backend import media
from backend.cli.sheet import contact_sheet
from backend.masks.confidence import outlined
from backend.masks.tracker.features import tracker_size
from backend.media.combing import CombDetector
from backend.motion.cuts import find_cuts
from backend.motion.flashes import find_flashes
from backend.motion.flow import MIN_SIDE, dis_flow, working_size
from backend.motion.likeness import SMALL, thumbnail
from backend.progress import Silent

ROOT = Path(__file__).resolve().parents[2]


def shapes(count: int) -> list[tuple[int, int]]:
    """Random heights and widths with sides of 8 to 4096 and aspect ratios of 1:12 to 12:1."""
    rng = np.random.default_rng(0)
    found = []
    while len(found) < count:
        long_side = int(np.exp2(rng.uniform(3, 12)))
        short_side = max(8, round(long_side / rng.uniform(1, 12)))
        pair = (short_side, max(long_side, short_side))
        found.append(pair if rng.random() < 0.5 else pair[::-1])
    return [(8, 8), (341, 4096), (4096, 341), (112, 384), (4096, 4096), *found]


@pytest.mark.parametrize("long_side", [SMALL, 320, 960])
def test_the_working_size_never_falls_below_what_flow_needs(long_side: int) -> None:
    for height, width in shapes(500):
        rows, columns = working_size(height, width, long_side)
        assert min(rows, columns) >= min(MIN_SIDE, height, width)
        assert rows <= height
        assert columns <= width
        scale = rows / height
        assert abs(columns - width * scale) <= 0.5 + width / (2 * height)


def test_the_tracker_s_frames_are_never_too_small_for_its_features() -> None:
    for shape in shapes(500):
        for size in (tracker_size(working_size(*shape, 480), 320), tracker_size(shape, 432)):
            assert min(size) >= 48
            assert not any(side % 16 for side in size)


@pytest.mark.parametrize("size", [(8, 8), (8, 96), (96, 8), (9, 31), (341, 4096)])
def test_frames_of_every_shape_are_shown_and_looked_at(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (3, *size, 3), np.uint8)
    layer = np.dstack([frames[0], frames[0, ..., :1]])
    media.write_video(tmp_path / "a.mp4", frames[:2], 24)
    assert len(media.read_frames(tmp_path / "a.mp4")) == 2
    assert contact_sheet("title", [("row", [frames[0], layer])]).shape[1] == 1606
    assert outlined(frames[0], layer[..., 3] > 127).min() >= 0
    detector = CombDetector()
    for frame in frames:
        detector.add(frame)
    assert not detector.interlaced
    assert find_flashes(frames) == []


def test_cuts_are_searched_for_in_frames_of_every_shape() -> None:
    """In a process of its own: DIS ends the process when an image is too small for it."""
    sizes = {working_size(*shape, SMALL) for shape in shapes(120)}
    script = f"""
import cv2, numpy as np
from backend.motion.cuts import find_cuts
from backend.motion.flow import dis_flow
from backend.progress import Silent
cv2.setNumThreads(1)
rng = np.random.default_rng(0)
for height, width in {sorted(sizes)!r}:
    frames = rng.integers(0, 256, (2, height, width, 3), np.uint8)
    find_cuts(frames, Silent())
    for fast in (False, True):
        flow = dis_flow(frames[0, ..., 0], frames[1, ..., 0], fast=fast)
        assert flow.shape == (height, width, 2) and np.isfinite(flow).all(), (height, width)
print("done")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout.strip()) == (0, "done"), done.stderr[-2000:]


@pytest.mark.parametrize("size", [(112, 384), (384, 112), (34, 408)])
def test_a_cut_in_a_wide_clip_is_found(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    scenes = [
        cv2.resize(rng.integers(low, low + 90, (6, 9, 3), np.uint8), size[::-1])
        for low in (20, 150)
    ]
    frames = np.stack([np.roll(scenes[t // 4], 2 * t, 1) for t in range(8)])
    assert min(thumbnail(frames[0]).shape[:2]) >= MIN_SIDE
    assert find_cuts(np.asarray(frames, np.uint8), Silent()) == [4]


def test_padding_does_not_change_the_motion() -> None:
    rng = np.random.default_rng(0)
    wide = cv2.GaussianBlur(rng.integers(0, 256, (16, 160), np.uint8), (0, 0), 2)
    wide = np.asarray(cv2.normalize(wide, None, 0, 255, cv2.NORM_MINMAX), np.uint8)
    flow = dis_flow(wide[:, 3:150], wide[:, 1:148])
    assert flow.shape == (16, 147, 2)
    np.testing.assert_allclose(np.median(flow[..., 0]), 2, atol=0.3)
