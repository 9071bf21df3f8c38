"""What the pixels of a stroke picture say; made smaller, it loses no thin stroke."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

NOTHING, BACKGROUND, OBJECT = 0, 1, 2


def read_strokes(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Labels [h,w] NOTHING, BACKGROUND, OBJECT of a stroke picture uint8 [H,W].

    picture: 0 not painted, 1..127 background, 128..255 object. A stroke of one pixel survives: a
    small pixel is painted when any pixel it covers is, object before background.
    """
    h, w = size
    out = np.zeros((h, w), np.uint8)
    for value, painted in (
        (BACKGROUND, (picture > 0) & (picture < 128)),
        (OBJECT, picture >= 128),
    ):
        share = cv2.resize(painted.astype(np.float32), (w, h), interpolation=cv2.INTER_AREA)
        out[share > 1e-4] = value
    return out
