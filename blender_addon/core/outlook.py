"""What the main button will do and how long it takes, in a sentence."""

from __future__ import annotations

from .jobs import duration
from .settings import Kind

_WORK = {
    "atlas": "Finds the object, then separates the shot into layers.",
    "mask": "Finds the object on every frame. Nothing is painted.",
    "paint": "Maps the paint to every frame.",
}


def outlook(kind: Kind, frames: int, analysed: bool, seconds: float | None) -> str:
    """What a job of this kind on a strip will do, and how long such jobs took before.

    seconds: None if that is not known.
    """
    if kind == "edit":
        still = frames == 1
        if still:
            work = "Paints one image."
        elif analysed:
            work = f"Paints {frames} frames; the analysis is reused."
        else:
            work = f"Analyses the shot, then paints {frames} frames."
    else:
        work = _WORK[kind]
    if seconds is None:
        return work
    return f"{work} Estimated {duration(seconds)} (from earlier jobs on this backend)."
