"""Where an object is on every frame: given, tracked from a few frames, or found.

The mask decides the layer: the fit sharpens its edge but cannot recover a missing part. So masks
of every source are judged, and doubtful ones are reported and previewed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.masks import by_text, confidence
from backend.masks.automatic import suggest
from backend.masks.boxes import (
    BACKGROUND,
    OBJECT,
    from_box,
    from_strokes,
    read_strokes,
    refine_mask,
)
from backend.masks.carry import carry
from backend.masks.prompts import MaskPrompts
from backend.masks.segmenters.base import Click, SegmenterPrompts
from backend.masks.tracker.track import Tracked, Tracker
from backend.motion.flow import F32, Flows, Mask
from backend.progress import Reporter
from protocol.jobs import JobError

PHASE = "Finding the object"
VERSION = "masks-8"
"""Part of an atlas's identity: raise it when the same prompts give other masks or measures."""
TRACKER = Tracker()
"""The one used unless another is given: draft, on the CPU."""
MODES = ("auto", "key", "all", "text", "segment")

BLUR = 0.7  # pixels; a hard edge becomes about one pixel soft
UNCLEAR = 0.45  # agreement of relevancy and mask below which a note warns about the text


@dataclass(frozen=True)
class ResolvedMasks:
    """masks: float32 [T,h,w], 0..1. numbers: what was measured of them, for a job's result.

    confidence: of each frame, float32 [T], 0..1.
    """

    masks: F32
    numbers: dict[str, float]
    confidence: F32


def resolve_masks(
    frames: NDArray[np.uint8],
    prompts: MaskPrompts,
    flows: Flows,
    report: Reporter,
    tracker: Tracker = TRACKER,
) -> ResolvedMasks:
    """Rough masks of one object on every frame, and measures of them.

    frames: uint8 [T,h,w,3] at the working size. Modes: ``all``: one mask per frame; a missing one
    is tracked from its neighbours, and a note says so. ``key``: tracked from some
    frames' masks, boxes or strokes. ``text``, ``segment``, ``auto``: found. A note names doubtful
    frames, and the worst is previewed. JobError no_foreground, mask_missing, mask_frame, mask_mode,
    mask_text, and those of a segmenter.
    """
    if prompts.mode not in MODES:
        raise JobError(
            "mask_mode",
            f"There is no mask mode “{prompts.mode}”.",
            f"Use one of: {', '.join(MODES)}.",
        )
    count = len(frames)
    source: F32 | None = None
    key_frames: Collection[int] = ()
    if prompts.mode == "auto":
        tracked, source = suggest(frames, flows, report, prompts.relevancy, tracker)
    elif prompts.mode == "text":
        tracked, source = _from_text(frames, prompts, flows, report, tracker)
    elif prompts.mode == "segment":
        masks, source = _segmented(frames, prompts, flows, report)
        tracked = Tracked(masks)
    else:
        given, sure = _given(frames, prompts, flows, report, tracker)
        source = _nearest(sure, count)
        key_frames = given
        tracked = _tracked(frames, given, prompts, flows, report, tracker)
    report.step(PHASE, count, count)
    hard = tracked.masks
    judgement = confidence.judge(
        frames, hard, flows, report, source, prompts.hidden, key_frames, tracked.expected
    )
    if prompts.mode != "all":  # masks for every frame are the artist's own
        confidence.report_doubtful(frames, hard, judgement, report, prompts.first_frame)
    soft = np.stack([cv2.GaussianBlur(one, (0, 0), BLUR) for one in hard.astype(np.float32)])
    return ResolvedMasks(soft, judgement.numbers, judgement.confidence)


