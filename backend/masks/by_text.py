"""Find an object by a text: relevancy of a text-image model, turned into a mask by colours.

Relevancy is a soft blob. On several frames, averaged along the flow, it seeds GrabCut; the frame
whose mask matches its blob best is the one to carry through the clip.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.masks.grabcut import cut
from backend.masks.graph_refine import tidy
from backend.masks.prompts import Relevancy
from backend.motion import fields
from backend.motion.fields import signed_distance
from backend.motion.flow import F32, Flows, Mask, pull
from backend.progress import Reporter

PHASE = "Finding the object"

LOOKS = 7  # frames searched for the text
CORE, MAYBE = 0.6, 0.3  # shares of the highest relevancy
ROUNDS = 4


@dataclass(frozen=True)
class Match:
    """A frame's relevancy float32 [h,w], 0..1, the mask made from it, and how well they agree."""

    frame: int
    relevancy: F32
    mask: Mask
    score: float


def find_text(
    frames: NDArray[np.uint8], relevancy: Relevancy, flows: Flows, report: Reporter
) -> list[Match]:
    """Masks of the text on several frames."""
    count = len(frames)
    picked = sorted({round(i) for i in np.linspace(0, count - 1, min(LOOKS, count) + 2)[1:-1]})
    maps: dict[int, F32] = {}
    for i, t in enumerate(picked):
        report.step(PHASE, i, len(picked))
        maps[t] = relevancy(frames[t])
    out = []
    for t in picked:
        near = _averaged(t, maps, flows)
        mask = from_blob(frames[t], near)
        out.append(Match(t, near, mask, _agreement(near, mask)))
    return out


def best(matches: list[Match]) -> Match | None:
    """The frame whose mask matches its relevancy best; None if nothing was found."""
    return max((one for one in matches if one.mask.any()), key=lambda one: one.score, default=None)


def _averaged(t: int, maps: dict[int, F32], flows: Flows) -> F32:
    """A frame's relevancy, averaged with that of the frames that flow reaches."""
    total, weight = maps[t].copy(), np.ones(flows.size, np.float32)
    for other, one in maps.items():
        if other != t and (t, other) in flows.between:
            flow, sure = flows.full(t, other)
            total += sure * pull(one, flow)
            weight += sure
    return np.asarray(total / weight, np.float32)


def from_blob(frame: NDArray[np.uint8], blob: F32) -> Mask:
    """GrabCut of a frame seeded by a soft blob [h,w]: bool [h,w]."""
    low, high = np.percentile(blob, (20, 99.5))
    share = np.clip((blob - low) / max(1e-6, float(high - low)), 0, 1)
    core, maybe = share > CORE, share > MAYBE
    label = np.where(maybe, cv2.GC_PR_BGD, cv2.GC_BGD).astype(np.uint8)
    wide = fields.dilate(maybe, 6)
    label[wide & ~maybe] = cv2.GC_PR_BGD
    label[core] = cv2.GC_PR_FGD
    label[share > 0.9] = cv2.GC_FGD
    found = cut(frame, label, ROUNDS, max(frame.shape[:2]))
    if found is None or found.sum() < 0.2 * core.sum():
        return tidy(core)
    return tidy(found)


def _agreement(blob: F32, mask: Mask) -> float:
    """Correlation of a blob with its mask, 0..1."""
    if not mask.any() or mask.all():
        return 0.0
    soft = np.clip(0.5 - signed_distance(mask) / 16, 0, 1)
    return max(0.0, float(np.corrcoef(blob.ravel(), soft.ravel())[0, 1]))
