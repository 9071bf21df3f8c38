"""The masks of all objects of a clip, front to back, and the visible part of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.masks import occlusion
from backend.masks.prompts import MaskPrompts
from backend.masks.resolve import TRACKER, resolve_masks
from backend.masks.tracker.track import Tracker
from backend.motion.flow import F32, Flows
from backend.progress import Reporter
from protocol.jobs import JobError
from protocol.layers import about, error_of_object, suffix


@dataclass(frozen=True)
class _ObjectReporter:
    """A Reporter whose notes say which object they are about."""

    report: Reporter
    number: int
    count: int

    def step(self, phase: str, done: int, total: int) -> None:
        self.report.step(phase, done, total)

    def preview(self, image: NDArray[np.uint8]) -> None:
        self.report.preview(image)

    def note(self, text: str) -> None:
        self.report.note(about(text, self.number, self.count))


def resolve_objects(
    frames: NDArray[np.uint8],
    objects: Sequence[MaskPrompts],
    flows: Flows,
    report: Reporter,
    tracker: Tracker = TRACKER,
) -> tuple[list[F32], dict[str, float]]:
    """The visible part of each object, front to back, and measures of the masks.

    frames: uint8 [T,h,w,3] at the working size. Returns soft masks float32 [T,h,w], 0..1; where
    they overlap, the one in front wins. Names of measures end in the object's number, from the
    second on. JobErrors name the object: those of `resolve_masks`, and no_foreground,
    no_foreground_2, … where an object is on no frame.
    """
    whole: list[F32] = []
    numbers: dict[str, float] = {}
    count = len(objects)
    for number, one in enumerate(objects, 1):
        if one.mode == "none":
            whole.append(np.zeros(frames.shape[:3], np.float32))
            continue
        prompts = one
        if whole:
            front = np.logical_or.reduce([mask > 0.5 for mask in whole])
            prompts = replace(one, hidden=front if front.any() else None)
        try:
            reporter = _ObjectReporter(report, number, count)
            resolved = resolve_masks(frames, prompts, flows, reporter, tracker)
        except JobError as why:
            raise error_of_object(why, number, count) from why
        whole.append(resolved.masks)
        numbers |= {f"{name}{suffix(number)}": value for name, value in resolved.numbers.items()}
    masks = occlusion.visible(whole)
    for number, (one, mask, visible) in enumerate(zip(objects, whole, masks, strict=True), 1):
        if one.mode != "none" and not (visible > 0.5).any():
            raise error_of_object(_nowhere(bool((mask > 0.5).any())), number, count)
    return masks, numbers


def _nowhere(hidden: bool) -> JobError:
    if hidden:
        return JobError(
            "no_foreground",
            "The objects in front hide it on every frame.",
            "Check the masks, and that the objects are listed front to back.",
        )
    return JobError(
        "no_foreground",
        "The mask is empty on every frame, so there is no foreground object.",
        "Give a mask of the object on at least one frame.",
    )
