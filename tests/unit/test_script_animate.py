"""An edit as an animation for a web page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend import media
from scripts.animate import main, sweep

BEFORE = np.full((6, 32, 48, 3), (20, 60, 200), np.uint8)
AFTER = np.full((6, 32, 48, 3), (220, 160, 20), np.uint8)


def folder(path: Path, frames: np.ndarray) -> str:
    path.mkdir()
    for number, frame in enumerate(frames):
        media.write_png(path / f"{number:05d}.png", frame)
    return str(path)


def test_the_line_sweeps_from_footage_to_composite_and_back() -> None:
    made = sweep(BEFORE, AFTER, 48)
    shown = [float((one == AFTER[0, 0, 0]).all(-1).mean()) for one in made]
    assert shown[0] == 0
    assert max(shown) == shown[3] > 0.9
    assert (made[1][:, -1] == BEFORE[0, 0, 0]).all()


def test_the_animation_has_the_clips_frames(tmp_path: Path) -> None:
    out = tmp_path / "out.webp"
    folders = folder(tmp_path / "a", BEFORE), folder(tmp_path / "b", AFTER)
    assert main([*folders, str(out), "--width", "24"]) == 0
    assert media.read_clip(out).frames.shape == (6, 16, 24, 3)


def test_two_clips_of_other_lengths_are_refused(tmp_path: Path) -> None:
    folders = folder(tmp_path / "a", BEFORE), folder(tmp_path / "b", AFTER[:3])
    with pytest.raises(SystemExit):
        main([*folders, str(tmp_path / "out.webp")])
    assert not (tmp_path / "out.webp").exists()
