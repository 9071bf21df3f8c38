"""Tell interlaced frames that no flag marks as such, by their two fields.

In a progressive movie, the fields of one frame fit each other better than fields of two frames do.
In an interlaced one, one field fits a field of the next frame just as well, because both are one
field apart; the other field is three fields away from its counterpart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.media.compositing import Pixels

LOOKED_AT = 120  # most pairs of frames
COLUMNS = 3  # every how many columns are looked at
MOVING = 0.5  # grey levels by which the worse fit must exceed the fit within a frame
ASYMMETRY = 1.12  # least ratio of the worse fit to the better one between interlaced frames
SAME = 2.0  # most ratio of the better fit to the one within a frame
SHARE = 0.25  # of moving pairs; 3:2 pulldown leaves about two of five
LEAST = 2  # pairs


class CombDetector:
    """Looks at the frames of a movie in order."""

    def __init__(self) -> None:
        self._before: NDArray[np.int16] | None = None
        self._seen = self._moving = self._interlaced = 0

    def add(self, pixels: Pixels) -> None:
        """Look at the next frame [H,W,C]."""
        if self._seen >= LOOKED_AT or pixels.shape[0] < 8:
            return
        self._seen += 1
        lines = pixels[:, ::COLUMNS, 1].astype(np.int16)
        if self._before is not None and self._before.shape == lines.shape:
            self._compare(self._before, lines)
        self._before = lines

    @property
    def interlaced(self) -> bool:
        """Whether enough frames are interlaced."""
        return self._interlaced >= max(LEAST, SHARE * self._moving)

    def _compare(self, one: NDArray[np.int16], two: NDArray[np.int16]) -> None:
        own = min(_roughness(one), _roughness(two))
        odd, even = one.copy(), two.copy()
        odd[1::2], even[1::2] = two[1::2], one[1::2]
        better, worse = sorted((_roughness(odd), _roughness(even)))
        if worse < own + MOVING:
            return
        self._moving += 1
        self._interlaced += worse > ASYMMETRY * better and better < SAME * own


def _roughness(lines: NDArray[np.int16]) -> float:
    """How much each line differs from the mean of its neighbours."""
    return float(np.abs(lines[:-2] + lines[2:] - 2 * lines[1:-1]).mean())
