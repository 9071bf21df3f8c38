"""Animate an edit for a web page: python -m scripts.animate FOOTAGE COMPOSITE OUT.webp

A line sweeps over the clip and back: the composite on its left, the footage on its right.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from backend import media

LINE = (255, 255, 255)
QUALITY = 60  # of WebP, 0 to 100


def sweep(
    footage: NDArray[np.uint8], composite: NDArray[np.uint8], width: int
) -> NDArray[np.uint8]:
    """Frames [T,h,w,3] of this width from two clips [T,H,W,3], with the line in its place."""
    height = 2 * round(footage.shape[1] * width / footage.shape[2] / 2)
    frames = []
    for t, (before, after) in enumerate(zip(footage, composite, strict=True)):
        small = [
            cv2.resize(one, (width, height), interpolation=cv2.INTER_AREA)
            for one in (before, after)
        ]
        edge = round(width * (0.5 - 0.5 * math.cos(2 * math.pi * t / len(footage))))
        frame = np.hstack([small[1][:, :edge], small[0][:, edge:]])
        frame[:, max(0, edge - 1) : edge + 1] = LINE
        frames.append(frame)
    return np.stack(frames)


def write_webp(path: Path, frames: NDArray[np.uint8], rate: float) -> None:
    """Write frames [T,H,W,3] sRGB as an animation that repeats. Raises OSError."""
    animation = cv2.Animation(0)
    animation.frames = [np.ascontiguousarray(one[..., ::-1]) for one in frames]
    animation.durations = [round(1000 / rate)] * len(frames)
    quality = [cv2.IMWRITE_WEBP_QUALITY, QUALITY]
    if not cv2.imwriteanimation(str(path), animation, quality):
        raise OSError(f"{path} could not be written.")


def main(arguments: list[str] | None = None) -> int:
    """Write the animation of two folders of frames."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("footage", type=Path, help="folder of the clip's frames")
    parser.add_argument("composite", type=Path, help="folder of the frames with the layer")
    parser.add_argument("out", type=Path, help="file to write, .webp")
    parser.add_argument("--width", type=int, default=480, help="width in pixels")
    parser.add_argument("--rate", type=float, default=12.0, help="frames per second")
    options = parser.parse_args(arguments)
    clips = [media.read_clip(one).frames for one in (options.footage, options.composite)]
    if clips[0].shape != clips[1].shape:
        parser.error("the two folders do not hold the same clip")
    write_webp(options.out, sweep(clips[0], clips[1], options.width), options.rate)
    return 0


if __name__ == "__main__":
    sys.exit(main())