def _given(
    frames: NDArray[np.uint8],
    prompts: MaskPrompts,
    flows: Flows,
    report: Reporter,
    tracker: Tracker,
) -> tuple[dict[int, Mask], dict[int, float]]:
    """Masks, boxes and strokes as masks at the working size, by frame; confidence of each, 0..1."""
    size = flows.size
    given = {t: _to_size(mask, size) for t, mask in prompts.keys.items()}
    _check_frames([*given, *prompts.boxes, *prompts.strokes], len(frames), prompts.first_frame)
    sure = dict.fromkeys(given, 1.0)
    tick = partial(report.step, PHASE, 0, len(frames))
    for t, box in prompts.boxes.items():
        boxed = from_box(t, _scaled(box, prompts, size), frames, flows, tick=tick)
        given[t], sure[t] = boxed.mask, boxed.sure
    background: dict[int, Mask] = {}
    for t, image in prompts.strokes.items():
        strokes = read_strokes(image, size)
        if (strokes == OBJECT).any():
            given[t] = from_strokes(t, strokes, frames, flows, tick)
        elif (strokes == BACKGROUND).any():
            background[t] = strokes == BACKGROUND
    if not any(mask.any() for mask in given.values()):
        raise JobError(
            "no_foreground",
            "No stroke or mask is on the object, so there is no foreground object."
            if background
            else "All masks are empty, so there is no foreground object.",
            "Give a mask or a stroke on at least one frame that shows the object.",
        )
    if background:
        given = _with_background_strokes(frames, given, background, prompts, flows, report, tracker)
    return given, {t: sure.get(t, 1.0) for t in given}


def _nearest(sure: dict[int, float], count: int) -> F32:
    """Confidence of each frame's source: that of the given mask nearest in time, [T]."""
    nearest = [min(sure, key=lambda k: abs(k - t)) for t in range(count)]
    return np.array([sure[k] for k in nearest], np.float32)


def _with_background_strokes(
    frames: NDArray[np.uint8],
    given: dict[int, Mask],
    background: dict[int, Mask],
    prompts: MaskPrompts,
    flows: Flows,
    report: Reporter,
    tracker: Tracker,
) -> dict[int, Mask]:
    """The given masks, and tracked ones on frames that have only background strokes.

    Those are refined outside the strokes: a background stroke removes a wrong piece; it does not
    mean that the object is gone.
    """
    tracked = tracker.track(frames, given, flows, report, prompts.hidden).masks
    out = dict(given)
    for t, strokes in background.items():
        if tracked[t].any():
            tick = partial(report.step, PHASE, t, len(frames))
            found = refine_mask(t, frames, flows, tracked[t] & ~strokes, ~strokes, tick=tick)
            out[t] = found & ~strokes
    return out


def _tracked(
    frames: NDArray[np.uint8],
    given: dict[int, Mask],
    prompts: MaskPrompts,
    flows: Flows,
    report: Reporter,
    tracker: Tracker,
) -> Tracked:
    count = len(frames)
    missing = [t for t in range(count) if t not in given]
    if not missing:
        masks = np.stack([given[t] for t in range(count)])
        if prompts.mode == "all":
            masks = _without_gaps(frames, masks, prompts, flows, report)
        return Tracked(masks)
    if prompts.mode == "all":
        report.note(
            f"{len(missing)} of {count} frames have no mask: theirs were tracked from "
            "the nearest frames that have one."
        )
    tracked = tracker.track(frames, given, flows, report, prompts.hidden)
    if prompts.mode == "all":
        return replace(tracked, masks=_without_gaps(frames, tracked.masks, prompts, flows, report))
    return tracked


def _from_text(
    frames: NDArray[np.uint8],
    prompts: MaskPrompts,
    flows: Flows,
    report: Reporter,
    tracker: Tracker,
) -> tuple[Tracked, F32]:
    if prompts.relevancy is None:
        raise JobError(
            "mask_text",
            "The mask mode is text, but no text was given.",
            "Describe the object, for example: black swan.",
        )
    match = by_text.best(by_text.find_text(frames, prompts.relevancy, flows, report))
    if match is None:
        raise JobError(
            "no_foreground",
            "The text was not found in the clip.",
            "Use simpler words, or give a mask or a box on one frame.",
        )
    if match.score < UNCLEAR:
        report.note(
            "The text-image model cannot locate the object clearly. "
            "Check the mask, or give a mask or a box on one frame."
        )
    key = {match.frame: match.mask}
    own = np.full(len(frames), min(1.0, match.score / 0.7), np.float32)
    return tracker.track(frames, key, flows, report, prompts.hidden), own


