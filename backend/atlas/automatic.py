"""A first mask from motion alone: what does not move with the camera.

A suggestion: it works for an object that moves by itself before a rigid scene, and cannot for one
that rests or swims among moving water. What it doubts it says.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.atlas.flow import F32, Flows, Mask, pull
from backend.atlas.grabcut import refine
from backend.atlas.motion import homography, matches
from backend.progress import Reporter
from protocol.jobs import JobError

PHASE = "Finding the object"

NOISE = 0.35  # pixels of residual flow that mean nothing
BORDER = 0.18  # the camera's motion is first read off this outer share of the frame
LEAST, MOST = 0.003, 0.6  # believable share of the frame
STEADY = 0.7  # overlap of neighbouring masks below which they are doubted
CLEAR = 0.6  # overlap of the motion with the refined mask below which it is doubted
HELP = "Check the mask, or paint one on one frame every 10 to 15 frames for a better layer."


def from_motion(frames: NDArray[np.uint8], flows: Flows, report: Reporter) -> F32:
    """Masks of the object that moves against the camera: float32 [T,h,w] of 0 and 1.

    frames: uint8 [T,h,w,3]. JobError no_foreground when nothing does.
    """
    count = len(frames)
    scores = np.stack([_score(t, count, flows, report) for t in range(count)])
    smooth = np.stack([_steady(t, scores, flows, report) for t in range(count)])
    moving = _largest_each(smooth > 0.5)
    if moving.mean() < LEAST * 0.3:
        raise JobError(
            "no_foreground",
            "No object was found that moves against the background.",
            "Give a mask of the object on at least one frame.",
        )
    masks = []
    for t in range(count):
        report.step(PHASE, 2 * count + t, 3 * count)
        masks.append(refine(frames[t], moving[t], reach=6.0))
    found = _largest_each(np.stack(masks))
    doubt = _doubt(found, moving, flows)
    if doubt:
        report.note(f"The object was found from its motion, but {doubt}. {HELP}")
    return found.astype(np.float32)


def _score(t: int, count: int, flows: Flows, report: Reporter) -> F32:
    """How much each pixel moves against the camera: 0..1, [h,w], a mean over flow gaps."""
    report.step(PHASE, t, 3 * count)
    h, w = flows.size
    total, weight = np.zeros((h, w), np.float32), 1e-6
    for gap in flows.gaps:
        for other in (t - gap, t + gap):
            if not 0 <= other < count:
                continue
            against = _against_camera(t, other, flows)
            if against is None:
                continue
            # Longer gaps show slow objects; their flow fails more often.
            total += against
            weight += 1
    return total / weight


def _against_camera(t: int, other: int, flows: Flows) -> F32 | None:
    h, w = flows.size
    rim = np.ones((h, w), np.bool_)
    dy, dx = int(BORDER * h), int(BORDER * w)
    rim[dy : h - dy, dx : w - dx] = False
    camera = homography(*matches(flows, t, other, rim), (h, w))
    if camera is None:
        return None
    for _ in range(2):
        residual = _residual(camera, flows.full(t, other)[0])
        still = residual < max(2 * NOISE, float(np.median(residual)))
        again = homography(*matches(flows, t, other, still), (h, w))
        camera = camera if again is None else again
    flow, sure = flows.full(t, other)
    residual = _residual(camera, flow)
    still = residual < np.percentile(residual, 60)
    noise = max(NOISE, 3 * float(np.median(residual[still])))
    score = residual**2 / (residual**2 + noise**2)
    # Where flow is lost (behind the object, at its edge) nothing is known.
    return np.asarray(np.where(sure, score, 0.35 * score), np.float32)


def _residual(camera: NDArray[np.float64], flow: F32) -> F32:
    """Length of the flow that a homography does not explain, [h,w] pixels."""
    h, w = flow.shape[:2]
    y, x = np.mgrid[:h, :w] + 0.5
    rays = np.stack([x, y, np.ones_like(x)], -1) @ camera.T
    camera_flow = rays[..., :2] / rays[..., 2:] - np.stack([x, y], -1)
    return np.asarray(np.linalg.norm(flow - camera_flow, axis=-1), np.float32)


def _steady(t: int, scores: F32, flows: Flows, report: Reporter) -> F32:
    """Mean score along flow over near frames, stretched so that the split lies at 0.5."""
    count = len(scores)
    report.step(PHASE, count + t, 3 * count)
    total, weight = scores[t].copy(), np.ones_like(scores[t])
    for gap in flows.gaps:
        for other in (t - gap, t + gap):
            if 0 <= other < count:
                flow, sure = flows.full(t, other)
                total += np.where(sure, pull(scores[other], flow), 0)
                weight += sure
    mean = cv2.GaussianBlur(total / weight, (0, 0), 1.5)
    level, _ = cv2.threshold((mean * 255).astype(np.uint8), 0, 255, cv2.THRESH_OTSU)
    split = max(level / 255, 0.15)
    return np.asarray(mean / split * 0.5, np.float32)


def _largest_each(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Each mask closed, filled and reduced to its largest piece."""
    h, w = masks.shape[1:]
    size = max(3, 2 * round(0.008 * max(h, w)) + 1)
    kernel = np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)
    return np.stack([_largest(mask, kernel) for mask in masks])


def _largest(mask: Mask, kernel: NDArray[np.uint8]) -> Mask:
    whole = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, kernel)
    whole = cv2.morphologyEx(whole, cv2.MORPH_CLOSE, kernel)
    count, label, stats, _ = cv2.connectedComponentsWithStats(whole, connectivity=8)
    if count < 2:
        return np.zeros_like(mask)
    best = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    edge, _ = cv2.findContours(
        (label == best).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    return np.asarray(cv2.drawContours(np.zeros_like(whole), edge, -1, 1, cv2.FILLED) > 0)


def _overlap(a: Mask, b: Mask) -> float:
    union = float((a | b).sum())
    return float((a & b).sum()) / union if union else 1.0


def _doubt(found: NDArray[np.bool_], moving: NDArray[np.bool_], flows: Flows) -> str:
    """Why the masks should not be trusted, in words, or nothing."""
    share = found.mean((1, 2))
    if (share < LEAST).mean() > 0.1:
        return "it was lost on some frames"
    if share.mean() > MOST:
        return "it covers most of the frame"
    pairs = [(t, t + 1) for t in range(len(found) - 1)]
    steady = [
        _overlap(found[a], pull(found[b].astype(np.float32), flows.full(a, b)[0]) > 0.5)
        for a, b in pairs
    ]
    if steady and float(np.median(steady)) < STEADY:
        return "its outline jumps from frame to frame"
    if float(np.median([_overlap(a, b) for a, b in zip(found, moving, strict=True)])) < CLEAR:
        return "its outline does not follow its colours"
    return ""
