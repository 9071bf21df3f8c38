"""Optical flow between near and far frames of a clip, both ways, and where it can be trusted.

DIS (Kroeger et al., 2016) at gaps 1, 2, 4, …; each starts from the composed flows of its halves.
Flow is kept at half the working size in float16, in pixels of the working size.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.progress import Reporter
from protocol.jobs import JobError

PHASE = "Computing motion"
MAX_BROKEN = 0.5  # share of a clip's flow vectors that may be broken
MIN_SIDE = 32  # pixels; in smaller images DIS reads outside its buffers and crashes the process

F16 = NDArray[np.float16]
F32 = NDArray[np.float32]
Mask = NDArray[np.bool_]


def working_size(height: int, width: int, long_side: int) -> tuple[int, int]:
    """Rows and columns to work at: never enlarged, shorter side no less than flow needs."""
    scale = min(1.0, max(long_side / max(height, width), MIN_SIDE / min(height, width)))
    return round(height * scale), round(width * scale)


def dis_flow(
    here: NDArray[np.uint8],
    there: NDArray[np.uint8],
    guess: F32 | None = None,
    *,
    fast: bool = False,
) -> F32:
    """DIS flow from one grey image [h,w] to another of the same size, any size: [h,w,2] pixels.

    guess: flow to start from. fast: coarser, for a rough answer. Images with a side under MIN_SIDE
    are padded by repeating their edge.
    """
    h, w = here.shape
    bottom, right = max(0, MIN_SIDE - h), max(0, MIN_SIDE - w)
    if guess is None:
        guess = np.zeros((h, w, 2), np.float32)
    if bottom or right:
        pad = ((0, bottom), (0, right))
        here, there = np.pad(here, pad, "edge"), np.pad(there, pad, "edge")
        guess = np.pad(guess, (*pad, (0, 0)), "edge")
    preset = cv2.DISOPTICAL_FLOW_PRESET_FAST if fast else cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
    found = cv2.DISOpticalFlow.create(preset).calc(here, there, guess.copy())
    return np.asarray(found[:h, :w], np.float32)


@dataclass(frozen=True)
class Flows:
    """Flow of a clip.

    size: working size (h, w). gaps: frame distances shorter than the clip. between: (from, to) →
    float16 [h/2,w/2,2], x and y, pixels of the working size. trusted: (from, to) → bool [h/2,w/2],
    true where forward and backward flow agree. limit: pixels within which they must.
    """

    size: tuple[int, int]
    gaps: tuple[int, ...]
    between: dict[tuple[int, int], F16]
    trusted: dict[tuple[int, int], Mask]
    limit: float = 1.0

    def full(self, start: int, end: int) -> tuple[F32, Mask]:
        """Flow [h,w,2] and trust [h,w] at the working size."""
        flow = cv2.resize(self.between[start, end].astype(np.float32), self.size[::-1])
        sure = cv2.resize(self.trusted[start, end].astype(np.float32), self.size[::-1])
        return np.asarray(flow, np.float32), np.asarray(sure > 0.5)


def without(flows: Flows, hidden: NDArray[np.bool_]) -> Flows:
    """The flow, untrusted where it starts on objects in front. hidden: bool [T,h,w]."""
    trusted = {}
    for (start, end), sure in flows.trusted.items():
        front = cv2.resize(hidden[start].astype(np.float32), sure.shape[::-1])
        trusted[start, end] = sure & (front == 0)
    return replace(flows, trusted=trusted)


def on_frames(flows: Flows, frames: NDArray[np.uint8], kept: Sequence[int]) -> Flows:
    """The flow of a clip that consists of some frames of this one.

    frames: uint8 [T,h,w,3], those of the whole clip. kept: ascending. Only the flow across frames
    that are left out is computed.
    """
    gaps = tuple(gap for gap in flows.gaps if gap < len(kept))
    grey = [np.asarray(cv2.cvtColor(frames[t], cv2.COLOR_RGB2GRAY), np.uint8) for t in kept]
    part = replace(flows, gaps=gaps, between={}, trusted={})
    for gap in gaps:
        for k, (start, end) in enumerate(zip(kept, kept[gap:], strict=False)):
            there, back = (k, k + gap), (k + gap, k)
            if end - start == gap:
                for new, old in ((there, (start, end)), (back, (end, start))):
                    part.between[new], part.trusted[new] = flows.between[old], flows.trusted[old]
            else:
                found = _both_ways(grey, part, k, k + gap, flows.limit)
                for new, one in zip((there, back), found, strict=True):
                    part.between[new], part.trusted[new] = one.flow, one.trusted
    return part


def grid(size: tuple[int, int]) -> F32:
    """Index coordinates (x, y) of every pixel, for cv2.remap: [h,w,2]."""
    x, y = np.meshgrid(np.arange(size[1]), np.arange(size[0]))
    return np.stack([x, y], -1).astype(np.float32)


def pull(image: F32, flow: F32, border: int = cv2.BORDER_REPLICATE) -> F32:
    """An image warped by flow: out(p) = image(p + flow(p)). flow [h,w,2]."""
    at = grid((flow.shape[0], flow.shape[1])) + flow
    out = cv2.remap(image, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=border)
    return np.asarray(out, np.float32)


def compose(first: F32, then: F32) -> F32:
    """Two flows in sequence: p → p + first(p) + then(p + first(p)). [h,w,2] pixels."""
    return first + pull(then, first)


def agreement(there: F32, back: F32, limit: float) -> Mask:
    """Where a round trip ends within `limit` pixels of its start, and inside the frame."""
    h, w = there.shape[:2]
    trip = np.linalg.norm(compose(there, back), axis=-1)
    end = grid((h, w)) + there
    inside = (end >= 0).all(-1) & (end[..., 0] <= w - 1) & (end[..., 1] <= h - 1)
    return np.asarray((trip < limit) & inside)


def estimate(
    frames: NDArray[np.uint8], gaps: Sequence[int], limit: float, report: Reporter
) -> Flows:
    """Flow of a clip, both ways at every gap shorter than it. frames: uint8 [T,h,w,3] sRGB.

    Broken vectors (NaN, infinite, too long) become 0 and untrusted; JobError motion_unreadable if
    most are broken.
    """
    count, h, w, _ = frames.shape
    fits = tuple(g for g in gaps if g < count)
    work = sum(count - g for g in fits)
    grey = [np.asarray(cv2.cvtColor(one, cv2.COLOR_RGB2GRAY), np.uint8) for one in frames]
    between: dict[tuple[int, int], F16] = {}
    trusted: dict[tuple[int, int], Mask] = {}
    flows = Flows((h, w), fits, between, trusted, limit)
    done, lost = 0, 0.0
    with ThreadPoolExecutor(max(1, cv2.getNumThreads())) as pool:
        for gap in fits:  # pairs of a gap depend only on those of shorter gaps
            pairs = [(t, t + gap) for t in range(count - gap)]
            report.step(PHASE, done, work)
            tasks = [pool.submit(_both_ways, grey, flows, *pair, limit) for pair in pairs]
            try:
                for pair, task in zip(pairs, tasks, strict=True):
                    for key, read in zip((pair, pair[::-1]), task.result(), strict=True):
                        between[key], trusted[key] = read.flow, read.trusted
                        lost += read.broken / (2 * work)
                    done += 1
                    report.step(PHASE, done, work)
            finally:
                for task in tasks:
                    task.cancel()
    report.step(PHASE, work, work)
    if lost > MAX_BROKEN:
        raise JobError(
            "motion_unreadable",
            "The motion of the clip cannot be read: most of its optical flow is invalid.",
            "Check that the frames are valid images, and export the clip again.",
        )
    return flows


@dataclass(frozen=True)
class _OneWay:
    """Flow of a pair one way, half size, and the share of its vectors that were broken."""

    flow: F16
    trusted: Mask
    broken: float


def _both_ways(
    grey: list[NDArray[np.uint8]], flows: Flows, start: int, end: int, limit: float
) -> tuple[_OneWay, _OneWay]:
    """Flow from start to end, and back."""
    there = _search(grey, flows, start, end)
    back = _search(grey, flows, end, start)
    half = ((there.shape[1] + 1) // 2, (there.shape[0] + 1) // 2)
    broken = _fix_broken(there), _fix_broken(back)

    def read(one: F32, other: F32, lost: Mask) -> _OneWay:
        sure = agreement(one, other, limit).astype(np.float32)
        sure[lost] = 0
        return _OneWay(
            np.asarray(cv2.resize(one, half, interpolation=cv2.INTER_AREA), np.float16),
            np.asarray(cv2.resize(sure, half, interpolation=cv2.INTER_AREA) > 0.5),
            float(np.mean(lost)),
        )

    return read(there, back, broken[0]), read(back, there, broken[1])


def _fix_broken(flow: F32) -> Mask:
    """Set broken vectors, or ones too long for float16, to 0 in place; returns where: [h,w]."""
    broken = ~(np.abs(flow).max(-1) < np.finfo(np.float16).max)
    flow[broken] = 0
    return np.asarray(broken)


def _search(grey: list[NDArray[np.uint8]], flows: Flows, start: int, end: int) -> F32:
    """Flow between two frames; a far pair starts from the composed flow of its halves."""
    middle = (start + end) // 2
    guess: F32 | None = None
    if (start, middle) in flows.between and (middle, end) in flows.between:
        guess = compose(flows.full(start, middle)[0], flows.full(middle, end)[0])
    return dis_flow(grey[start], grey[end], guess)
