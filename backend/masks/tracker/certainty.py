"""How good a tracked mask is: the overlap with the true mask to be expected, frame by frame.

Four cues look at the mask's looks, not at its neighbours in time, so a mask that slipped onto the
background stays doubtful however steadily it is carried on. Their weights were fitted to clips with
known masks; docs/tracking.md has the figures.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.masks.tracker.features import ClipFeatures
from backend.masks.tracker.propagate import labels, propagated
from backend.motion.flow import F32

WEIGHTS = (0.31, 0.34, 0.35, 0.27)  # of the cues, in the order of `Cues`
OFFSET = -0.20
BINS = 8  # of each colour channel
TINY = 0.02  # of the key mask's area: a mask smaller than this is empty
ABSENT = 0.8  # expected overlap of an empty mask where the head sees nothing either
MISSED = 0.2  # and where it sees something


@dataclass(frozen=True)
class Cues:
    """Each 0..1.

    agreement: soft overlap with the head that sees no last mask. sharpness: how far the mask is
    from undecided. returned: overlap of the key mask with this mask propagated to the key frame.
    colours: overlap of the colour histograms. empty: neither the mask nor the head sees an object,
    1, or only the mask is empty or the object was lost, 0; None for others.
    """

    agreement: float
    sharpness: float
    returned: float
    colours: float
    empty: float | None = None

    @property
    def values(self) -> tuple[float, float, float, float]:
        """The four cues that are weighted."""
        return self.agreement, self.sharpness, self.returned, self.colours

    @property
    def expected(self) -> float:
        """The expected overlap with the true mask, 0..1."""
        if self.empty is not None:
            return MISSED + (ABSENT - MISSED) * self.empty
        weighted = float(np.dot(WEIGHTS, self.values)) + OFFSET
        return float(np.clip(weighted, 0, 1))


CERTAIN = Cues(1, 1, 1, 1)
"""Of a given mask."""


def expected_of(cues: Iterable[Cues]) -> F32:
    """The expected overlap of each, [T]."""
    return np.array([one.expected for one in cues], np.float32)


class Judge:
    """Judges masks of a clip by their looks. keys: masks [h,w], 0..1, by frame; some not empty."""

    def __init__(self, features: ClipFeatures, keys: dict[int, F32]) -> None:
        self._features = features
        self._keys = {t: mask for t, mask in keys.items() if (mask > 0.5).any()}
        self._colours = {t: self._histogram(t, mask > 0.5) for t, mask in self._keys.items()}

    def cues(self, t: int, mask: F32, head: F32) -> Cues:
        """Of a mask and the head's own, [h,w] each, 0..1; compared with the nearest key frame."""
        key = min(self._keys, key=lambda k: (abs(k - t), k))
        given = self._keys[key]
        inside = mask > 0.5
        if inside.sum() < TINY * float((given > 0.5).sum()):
            seen = float(head[head > 0.5].sum()) > TINY * float((given > 0.5).sum())
            return Cues(0, 0, 0, 0, empty=0.0 if seen else 1.0)
        back = propagated(
            self._features, key, [labels(self._features, t, inside.astype(np.float32))]
        )
        small = cv2.resize(given, back.shape[::-1], interpolation=cv2.INTER_AREA)
        possible = mask[mask > 0.1]
        return Cues(
            float(head[inside].sum() / (inside.sum() + head[~inside].sum())),
            float(np.abs(2 * possible - 1).mean()),
            float(np.minimum(back, small).sum() / np.maximum(back, small).sum()),
            float(np.minimum(self._histogram(t, inside), self._colours[key]).sum()),
        )

    def _histogram(self, t: int, inside: NDArray[np.bool_]) -> F32:
        bins = self._features.frames[t][inside].astype(np.int64) * BINS // 256
        index = (bins[:, 0] * BINS + bins[:, 1]) * BINS + bins[:, 2]
        counts = np.bincount(index, minlength=BINS**3).astype(np.float32)
        return np.asarray(counts / max(1, len(index)), np.float32)
