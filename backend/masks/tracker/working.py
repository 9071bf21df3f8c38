"""Motion between neighbouring frames, from a shot's optical flow, for the tracker."""

from __future__ import annotations

import cv2
import numpy as np

from backend.masks.tracker.follow import Motion
from backend.motion.flow import F32, Flows, compose

DISTRUST = 2.0  # working pixels that there and back may differ before flow counts little


class WorkingMotion:
    """Motion at the working size, or another size. Flow of gap 1 must be there, both ways."""

    def __init__(self, flows: Flows) -> None:
        self._flows = flows

    def of(self, t: int, before: int) -> Motion:
        """From frame t to the neighbouring frame `before`, in working pixels."""
        h, w = self._flows.size
        back, trust = self._read(t, before)
        return Motion(
            np.asarray(cv2.resize(back, (w, h)), np.float32),
            np.asarray(cv2.resize(trust, (w, h)), np.float32),
        )

    def at(self, size: tuple[int, int], t: int, before: int) -> Motion:
        """The same for frames of another size (h, w), in their pixels."""
        back, trust = self._read(t, before)
        scale = np.array([size[1] / self._flows.size[1], size[0] / self._flows.size[0]], np.float32)
        return Motion(
            np.asarray(cv2.resize(back, size[::-1]) * scale, np.float32),
            np.asarray(cv2.resize(trust, size[::-1]), np.float32),
        )

    def _read(self, t: int, before: int) -> tuple[F32, F32]:
        """Flow [h/2,w/2,2] in working pixels and its reliability."""
        back = self._flows.between[t, before].astype(np.float32)
        there = self._flows.between[before, t].astype(np.float32)
        h, w = self._flows.size
        half = np.array([there.shape[1] / w, there.shape[0] / h], np.float32)
        error = np.linalg.norm(compose(back * half, there * half) / half, axis=-1)
        return back, np.asarray(np.exp(-((error / DISTRUST) ** 2)), np.float32)
