"""All that may say where the object is, beside masks: boxes, strokes, a text, a segmenter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backend.masks.segmenters.base import Click, Segmenter
from backend.motion.flow import F32

Box = tuple[float, float, float, float]
Relevancy = Callable[[NDArray[np.uint8]], F32]
"""Where a text is in a frame: uint8 [h,w,3] → float32 [h,w], 0..1. Raises Cancelled when told."""


@dataclass(frozen=True)
class Hints:
    """What a job says about its object, in pixels of the clip (H×W).

    mode: as `protocol.jobs.Masks.mode`. boxes: frame → x0 y0 x1 y1. strokes: frame → uint8 [H,W],
    0 nothing, 1..127 background, 128..255 object. relevancy: of the object's text, for mode text,
    and a help for auto. first: how many frames of the whole clip come before these; frames are
    counted without them everywhere but in sentences. hidden: bool [T,h,w] at the working size, what
    is in front of the object; there its masks are a guess. numbers: filled with what was measured
    of the masks.
    """

    mode: str
    boxes: dict[int, Box] = field(default_factory=dict)
    strokes: dict[int, NDArray[np.uint8]] = field(default_factory=dict)
    clicks: tuple[Click, ...] = ()
    relevancy: Relevancy | None = None
    segmenter: Segmenter | None = None
    size: tuple[int, int] = (0, 0)
    first: int = 0
    hidden: NDArray[np.bool_] | None = None
    numbers: dict[str, float] = field(default_factory=dict)
