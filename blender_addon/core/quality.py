"""How good an analysis is, in words: what its numbers mean for the edits that follow.

The limits are those at which the backend itself warns (docs/atlas-format.md, Measures).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DOUBTFUL = 0.5  # confidence of a mask
EXPLAINED_DB = 24.0  # of blocks the fit never saw
SLIP_PX = 1.5  # in eight frames
FOLDS = 0.01  # share of the object


@dataclass(frozen=True)
class Verdict:
    """One sentence about an analysis. good: nothing to do about it."""

    good: bool
    text: str


def verdicts(numbers: Mapping[str, float], start: int) -> list[Verdict]:
    """Sentences on an analysis, warnings first. start: the clip's first frame on the timeline."""
    found = [
        *_mask(numbers, start),
        *_explained(numbers),
        *_slip(numbers),
        *_folds(numbers),
    ]
    return sorted(found, key=lambda verdict: verdict.good)


def _mask(numbers: Mapping[str, float], start: int) -> list[Verdict]:
    worst = numbers.get("mask_confidence_worst")
    if worst is None:
        return []
    if worst >= DOUBTFUL:
        return [
            Verdict(True, f"The object's outline is sure on every frame ({worst:.0%} or more).")
        ]
    frame = start + int(numbers.get("mask_worst_frame", 0))
    return [
        Verdict(
            False,
            f"The object's outline is doubtful, most on frame {frame} ({worst:.0%} sure). "
            "Go there, draw the box or the mask on that frame, and analyse again.",
        )
    ]


def _explained(numbers: Mapping[str, float]) -> list[Verdict]:
    held_out = numbers.get("psnr_held_out")
    if held_out is None:
        return []
    if held_out >= EXPLAINED_DB:
        return [Verdict(True, f"The atlas explains the shot well ({held_out:.1f} dB).")]
    return [
        Verdict(
            False,
            f"The atlas explains the shot only roughly ({held_out:.1f} dB). "
            "Try the quality Final, or a shorter piece of the shot.",
        )
    ]


def _slip(numbers: Mapping[str, float]) -> list[Verdict]:
    slip = numbers.get("slip_fg")
    if slip is None or slip <= SLIP_PX:
        return []
    return [
        Verdict(
            False,
            f"An edit may slip on the object by {slip:.1f} pixels in 8 frames. "
            "Try the quality Final, or a shorter piece of the shot.",
        )
    ]


def _folds(numbers: Mapping[str, float]) -> list[Verdict]:
    folds = numbers.get("folds_fg")
    if folds is None or folds <= FOLDS:
        return []
    return [
        Verdict(False, f"The object's atlas is folded on {folds:.0%} of it: look at edits there.")
    ]
