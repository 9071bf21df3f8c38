"""The quality of an analysis in words, from the numbers the backend measured.

The limits are the backend's own warning limits (docs/atlas-format.md, Measures).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DOUBTFUL = 0.55  # mask confidence
EXPLAINED_DB = 24.0  # PSNR of held-out blocks
SLIP_PX = 1.5  # within eight frames
FOLDS = 0.01  # fraction of the object


@dataclass(frozen=True)
class Verdict:
    """One sentence about an analysis. good: there is nothing to improve."""

    good: bool
    text: str


def verdicts(numbers: Mapping[str, float], start: int) -> list[Verdict]:
    """Sentences about an analysis, warnings first. start: the clip's first timeline frame."""
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
            Verdict(True, f"Object mask: good on every frame (at least {worst:.0%} confident).")
        ]
    frame = start + int(numbers.get("mask_worst_frame", 0))
    return [
        Verdict(
            False,
            f"Object mask: doubtful, worst on frame {frame} ({worst:.0%} confident). "
            "Add a key frame of the mask there, and analyse again.",
        )
    ]


def _explained(numbers: Mapping[str, float]) -> list[Verdict]:
    held_out = numbers.get("psnr_held_out")
    if held_out is None:
        return []
    if held_out >= EXPLAINED_DB:
        return [Verdict(True, f"Reconstruction: good ({held_out:.1f} dB).")]
    return [
        Verdict(
            False,
            f"Reconstruction: rough ({held_out:.1f} dB). "
            "Use the quality Final, or a shorter piece of the shot.",
        )
    ]


def _slip(numbers: Mapping[str, float]) -> list[Verdict]:
    slip = numbers.get("slip_fg")
    if slip is None or slip <= SLIP_PX:
        return []
    return [
        Verdict(
            False,
            f"Tracking: an edit may slip on the object by {slip:.1f} pixels in 8 frames. "
            "Use the quality Final, or a shorter piece of the shot.",
        )
    ]


def _folds(numbers: Mapping[str, float]) -> list[Verdict]:
    folds = numbers.get("folds_fg")
    if folds is None or folds <= FOLDS:
        return []
    return [Verdict(False, f"Atlas: folded on {folds:.0%} of the object. Check edits there.")]
