"""Where the foreground is on every frame: given, carried from a few frames, or found from motion.

The mask decides the layer: the fit sharpens its edge but does not find a missing wing.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.atlas.automatic import from_motion
from backend.atlas.flow import F32, Flows, Mask, pull
from backend.atlas.grabcut import refine
from backend.progress import Reporter
from protocol.jobs import JobError

PHASE = "Finding the object"

BLUR = 0.7  # pixels; a hard edge becomes about one pixel soft
FAR = 25  # frames; further than this a carried mask has often drifted
CARRY = (1, 2, 4, 8)  # how far back a mask is fetched from; far ones have drifted less


def resolve_masks(
    frames: NDArray[np.uint8],
    keys: dict[int, NDArray[np.uint8]],
    mode: Literal["auto", "key", "all"] | str,
    flows: Flows,
    report: Reporter,
) -> F32:
    """Rough foreground masks of every frame: float32 [T,h,w], 0..1.

    frames: uint8 [T,h,w,3] at the working size. keys: frame → mask of any size, inside where
    above 127 (bool: where true). mode: ``all``: one per frame; frames without are carried, and the
    artist is told. ``key``: carried from the given frames through flow, refined by GrabCut.
    ``auto``: from motion. JobError no_foreground, mask_missing, mask_frame, mask_mode.
    """
    count, h, w, _ = frames.shape
    if mode not in ("auto", "key", "all"):
        raise JobError("mask_mode", f"There is no mask mode “{mode}”.", "Use auto, key or all.")
    if mode == "auto":
        soft = from_motion(frames, flows, report)
    else:
        given = {t: _to_size(mask, (h, w)) for t, mask in keys.items()}
        _check(given, count)
        missing = [t for t in range(count) if t not in given]
        if mode == "all" and missing:
            report.note(
                f"{len(missing)} of {count} frames have no mask; theirs were carried over from "
                "the nearest frames that have one."
            )
        distance, furthest = max((min(abs(t - k) for k in given), t) for t in range(count))
        if distance > FAR:
            report.note(
                f"The mask was carried over up to {distance} frames. If its outline drifts, add a "
                f"mask on frame {furthest}."
            )
        hard = carry(frames, given, flows, report) if missing else given
        soft = np.stack([hard[t] for t in range(count)]).astype(np.float32)
    report.step(PHASE, count, count)
    return np.stack([cv2.GaussianBlur(one, (0, 0), BLUR) for one in soft])


def _check(given: dict[int, Mask], count: int) -> None:
    if not given:
        raise JobError(
            "mask_missing",
            "No mask was given for any frame.",
            "Paint or pick a mask of the object on at least one frame, or let it be found.",
        )
    outside = [t for t in given if not 0 <= t < count]
    if outside:
        raise JobError(
            "mask_frame",
            f"There is a mask for frame {outside[0]}, but the clip has frames 0 to {count - 1}.",
            "Give masks only for frames of the clip.",
        )
    if not any(mask.any() for mask in given.values()):
        raise JobError(
            "no_foreground",
            "Every mask given is empty, so there is no foreground object.",
            "Give a mask with the object on at least one frame where it is seen.",
        )


def _to_size(mask: NDArray[np.uint8], size: tuple[int, int]) -> Mask:
    """A mask at the working size, by area."""
    flat = mask.reshape(mask.shape[0], mask.shape[1])
    inside = (flat if flat.dtype == np.bool_ else flat > 127).astype(np.float32)
    return np.asarray(cv2.resize(inside, size[::-1], interpolation=cv2.INTER_AREA) >= 0.5)


def carry(
    frames: NDArray[np.uint8], given: dict[int, Mask], flows: Flows, report: Reporter
) -> dict[int, Mask]:
    """Masks of every frame, carried from the given ones both ways; between two they are blended."""
    count = len(frames)
    order = sorted(given)
    work = max(1, 2 * (count - len(order)))
    ahead = _one_way(frames, given, flows, range(count), report, 0, work)
    behind = _one_way(frames, given, flows, range(count - 1, -1, -1), report, work // 2, work)
    out: dict[int, Mask] = {}
    for t in range(count):
        before = max((k for k in order if k <= t), default=None)
        after = min((k for k in order if k >= t), default=None)
        if before is None or after is None:
            out[t] = behind[t] if before is None else ahead[t]
        elif before == after:
            out[t] = given[t]
        else:
            share = (t - before) / (after - before)
            mixed = (1 - share) * signed_distance(ahead[t]) + share * signed_distance(behind[t])
            out[t] = mixed < 0
    return out


def _one_way(
    frames: NDArray[np.uint8],
    given: dict[int, Mask],
    flows: Flows,
    order: range,
    report: Reporter,
    done: int,
    work: int,
) -> dict[int, Mask]:
    """Carry in one direction of time; frames before the first given mask are left out."""
    out: dict[int, Mask] = {}
    run: list[int] = []  # frames since the last given mask, that one included
    for t in order:
        if t in given:
            out[t], run = given[t], [t]
            continue
        if not run:
            continue
        report.step(PHASE, min(done, work), work)
        done += 1
        votes = np.zeros(frames.shape[1:3], np.float32)
        weight = np.full(frames.shape[1:3], 1e-6, np.float32)
        for back in CARRY:
            if back > len(run) or back not in flows.gaps:
                continue
            flow, sure = flows.full(t, run[-back])
            # A short step is nearly always right, so it also votes where the flow is unsure.
            trust = sure.astype(np.float32) + (0.1 if back == 1 else 0.0)
            votes += trust * pull(out[run[-back]].astype(np.float32), flow)
            weight += trust
        out[t] = refine(frames[t], votes / weight > 0.5)
        run.append(t)
    return out


def signed_distance(mask: Mask) -> F32:
    """Distance to a mask's edge in pixels, negative inside; ±1e3 where there is no edge. [h,w]."""
    if not mask.any() or mask.all():
        return np.full(mask.shape, -1e3 if mask.any() else 1e3, np.float32)
    inside = mask.astype(np.uint8)
    out = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    deep = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    return np.asarray(np.where(mask, 0.5 - deep, out - 0.5), np.float32)
