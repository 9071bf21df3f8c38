"""Fades and flashes are measured; a pan to something brighter is no change."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.motion.exposure import levels, report_exposure
from backend.progress import Silent

Pixels = NDArray[np.uint8]


def pan(count: int, height: int = 72, width: int = 128) -> Pixels:
    """A camera that pans over a scene that is dark on the left and bright on the right."""
    rng = np.random.default_rng(0)
    small = rng.integers(20, 90, (6, 24, 3)) * np.linspace(0.6, 2.4, 24)[None, :, None]
    scene = cv2.resize(small.astype(np.float32), (width + 6 * count, height),
                       interpolation=cv2.INTER_CUBIC).clip(0, 255)  # fmt: skip
    frames = np.stack([scene[:, 6 * t : 6 * t + width] for t in range(count)])
    return np.rint(frames).astype(np.uint8)


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def notes_of(frames: Pixels, first_frame: int = 0) -> list[str]:
    diary = Notes()
    report_exposure(frames, diary, first_frame)
    return diary.notes


def test_a_pan_to_something_brighter_is_no_change() -> None:
    frames = pan(16)
    assert frames[-1].mean() > 1.4 * frames[0].mean()
    np.testing.assert_allclose(levels(frames, Silent()), 1, atol=0.1)
    assert notes_of(frames) == []
    assert notes_of(frames[:1]) == []


def test_a_fade_is_measured_and_said() -> None:
    shown = np.array([1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2, 0.0])
    frames = np.rint(pan(9) * shown[:, None, None, None]).astype(np.uint8)
    np.testing.assert_allclose(levels(frames, Silent()), shown, atol=0.06)
    (note,) = notes_of(frames, first_frame=10)
    assert "is darker on frames 16 to 19" in note
    assert "on frame 19" in note
    assert "does not follow" in note


def test_a_flash_is_said_once() -> None:
    frames = pan(9)
    frames[4] = 255
    (note,) = notes_of(frames)
    assert "flashes on frame 5" in note
    np.testing.assert_allclose(np.delete(levels(frames, Silent()), 4), 1, atol=0.1)
