"""A first mask from motion alone: what does not move with the camera.

A suggestion: it works for an object that moves by itself before a rigid scene, and cannot for one
that rests or swims among moving water. What it doubts it says. Motion is judged at half the
working size, where the flow is kept; colours at the working size.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.atlas.flow import F32, Flows, Mask, pull
from backend.atlas.grabcut import cut, refine
from backend.atlas.motion import homography, matches
from backend.progress import Reporter
from protocol.jobs import JobError

PHASE = "Finding the object"

NOISE = 0.35  # pixels of residual flow that mean nothing
BORDER = 0.18  # the camera's motion is first read off this outer share of the frame
UNSURE = 0.35  # what a score counts where flow is lost: behind the object, at its edge
LEAST_SCORE = 0.12  # below this nothing moves
LEAST, MOST = 0.003, 0.5  # believable share of the frame
STEADY = 0.7  # overlap of neighbouring masks below which they are doubted
OTHERS = 1.0  # doubt when so much of the picture, in objects' areas, moves as well


def from_motion(
    frames: NDArray[np.uint8], flows: Flows, report: Reporter
) -> tuple[NDArray[np.bool_], str]:
    """Masks bool [T,h,w] of the object that moves against the camera, and what is doubtful in them.

    frames: uint8 [T,h,w,3]. JobError no_foreground when nothing does.
    """
    count = len(frames)
    work = 4 * count
    scores = []
    for t in range(count):
        report.step(PHASE, t, work)
        scores.append(against_camera(t, count, flows))
    smooth = []
    for t in range(count):
        report.step(PHASE, count + t, work)
        smooth.append(_steady(t, scores, flows))
    low, high = _levels(np.stack(smooth))
    size = flows.size[::-1]
    cuts, near = [], []
    for t in range(count):
        report.step(PHASE, 2 * count + t, work)
        score = np.asarray(cv2.resize(smooth[t], size), np.float32)
        core, maybe = score > high, score > low
        cuts.append(_largest(_coloured(frames[t], core, maybe)))
        near.append(float(maybe.sum()) / max(1.0, float(core.sum())) - 1)
    if np.mean(cuts) < LEAST * 0.3:
        raise JobError(
            "no_foreground",
            "No object was found that moves against the background.",
            "Give a mask of the object on at least one frame.",
        )
    found = []
    for t in range(count):
        report.step(PHASE, 3 * count + t, work)
        found.append(_voted(t, frames[t], cuts, flows))
    masks = np.stack(found)
    return masks, _doubt(masks, near, flows)


def against_camera(t: int, count: int, flows: Flows) -> F32:
    """How much each pixel moves against the camera: 0..1, [h/2,w/2], a mean over flow gaps."""
    total, weight = np.zeros(((flows.size[0] + 1) // 2, (flows.size[1] + 1) // 2), np.float32), 0
    # Neighbouring frames show slow objects too little; they are used only where nothing else is.
    for gap in flows.gaps[1:] or flows.gaps:
        for other in (t - gap, t + gap):
            if 0 <= other < count:
                against = _residual_score(t, other, flows)
                if against is not None:
                    total += against
                    weight += 1
    return total / np.float32(max(1, weight))


def _residual_score(t: int, other: int, flows: Flows) -> F32 | None:
    h, w = flows.size
    rim = np.ones((h, w), np.bool_)
    dy, dx = int(BORDER * h), int(BORDER * w)
    rim[dy : h - dy, dx : w - dx] = False
    camera = homography(*matches(flows, t, other, rim), (h, w))
    if camera is None:
        return None
    for _ in range(2):
        residual = _residual(camera, t, other, flows)
        still = residual < max(2 * NOISE, float(np.median(residual)))
        again = homography(*matches(flows, t, other, still), (h, w))
        camera = camera if again is None else again
    residual = _residual(camera, t, other, flows)
    noise = max(NOISE, 3 * float(np.median(residual[residual < np.percentile(residual, 60)])))
    score = residual**2 / (residual**2 + noise**2)
    return np.where(flows.trusted[t, other], score, UNSURE * score).astype(np.float32)


def _residual(camera: NDArray[np.float64], t: int, other: int, flows: Flows) -> F32:
    """Length in pixels of the flow that a homography does not explain, [h/2,w/2]."""
    field = flows.between[t, other]
    h, w = field.shape[:2]
    y, x = np.mgrid[:h, :w] + 0.5
    x, y = x * (flows.size[1] / w), y * (flows.size[0] / h)
    rays = np.stack([x, y, np.ones_like(x)], -1) @ camera.T
    camera_flow = rays[..., :2] / rays[..., 2:] - np.stack([x, y], -1)
    return np.asarray(np.linalg.norm(field - camera_flow, axis=-1), np.float32)


def _steady(t: int, scores: list[F32], flows: Flows) -> F32:
    """Mean score along flow over near frames, [h/2,w/2]."""
    total, weight = scores[t].copy(), np.ones_like(scores[t])
    h, w = total.shape
    shrink = np.array([w / flows.size[1], h / flows.size[0]], np.float32)
    for gap in flows.gaps:
        for other in (t - gap, t + gap):
            if 0 <= other < len(scores):
                sure = flows.trusted[t, other]
                flow = flows.between[t, other].astype(np.float32) * shrink
                total += np.where(sure, pull(scores[other], flow), 0)
                weight += sure
    return np.asarray(cv2.GaussianBlur(total / weight, (0, 0), 0.8), np.float32)


def _levels(scores: F32) -> tuple[float, float]:
    """Two thresholds that split the clip's scores into three classes (Otsu, 1979)."""
    bins = 64
    counts, edges = np.histogram(scores, bins, (0, 1))
    share = counts / counts.sum()
    mass = np.concatenate([[0], np.cumsum(share)])
    moment = np.concatenate([[0], np.cumsum(share * (edges[:-1] + 0.5 / bins))])
    best, pair = -1.0, (bins // 3, 2 * bins // 3)
    for a in range(1, bins - 1):
        for b in range(a + 1, bins):
            total = 0.0
            for i, j in ((0, a), (a, b), (b, bins)):
                inside = mass[j] - mass[i]
                if inside > 1e-9:
                    total += (moment[j] - moment[i]) ** 2 / inside
            if total > best:
                best, pair = total, (a, b)
    low = max(LEAST_SCORE, float(edges[pair[0]]))
    return low, max(low + LEAST_SCORE, float(edges[pair[1]]))


def _coloured(frame: NDArray[np.uint8], core: Mask, maybe: Mask) -> Mask:
    """What moves for sure, and of what may move the part of its colours."""
    kernel = np.ones((3, 3), np.uint8)
    sure = cv2.erode(core.astype(np.uint8), kernel, iterations=2)
    sure = (_largest(sure > 0) & (sure > 0)).astype(np.uint8)
    near = cv2.dilate(maybe.astype(np.uint8), kernel, iterations=2)
    label = np.full(core.shape, cv2.GC_BGD, np.uint8)
    label[near > 0] = cv2.GC_PR_BGD
    label[core] = cv2.GC_PR_FGD
    label[sure > 0] = cv2.GC_FGD
    found = cut(frame, label)
    return core if found is None else found


def _voted(t: int, frame: NDArray[np.uint8], masks: list[Mask], flows: Flows) -> Mask:
    """The majority of near frames' masks carried here, pulled onto the edge by colour."""
    votes, weight = masks[t].astype(np.float32), np.ones(masks[t].shape, np.float32)
    for gap in flows.gaps:
        for other in (t - gap, t + gap):
            if 0 <= other < len(masks):
                flow, sure = flows.full(t, other)
                votes += sure * pull(masks[other].astype(np.float32), flow)
                weight += sure
    return _largest(refine(frame, _largest(votes / weight > 0.5)))


def _largest(mask: Mask) -> Mask:
    """The largest connected piece, its small gaps closed."""
    h, w = mask.shape
    size = max(3, 2 * round(0.006 * max(h, w)) + 1)
    kernel = np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)
    whole = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, kernel)
    count, label, stats, _ = cv2.connectedComponentsWithStats(whole, connectivity=8)
    if count < 2:
        return np.zeros_like(mask)
    best = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    piece = (label == best).astype(np.uint8)
    return np.asarray(cv2.morphologyEx(piece, cv2.MORPH_CLOSE, kernel) > 0)


def _doubt(found: NDArray[np.bool_], near: list[float], flows: Flows) -> str:
    """Why the masks should not be trusted, in words, or nothing."""
    share = found.mean((1, 2))
    if (share < LEAST).mean() > 0.1:
        return "it was lost on some frames"
    if share.mean() > MOST:
        return "it covers most of the frame"
    steady = []
    for t in range(len(found) - 1):
        carried = pull(found[t + 1].astype(np.float32), flows.full(t, t + 1)[0]) > 0.5
        union = float((carried | found[t]).sum())
        steady.append(float((carried & found[t]).sum()) / union if union else 1.0)
    if float(np.median(steady)) < STEADY:
        return "its outline jumps from frame to frame"
    if float(np.median(near)) > OTHERS:
        return "other parts of the picture move as well"
    return ""
