"""A suggestion of what the object is: by motion, by colours and, if there is one, by a text.

On the middle frame, what moves and unions of colours are proposed and judged alike: a clear edge,
off the frame's border, near its middle, of a believable size, moving as one. The likeliest is
carried through the clip. A suggestion: its likeness to an object is its confidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.atlas import fields, proposals, textual
from backend.atlas.boxes import work_out
from backend.atlas.carry import carry, signed_distance
from backend.atlas.flow import F32, Flows, Mask
from backend.atlas.hints import Relevancy
from backend.atlas.motion_masks import from_motion
from backend.progress import Reporter
from protocol.jobs import JobError

PHASE = "Finding the object"

LOOKS = (0.5,)  # where in the clip proposals are made
LEAST, MOST = 0.004, 0.5  # believable share of the frame
SMALL, LARGE = 0.02, 0.3  # shares between which no size is likelier than another
MIDDLE = 0.45  # of the half diagonal: how far from the middle objects lie
TRIED = 4  # proposals of a frame that are worked out
TRUSTED = 1.6  # how much likelier it is what moves, where motion is not in doubt ...
LIKELIER = 1.3  # ... and where it is
SURE = 0.45  # likeness of an object that is not doubted
HELP = "Check the mask, or give a mask or a box on a frame for a better layer."


@dataclass(frozen=True)
class Proposal:
    """A mask of a frame and how much like an object it is, about 0..1."""

    frame: int
    mask: Mask
    score: float
    moving: bool = False


def suggest(
    frames: NDArray[np.uint8], flows: Flows, report: Reporter, relevancy: Relevancy | None = None
) -> tuple[NDArray[np.bool_], F32]:
    """Masks bool [T,h,w] of the likeliest object, and how likely it is one, float32 [T] 0..1.

    JobError no_foreground where nothing moves and no text says what to look for.
    """
    count = len(frames)
    moving, doubt = _moving(frames, flows, report)
    picked = sorted({min(count - 1, int(share * count)) for share in LOOKS})
    maps = {} if relevancy is None else {t: relevancy(frames[t]) for t in picked}
    best: Proposal | None = None
    for i, t in enumerate(picked):
        report.step(PHASE, i, len(picked))
        for one in _of_frame(t, frames, flows, moving, doubt, maps.get(t)):
            if best is None or one.score > best.score:
                best = one
    if best is None or (moving is None and relevancy is None):
        raise JobError(
            "no_foreground",
            "No object was found that moves against the background.",
            "Give a mask or a box of the object on at least one frame.",
        )
    if best.moving and moving is not None:
        if doubt:
            report.note(f"The object was found by its motion, but {doubt}. {HELP}")
        return moving, np.full(count, 0.8 if doubt else 1.0, np.float32)
    hard = carry(frames, {best.frame: best.mask}, flows, report)
    likely = min(1.0, best.score / SURE)
    report.note(f"The object was found by its colours and place: it is a suggestion. {HELP}")
    return np.stack([hard[t] for t in range(count)]), np.full(count, likely, np.float32)


def _moving(
    frames: NDArray[np.uint8], flows: Flows, report: Reporter
) -> tuple[NDArray[np.bool_] | None, str]:
    try:
        return from_motion(frames, flows, report)
    except JobError:
        return None, "nothing moves"


def _of_frame(
    t: int,
    frames: NDArray[np.uint8],
    flows: Flows,
    moving: NDArray[np.bool_] | None,
    doubt: str,
    blob: F32 | None,
) -> list[Proposal]:
    """The proposals of a frame that are worked out."""
    frame = frames[t]
    out = []
    if moving is not None and moving[t].any():
        worth = likeness(frame, moving[t]) * (LIKELIER if doubt else TRUSTED)
        out.append(
            Proposal(
                t,
                moving[t],
                worth * _text(blob, moving[t]) * _together(t, frames, flows, moving[t]),
                True,
            )
        )
    if moving is None or doubt:
        pieces = _pieces(frame)
        if blob is not None:
            pieces.append(textual.from_blob(frame, blob))
        ranked = sorted(pieces, key=lambda one: -likeness(frame, one) * _text(blob, one))
        for mask in ranked[:TRIED]:
            out.append(_worked_out(t, mask, frames, flows, blob))
    return out


def _worked_out(
    t: int, mask: Mask, frames: NDArray[np.uint8], flows: Flows, blob: F32 | None
) -> Proposal:
    """A rough proposal with its edge decided by place, colour and motion."""
    reach = max(4, round(0.15 * float(np.sqrt(mask.sum()))))
    found = work_out(t, frames, flows, mask, fields.dilate(mask, reach))
    score = likeness(frames[t], found) * _text(blob, found) * _together(t, frames, flows, found)
    return Proposal(t, found, score)


def _pieces(frame: NDArray[np.uint8]) -> list[Mask]:
    """Connected unions of colours of a believable size, each once."""
    h, w = frame.shape[:2]
    seen: set[tuple[int, ...]] = set()
    out: list[Mask] = []
    for union in proposals.by_colour(frame, np.ones((h, w), np.bool_), LEAST):
        count, label, stats, _ = cv2.connectedComponentsWithStats(union.astype(np.uint8))
        for i in range(1, count):
            share = stats[i, cv2.CC_STAT_AREA] / (h * w)
            key = tuple(int(v) // 4 for v in stats[i])
            if LEAST < share < MOST and key not in seen:
                seen.add(key)
                out.append(proposals.filled(label == i))
    return out


def likeness(frame: NDArray[np.uint8], mask: Mask) -> float:
    """How much like an object a mask is, 0..1: edge, middle, size, off the border, compact."""
    h, w = mask.shape
    share = float(mask.mean())
    if not LEAST < share < MOST:
        return 0.0
    size = min(1.0, share / SMALL) ** 0.5 * min(1.0, (MOST - share) / (MOST - LARGE))
    ys, xs = np.nonzero(mask)
    off = np.hypot((xs.mean() - w / 2) / (w / 2), (ys.mean() - h / 2) / (h / 2)) / np.sqrt(2)
    middle = float(np.exp(-((off / MIDDLE) ** 2)))
    hull = cv2.convexHull(np.stack([xs, ys], -1).astype(np.int32))
    compact = float(mask.sum()) / max(1.0, cv2.contourArea(hull))
    apart = proposals.contrast(frame, mask)
    return float(apart * middle * size * proposals.alone(mask) ** 3 * min(1.0, compact) ** 0.5)


def _text(blob: F32 | None, mask: Mask) -> float:
    """How much likelier a text makes a mask: 0.5..1.5; 1 without a text."""
    if blob is None or not mask.any() or mask.all():
        return 1.0
    soft = np.clip(0.5 - signed_distance(mask) / 16, 0, 1)
    return 1.0 + 0.5 * float(np.nan_to_num(np.corrcoef(blob.ravel(), soft.ravel())[0, 1]))


def _together(t: int, frames: NDArray[np.uint8], flows: Flows, mask: Mask) -> float:
    """How much likelier a mask is because it moves as one and unlike the rest: 0.5..1.5."""
    if not mask.any() or mask.all():
        return 1.0
    votes = np.clip(fields.motion_votes(t, len(frames), flows, mask), -2, 2)
    ring = fields.dilate(mask, 12) & ~fields.dilate(mask, 2)
    inside = float(votes[mask].mean()) if mask.any() else 0.0
    outside = float(votes[ring].mean()) if ring.any() else 0.0
    return float(np.clip(1.0 + 0.25 * (inside - outside), 0.5, 1.5))
