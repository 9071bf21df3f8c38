"""What the artist gave to find an object: masks, boxes, strokes, clicks, a text, a segmenter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backend.masks.segmenters.base import Click, Segmenter
from backend.motion.flow import F32

Box = tuple[float, float, float, float]
Relevancy = Callable[[NDArray[np.uint8]], F32]
"""Where a frame shows a text: uint8 [h,w,3] → float32 [h,w], 0..1. May raise Cancelled."""


@dataclass(frozen=True)
class MaskPrompts:
    """What a job says about where one object is, in pixels of the clip (H×W).

    mode: as `protocol.jobs.Masks.mode`; ``none``: the clip has no such object. keys: frame → mask
    uint8 [H,W] or [H,W,1], inside where above 127. boxes: frame → x0 y0 x1 y1. strokes: frame →
    uint8 [H,W], 0 nothing, 1..127 background, 128..255 object. relevancy: of the object's text;
    mode text needs it, mode auto may use it. size: H, W; (0, 0) means the working size.
    first_frame: number of the clip's frames before this shot; only notes count them.
    hidden: bool [T,h,w] at the working size, pixels covered by objects in front, where this
    object's mask is a guess.
    """

    mode: str
    keys: dict[int, NDArray[np.uint8]] = field(default_factory=dict)
    boxes: dict[int, Box] = field(default_factory=dict)
    strokes: dict[int, NDArray[np.uint8]] = field(default_factory=dict)
    clicks: tuple[Click, ...] = ()
    relevancy: Relevancy | None = None
    segmenter: Segmenter | None = None
    size: tuple[int, int] = (0, 0)
    first_frame: int = 0
    hidden: NDArray[np.bool_] | None = None
