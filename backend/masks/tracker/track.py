"""Track an object from key masks through a shot: by looks, or over short gaps by flow alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from backend.masks.carry import PHASE, carry
from backend.masks.tracker.config import DRAFT, LEAST, SHORT, TrackerConfig
from backend.masks.tracker.crops import around
from backend.masks.tracker.edges import sharpened
from backend.masks.tracker.features import ClipFeatures, resized, tracker_size
from backend.masks.tracker.network import network
from backend.masks.tracker.shot import Shot, track_shot, work
from backend.masks.tracker.working import WorkingMotion
from backend.motion.flow import F32, Flows, Mask
from backend.progress import Reporter

LARGER = 1.2  # times the tracker's frames: from there on, edges are sharpened at working size too
WHILE = 2  # frames on each side over which the promise of crops and whole frames is averaged
CLEARLY = 0.05  # by how much whole frames must promise more to be chosen


@dataclass(frozen=True)
class Tracked:
    """masks: bool [T,h,w]. expected: overlap with the true masks to be expected, float32 [T].

    expected is None where flow alone carried the masks: it does not know.
    """

    masks: NDArray[np.bool_]
    expected: F32 | None


@dataclass(frozen=True)
class Tracker:
    """Tracks objects with one config on one device."""

    config: TrackerConfig = DRAFT
    device: torch.device = torch.device("cpu")  # noqa: RUF009  (a constant)

    def track(
        self,
        frames: NDArray[np.uint8],
        given: dict[int, Mask],
        flows: Flows,
        report: Reporter,
        hidden: NDArray[np.bool_] | None = None,
    ) -> Tracked:
        """Masks of every frame from the given ones, frame → bool [h,w].

        frames: uint8 [T,h,w,3] at the working size. An empty given mask means that the object is
        not there; tracking stops at it. hidden: bool [T,h,w], what is in front of the object; there
        the masks are a guess. On a CPU the same input gives the same bytes.
        """
        count = len(frames)
        near = all(min(abs(t - key) for key in given) <= SHORT for t in range(count))
        if near or not any(mask.any() for mask in given.values()):
            masks = carry(frames, given, flows, report, hidden)
            return Tracked(np.stack([masks[t] for t in range(count)]), None)
        size = tracker_size(*flows.size, self.config.long_side, LEAST)
        motion = WorkingMotion(flows)
        shot = Shot(
            ClipFeatures(resized(frames, size), network(str(self.device))),
            {t: _to_size(mask, size) for t, mask in given.items()},
            partial(motion.at, size),
            None if hidden is None else np.stack([_to_size(one, size) > 0.5 for one in hidden]),
        )
        once = work(self.config, count, len(given))
        progress = _Progress(report, 2 * once if self.config.crops else once)
        result = track_shot(shot, self.config, progress.tick)
        masks_THW = [_at_working_size(mask, frames[t]) for t, mask in enumerate(result.masks)]
        expected = result.expected
        crops = around(result.masks, flows.size) if self.config.crops else None
        if crops is not None:
            progress.done = once
            closer = crops.shot(frames, given, motion, shot.features.network, hidden)
            second = track_shot(closer, self.config, progress.tick)
            for t in np.flatnonzero(_better(second.expected, expected)):
                pasted = crops.paste(int(t), second.masks[t])
                coarse = crops.maps[t, 0, 0] * LARGER < 1
                masks_THW[t] = sharpened(pasted, frames[t]) if coarse else pasted
                expected[t] = second.expected[t]
        hard = np.stack([mask > 0.5 for mask in masks_THW])
        for t, mask in given.items():
            hard[t] = mask
        return Tracked(hard, expected)


def _better(crops: F32, whole: F32) -> NDArray[np.bool_]:
    """On which frames crops are chosen: where whole frames do not clearly promise more."""
    kernel = np.ones(2 * WHILE + 1) / (2 * WHILE + 1)
    gain = np.convolve(np.pad(crops - whole, WHILE, mode="edge"), kernel, "valid")
    return np.asarray(gain > -CLEARLY)


@dataclass
class _Progress:
    report: Reporter
    total: int
    done: int = 0

    def tick(self) -> None:
        self.report.step(PHASE, min(self.done, self.total), self.total)
        self.done += 1


def _to_size(mask: Mask, size: tuple[int, int]) -> F32:
    out = cv2.resize(mask.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(out, np.float32)


def _at_working_size(mask: F32, frame: NDArray[np.uint8]) -> F32:
    """A mask [h,w], 0..1, at the size of a frame."""
    h, w = frame.shape[:2]
    full = np.asarray(cv2.resize(mask, (w, h), interpolation=cv2.INTER_LINEAR), np.float32)
    return sharpened(full, frame) if max(h, w) > LARGER * max(mask.shape) else full
