"""The interface of segmentation models, and the errors of loading one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backend.progress import Reporter
from protocol.jobs import JobError

EXTRA = "pip install 'text2live-blender[segment]'"


@dataclass(frozen=True)
class Click:
    """A point of a frame, in its pixels; inside: on the object, otherwise on the background."""

    frame: int
    x: float
    y: float
    inside: bool = True


@dataclass(frozen=True)
class SegmenterPrompts:
    """Which object to segment. boxes: frame → x0 y0 x1 y1, pixels.

    Every frame with prompts has a box or a click on the object.
    """

    boxes: dict[int, tuple[float, float, float, float]]
    clicks: tuple[Click, ...] = ()


@dataclass(frozen=True)
class Segmented:
    """masks: bool [T,H,W]. confidence: float32 [T], 0..1, the model's own."""

    masks: NDArray[np.bool_]
    confidence: NDArray[np.float32]


class Segmenter(Protocol):
    """A model that finds an object in every frame of a clip."""

    def segment(
        self, frames: NDArray[np.uint8], prompts: SegmenterPrompts, report: Reporter
    ) -> Segmented:
        """Masks of the prompted object. frames: uint8 [T,H,W,3] sRGB."""


def weights_at(path: str, what: str) -> Path:
    """The path of weights; JobError segmenter_weights if nothing is there."""
    found = Path(path).expanduser()
    if not path or not found.exists():
        where = f"there are none at {found}" if path else "no path was given"
        raise JobError(
            "segmenter_weights",
            f"The segmentation model needs {what}, but {where}.",
            "Download the weights and enter their path on the backend's machine, or draw "
            "a mask or a box on one frame instead.",
        )
    return found


def missing(package: str) -> JobError:
    """The error for a package that is not installed."""
    return JobError(
        "segmenter_missing",
        f"The segmentation model needs the package {package}, which is not installed.",
        f"Install it on the backend's machine: {EXTRA}.",
    )


def damaged(path: Path, why: Exception) -> JobError:
    """The error for weights that cannot be used."""
    return JobError(
        "segmenter_weights",
        f"The weights at {path} cannot be used: {str(why).splitlines()[0] if str(why) else why!r}.",
        "Check that they belong to this model.",
    )
