"""Base maps: overall motion of camera and objects, chained to one reference frame each.

The background moves by homographies, the object by similarities; both are robust fits to flow.
Points are working pixels with centres at +0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.motion.flow import Flows, Mask, grid
from backend.progress import Reporter

PHASE = "Aligning frames"

F64 = NDArray[np.float64]
LATTICE = 3  # every third sample of the half-size flow is used
MIN_HOMOGRAPHY = 40  # fewest points for a homography, which has eight unknowns
MIN_SIMILARITY = 8  # fewest points for a similarity
INLIER = 1.0  # pixels; largest error of an inlier


def matches(flows: Flows, start: int, end: int, inside: Mask) -> tuple[F64, F64]:
    """Trusted flow inside a mask as matched points: two [N,2], frame start and frame end."""
    field = flows.between[start, end]
    h, w = field.shape[:2]
    scale = np.array([flows.size[1] / w, flows.size[0] / h])
    near = cv2.resize(inside.astype(np.uint8), (w, h), interpolation=cv2.INTER_NEAREST) > 0
    keep = (near & flows.trusted[start, end])[::LATTICE, ::LATTICE]
    points = ((grid((h, w)) + 0.5) * scale)[::LATTICE, ::LATTICE][keep]
    return points, points + field[::LATTICE, ::LATTICE][keep].astype(np.float64)


def homography(here: F64, there: F64, size: tuple[int, int]) -> F64 | None:
    """Robust homography [3,3] of matched points; None if there are too few or it is implausible."""
    if len(here) < MIN_HOMOGRAPHY:
        return None
    found, _ = cv2.findHomography(here, there, cv2.RANSAC, INLIER, maxIters=300, confidence=0.995)
    m = np.asarray(found, np.float64)
    if m.shape != (3, 3):  # OpenCV returns None without a model
        return None
    h, w = size
    corners = np.array([[0, 0, 1], [w, 0, 1], [0, h, 1], [w, h, 1.0]])
    depth = corners @ m[2]
    # Between neighbouring frames of a shot the scale stays near 1; anything else is a misfit.
    plausible = depth.min() > 0.5 and depth.max() < 2 and 0.4 < np.linalg.det(m[:2, :2]) < 2.5
    return m / m[2, 2] if plausible else None


def similarity(here: F64, there: F64) -> F64 | None:
    """Robust similarity [3,3] of matched points; None if there are too few or it is implausible."""
    if len(here) < MIN_SIMILARITY:
        return None
    found, _ = cv2.estimateAffinePartial2D(
        here, there, method=cv2.RANSAC, ransacReprojThreshold=INLIER, maxIters=300
    )
    if np.shape(found) != (2, 3):  # OpenCV returns None without a model
        return None
    m = np.vstack([found, [0, 0, 1]]).astype(np.float64)
    return m if 0.4 < np.linalg.det(m[:2, :2]) < 2.5 else None


def chain(steps: list[F64], reference: int) -> F64:
    """Chain step maps t → t+1 into maps t → reference. steps: T−1 of [3,3] → [T,3,3]."""
    count = len(steps) + 1
    maps = np.empty((count, 3, 3))
    maps[reference] = np.eye(3)
    for t in range(reference - 1, -1, -1):
        maps[t] = maps[t + 1] @ steps[t]
    for t in range(reference + 1, count):
        maps[t] = maps[t - 1] @ np.linalg.inv(steps[t - 1])
    maps /= maps[:, 2:, 2:]
    return maps


def base_maps(
    flows: Flows, masks: Sequence[NDArray[np.float32]], report: Reporter
) -> tuple[F64, list[F64]]:
    """Chained background homographies, [T,3,3], and similarities of each object, each [T,3,3].

    masks: visible part of each object, front to back, float32 [T,h,w], 0..1. The background's
    reference is the middle frame, an object's the frame with the largest mask. Without a plausible
    fit, a simpler model is used: homography → similarity → motion of the mask's centre → none.
    Where an object is hidden, its motion is interpolated from before and after.
    """
    count, h, w = masks[0].shape
    hard = [mask > 0.5 for mask in masks]
    anything = np.logical_or.reduce(hard)
    # The mask is rough: stay away from its edge on both sides.
    rim = max(2, round(0.012 * max(h, w)))
    kernel = np.ones((2 * rim + 1, 2 * rim + 1), np.uint8)
    thin = np.ones((3, 3), np.uint8)
    bg_steps: list[F64] = []
    fits: list[list[F64 | None]] = [[] for _ in hard]
    for t in range(count - 1):
        report.step(PHASE, t, count)
        outside = cv2.dilate(anything[t].astype(np.uint8), kernel) == 0
        here, there = matches(flows, t, t + 1, outside)
        bg = homography(here, there, (h, w))
        if bg is None:
            bg = similarity(here, there)
        bg_steps.append(np.eye(3) if bg is None else bg)

        for mask, own in zip(hard, fits, strict=True):
            core = cv2.erode(mask[t].astype(np.uint8), kernel)
            if core.sum() < 50:
                core = cv2.erode(mask[t].astype(np.uint8), thin)
            own.append(similarity(*matches(flows, t, t + 1, core > 0)))
    report.step(PHASE, count, count)
    chains = []
    for number, (mask, own) in enumerate(zip(hard, fits, strict=True)):
        rough = [_centre_motion(mask[t], mask[t + 1]) for t in range(count - 1)]
        if number:
            own = _interpolated(own)
        steps = [simple if fit is None else fit for fit, simple in zip(own, rough, strict=True)]
        chains.append(chain(steps, int(mask.sum((1, 2)).argmax())))
    return chain(bg_steps, count // 2), chains


def _interpolated(fits: list[F64 | None]) -> list[F64 | None]:
    """Steps of an object that is hidden at times, missing ones interpolated between others."""
    known = [t for t, fit in enumerate(fits) if fit is not None]
    out = list(fits)
    for before, after in pairwise(known):
        first, last = fits[before], fits[after]
        for t in range(before + 1, after):
            share = (t - before) / (after - before)
            if first is not None and last is not None:
                out[t] = (1 - share) * first + share * last
    return out


def _centre_motion(here: Mask, there: Mask) -> F64:
    """Translation of the mask's centre; identity if the object is not in both frames."""
    m = np.eye(3)
    if here.any() and there.any():
        centre = [np.mean(np.nonzero(mask), axis=1) for mask in (here, there)]
        m[:2, 2] = (centre[1] - centre[0])[::-1]
    return m