def _segmented(
    frames: NDArray[np.uint8], prompts: MaskPrompts, flows: Flows, report: Reporter
) -> tuple[NDArray[np.bool_], F32]:
    if prompts.segmenter is None:
        raise JobError(
            "segmenter_missing",
            "No segmentation model was loaded.",
            "Choose a model and its weights, or give a mask or a box on one frame.",
        )
    # A model cannot start from a frame that has background clicks only.
    marked = {*prompts.boxes, *(click.frame for click in prompts.clicks if click.inside)}
    _check_frames([*marked], len(frames), prompts.first_frame)
    unused = sorted({click.frame for click in prompts.clicks} - marked)
    if unused:
        named = ", ".join(str(prompts.first_frame + t + 1) for t in unused)
        report.note(
            "Background clicks only work on frames that also have a box or a click on the object: "
            f"those on frame {named} were ignored."
        )
    size = flows.size
    scale = _scale(prompts, size)
    asked = SegmenterPrompts(
        {t: _scaled(box, prompts, size) for t, box in prompts.boxes.items()},
        tuple(
            Click(one.frame, one.x * scale[0], one.y * scale[1], one.inside)
            for one in prompts.clicks
            if one.frame in marked
        ),
    )
    found = prompts.segmenter.segment(frames, asked, report)
    masks = fill_gaps(frames, found.masks, flows, report, prompts.hidden)
    if not masks.any():
        raise JobError(
            "no_foreground",
            "The segmentation model found no object at the box or clicks.",
            "Click its middle, or draw a box around it, on a frame that shows it well.",
        )
    return masks, found.confidence


def fill_gaps(
    frames: NDArray[np.uint8],
    masks: NDArray[np.bool_],
    flows: Flows,
    report: Reporter,
    hidden: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Masks bool [T,h,w] with single empty frames filled from the frames before and after."""
    seen = [bool(mask.any()) for mask in masks]
    gaps = [t for t in range(1, len(masks) - 1) if seen[t - 1] and seen[t + 1] and not seen[t]]
    if not gaps:
        return masks
    known = {t: masks[t] for t in range(len(masks)) if t not in gaps}
    whole = carry(frames, known, flows, report, hidden)
    return np.stack([whole[t] for t in range(len(masks))])


def _without_gaps(
    frames: NDArray[np.uint8],
    masks: NDArray[np.bool_],
    prompts: MaskPrompts,
    flows: Flows,
    report: Reporter,
) -> NDArray[np.bool_]:
    """Given masks with single empty frames filled; a note says which."""
    whole = fill_gaps(frames, masks, flows, report, prompts.hidden)
    filled = [t for t in range(len(masks)) if whole[t].any() and not masks[t].any()]
    if filled:
        named = ", ".join(str(prompts.first_frame + t + 1) for t in filled)
        report.note(
            f"The mask of frame {named} is empty between two that are not: it was carried over "
            "from them. If the object really is gone for one frame, fade the layer there."
        )
    return whole


def _scale(prompts: MaskPrompts, size: tuple[int, int]) -> tuple[float, float]:
    """Working pixels per pixel of the clip, x and y."""
    if not all(prompts.size):
        return 1.0, 1.0
    return size[1] / prompts.size[1], size[0] / prompts.size[0]


def _scaled(
    box: tuple[float, float, float, float], prompts: MaskPrompts, size: tuple[int, int]
) -> tuple[float, float, float, float]:
    x, y = _scale(prompts, size)
    return box[0] * x, box[1] * y, box[2] * x, box[3] * y


def _check_frames(frames: list[int], count: int, first_frame: int) -> None:
    if not frames:
        raise JobError(
            "mask_missing",
            "No mask was given for any frame.",
            "Paint or pick a mask of the object on at least one frame, or find it automatically.",
        )
    outside = [t for t in frames if not 0 <= t < count]
    if outside:
        raise JobError(
            "mask_frame",
            f"There is a mask for frame {first_frame + outside[0] + 1}, but the clip has {count} "
            "frames.",
            "Give masks only for frames of the clip.",
        )


def _to_size(mask: NDArray[np.uint8], size: tuple[int, int]) -> Mask:
    """A mask at the working size, by area."""
    flat = mask.reshape(mask.shape[0], mask.shape[1])
    inside = (flat if flat.dtype == np.bool_ else flat > 127).astype(np.float32)
    return np.asarray(cv2.resize(inside, size[::-1], interpolation=cv2.INTER_AREA) >= 0.5)
