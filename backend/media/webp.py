"""Read animated WebP, which FFmpeg cannot read, with OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import cv2
import numpy as np

from backend.media.compositing import Pixels
from backend.media.images import read_bytes
from backend.media.metadata import read_metadata
from backend.media.timing import ends_early, timing_of

BATCH = 32  # frames that are decoded at once
DEFAULT_MS = 100  # how long a frame without a duration is shown, as in browsers


class AnimatedWebp:
    """An animated WebP to read once, like a `movies.Movie`.

    rate: frames a second. shown: how many frames to expect. notes: of what may surprise, once all
    frames are read.
    """

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._data = read_bytes(path)
        self._durations = [
            one or DEFAULT_MS for one in read_metadata(self._data, "animated webp").durations
        ]
        self._stamps = list(accumulate(self._durations[:-1], initial=0))
        last = self._durations[-1] if self._durations else 0
        self._timing = timing_of(self._stamps, last, Fraction(1, 1000), [Fraction(10)])
        self.rate = self._timing.rate
        self.shown = self._timing.shown or len(self._durations)
        self.notes: list[str] = []

    def frames(self) -> Iterator[tuple[Pixels, int]]:
        """Frames as RGB or RGBA, uint8 [H,W,C], and how often each is shown, in order."""
        read = 0
        for stamp, pixels in zip(self._stamps, self._decoded(), strict=False):
            read += 1
            yield pixels, self._timing.repeats.get(stamp, 1)
        if read < len(self._durations):
            self.notes.append(ends_early(self._name, read, len(self._durations)))
        if self._timing.variable:
            self.notes.append(self._timing.note(self._name, read))

    def _decoded(self) -> Iterator[Pixels]:
        buffer = np.frombuffer(self._data, np.uint8)
        for start in range(0, len(self._durations), BATCH):
            ok, batch = cv2.imdecodeanimation(buffer, start, BATCH)
            if not ok:
                return
            for frame in batch.frames:
                order = [2, 1, 0, 3][: frame.shape[2]]
                yield np.ascontiguousarray(frame[..., order], np.uint8)
