"""Track an object from key masks through a shot: by looks, or over short gaps by flow alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from backend.masks.bridge import bridged
from backend.masks.carry import PHASE, carry
from backend.masks.tracker.certainty import Cues, expected_of
from backend.masks.tracker.config import DRAFT, SHORT, TrackerConfig
from backend.masks.tracker.crops import Crops, around
from backend.masks.tracker.edges import sharpened
from backend.masks.tracker.features import ClipFeatures, resized, to_size, tracker_size
from backend.masks.tracker.network import network
from backend.masks.tracker.rescue import needs_rescue, promise, rescued
from backend.masks.tracker.shot import Result, Shot, track_shot, work
from backend.masks.tracker.working import WorkingMotion
from backend.motion.flow import F32, Flows, Mask, on_frames
from backend.progress import Reporter, Silent

LARGER = 1.2  # times the tracker's frames: from there on, edges are sharpened at working size too
CLEARLY = 0.05  # by how much whole frames must promise more to be chosen


@dataclass(frozen=True)
class Tracked:
    """masks: bool [T,h,w]. cues: of each frame's mask, None if flow alone carried the masks."""

    masks: NDArray[np.bool_]
    cues: tuple[Cues, ...] | None = None

    @property
    def expected(self) -> F32 | None:
        """Overlap with the true masks to be expected, [T]; None where flow does not know."""
        return None if self.cues is None else expected_of(self.cues)


@dataclass(frozen=True)
class Tracker:
    """Tracks objects with one config on one device.

    blind: frames that show nothing of the shot, such as flashes. Objects are tracked over them.
    """

    config: TrackerConfig = DRAFT
    device: torch.device = torch.device("cpu")  # noqa: RUF009  (a constant)
    blind: frozenset[int] = frozenset()

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
        if self.blind - given.keys():
            return self._over_gaps(frames, given, flows, report, hidden)
        near = all(min(abs(t - key) for key in given) <= SHORT for t in range(count))
        if near or not any(mask.any() for mask in given.values()):
            masks = carry(frames, given, flows, report, hidden)
            return Tracked(np.stack([masks[t] for t in range(count)]))
        motion = WorkingMotion(flows)
        shot = self._shot(frames, given, motion, flows.size, hidden)
        once = work(self.config, count, len(given))
        progress = _Progress(report, 2 * once if self.config.crops else once)
        result = track_shot(shot, self.config, progress.tick)
        if needs_rescue(result):
            masks = carry(frames, given, flows, _Still(progress), hidden)
            size = (result.masks.shape[1], result.masks.shape[2])
            carried = np.stack([to_size(masks[t], size) for t in range(count)])
            result = rescued(result, carried, shot)
        full = _Full([_at_working_size(*pair) for pair in zip(result.masks, frames, strict=True)],
                     list(result.cues))  # fmt: skip
        crops = around(result.masks, flows.size) if self.config.crops else None
        if crops is not None:
            progress.done = once
            closer = crops.shot(frames, given, motion, shot.features.network, hidden)
            second = track_shot(closer, self.config, progress.tick)
            full.replace(promise(second, result) > -CLEARLY, crops, second, frames)
        for t, mask in given.items():
            full.masks[t] = mask.astype(np.float32)
        return Tracked(np.stack([mask > 0.5 for mask in full.masks]), tuple(full.cues))

    def _over_gaps(
        self,
        frames: NDArray[np.uint8],
        given: dict[int, Mask],
        flows: Flows,
        report: Reporter,
        hidden: NDArray[np.bool_] | None,
    ) -> Tracked:
        """Track on the other frames alone, and fill in the masks of the blind ones."""
        gaps = self.blind - given.keys()
        kept = [t for t in range(len(frames)) if t not in gaps]
        seen = replace(self, blind=frozenset()).track(
            frames[kept],
            {kept.index(t): mask for t, mask in given.items()},
            on_frames(flows, frames, kept),
            report,
            None if hidden is None else hidden[kept],
        )
        masks = np.zeros(frames.shape[:3], np.bool_)
        masks[kept] = seen.masks
        if seen.cues is None:
            return Tracked(bridged(masks, gaps))
        cues = dict(zip(kept, seen.cues, strict=True))
        for t in gaps:
            sides = (
                max((k for k in kept if k < t), default=kept[0]),
                min((k for k in kept if k > t), default=kept[-1]),
            )
            cues[t] = min((cues[k] for k in sides), key=lambda one: one.expected)
        return Tracked(bridged(masks, gaps), tuple(cues[t] for t in range(len(frames))))

    def _shot(
        self,
        frames: NDArray[np.uint8],
        given: dict[int, Mask],
        motion: WorkingMotion,
        working_size: tuple[int, int],
        hidden: NDArray[np.bool_] | None,
    ) -> Shot:
        """The shot at the tracker's size."""
        size = tracker_size(working_size, self.config.long_side)
        return Shot(
            ClipFeatures(resized(frames, size), network(str(self.device))),
            {t: to_size(mask, size) for t, mask in given.items()},
            partial(motion.at, size),
            None if hidden is None else np.stack([to_size(one, size) > 0.5 for one in hidden]),
        )


@dataclass
class _Full:
    """Masks at the working size, 0..1, and their cues."""

    masks: list[F32]
    cues: list[Cues]

    def replace(
        self,
        where: NDArray[np.bool_],
        crops: Crops,
        found: Result,
        frames: NDArray[np.uint8],
    ) -> None:
        """Take what was found in the crops of some frames, bool [T]."""
        for t in range(len(where)):
            if where[t]:
                pasted = crops.paste(t, found.masks[t])
                coarse = crops.maps[t, 0, 0] * LARGER < 1
                self.masks[t] = sharpened(pasted, frames[t]) if coarse else pasted
                self.cues[t] = found.cues[t]


@dataclass
class _Progress:
    report: Reporter
    total: int
    done: int = 0

    def tick(self) -> None:
        self.again()
        self.done += 1

    def again(self) -> None:
        self.report.step(PHASE, min(self.done, self.total), self.total)


class _Still(Silent):
    """Passes cancellation on from work that the progress does not count."""

    def __init__(self, progress: _Progress) -> None:
        self._progress = progress

    def step(self, phase: str, done: int, total: int) -> None:
        """Report the progress so far once more."""
        self._progress.again()


def _at_working_size(mask: F32, frame: NDArray[np.uint8]) -> F32:
    """A mask [h,w], 0..1, at the size of a frame."""
    h, w = frame.shape[:2]
    full = np.asarray(cv2.resize(mask, (w, h), interpolation=cv2.INTER_LINEAR), np.float32)
    return sharpened(full, frame) if max(h, w) > LARGER * max(mask.shape) else full
