"""Movies of every kind, written for tests with FFmpeg (PyAV)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def numbered(count: int, h: int = 48, w: int = 64) -> list[Pixels]:
    """Grey frames that can be told apart after compression: frame k is 20·k bright."""
    return [np.full((h, w, 3), 20 * k, np.uint8) for k in range(count)]


def order(frames: Sequence[Pixels] | Pixels) -> list[int]:
    """Which of the numbered frames these are."""
    return [round(float(frame.mean()) / 20) for frame in frames]


def write_movie(
    file: Path,
    frames: Sequence[Pixels],
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rate: Fraction | int = 25,
    stamps: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    prepare: Callable[[Any], None] = lambda stream: None,
    mark: Callable[[av.VideoFrame], None] = lambda frame: None,
    **container: Any,
) -> Path:
    """Write RGB or RGBA frames. stamps: of the frames, in frames at the rate. prepare: sets up the
    stream. mark: changes each frame before it is encoded."""
    with av.open(str(file), "w", **container) as out:
        stream: Any = out.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        prepare(stream)
        for k, pixels in enumerate(frames):
            kind = "rgba" if pixels.shape[2] == 4 else "rgb24"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=kind)
            frame = frame.reformat(format=pix_fmt)
            frame.pts = k if stamps is None else stamps[k]
            frame.time_base = 1 / Fraction(rate)
            mark(frame)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file
