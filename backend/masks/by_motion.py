"""Motion against the camera: how much each pixel moves, and masks of the moving pieces.

Motion shows an object that moves in front of a rigid scene, but not one that rests, or swims in
moving water, so the pieces are only proposals. Motion is judged at half the working size, where
flow is kept; colours at the working size.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.masks.grabcut import cut
from backend.motion import fields
from backend.motion.base_maps import homography, matches
from backend.motion.flow import F32, Flows, Mask, pull
from backend.progress import Reporter, Tick, nothing

PHASE = "Finding the object"

NOISE = 0.35  # pixels; smaller residual flow is ignored
BORDER = 0.18  # outer share of the frame that the camera's motion is first read from
UNSURE = 0.35  # factor for scores where flow is lost: behind the object, at its edge
MIN_SCORE = 0.12  # below this nothing moves
BIGGEST = 3  # most pieces per threshold
DEEP, NEAR = 0.08, 0.15  # of √area: how far inside a piece is sure, and around it uncertain


def moving(picked: list[int], count: int, flows: Flows, report: Reporter) -> dict[int, F32]:
    """How much each pixel of some frames moves against the camera: 0..1, [h/2,w/2].

    picked: the frames; count: of the clip. Averaged along the flow over nearby frames.
    """
    near = {t + way * gap for t in picked for gap in (0, *flows.gaps) for way in (-1, 1)}
    scores = {}
    for done, t in enumerate(sorted(one for one in near if 0 <= one < count)):
        report.step(PHASE, done, 2 * len(near))
        scores[t] = against_camera(t, count, flows)
    return {t: _averaged(t, scores, flows) for t in picked}


def levels(scores: list[F32]) -> list[float]:
    """Thresholds of some frames' scores, lowest first: from what may move to what moves most.

    The highest is for an object among other moving things, such as a bird on water.
    """
    low, high = _otsu(np.stack(scores))
    return [low, 0.5 * (low + high), high, 0.5 * (high + 1)]


def pieces(
    frame: NDArray[np.uint8], score: F32, steps: list[float], least: float, tick: Tick = nothing
) -> list[Mask]:
    """Masks of the largest pieces above each threshold, cut out by their colours.

    score: [h,w], 0..1. steps: the thresholds. least: smallest piece, share of the frame. tick:
    called now and then.
    """
    out: list[Mask] = []
    for step in steps:
        count, label, stats, _ = cv2.connectedComponentsWithStats((score > step).astype(np.uint8))
        area = stats[:, cv2.CC_STAT_AREA]
        for i in sorted(range(1, count), key=lambda one: -area[one])[:BIGGEST]:
            if area[i] >= least * score.size:
                out.append(_cut_out(frame, label == i, tick))
    return [one for one in out if one.any()]


def _cut_out(frame: NDArray[np.uint8], piece: Mask, tick: Tick) -> Mask:
    """GrabCut of a piece and its surroundings by the piece's colours."""
    side = float(np.sqrt(piece.sum()))
    label = np.full(piece.shape, cv2.GC_BGD, np.uint8)
    label[fields.dilate(piece, max(4, round(NEAR * side)))] = cv2.GC_PR_BGD
    label[piece] = cv2.GC_PR_FGD
    label[fields.erode(piece, max(2, round(DEEP * side)))] = cv2.GC_FGD
    found = cut(frame, label, tick=tick)
    return piece if found is None else _largest(found)


def against_camera(t: int, count: int, flows: Flows) -> F32:
    """How much each pixel of frame t moves against the camera: 0..1, [h/2,w/2]."""
    total, weight = np.zeros(((flows.size[0] + 1) // 2, (flows.size[1] + 1) // 2), np.float32), 0
    # Slow objects hardly move between neighbouring frames: use those only if there are no others.
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


def _averaged(t: int, scores: dict[int, F32], flows: Flows) -> F32:
    """Mean score along flow over nearby frames, [h/2,w/2]."""
    total, weight = scores[t].copy(), np.ones_like(scores[t])
    h, w = total.shape
    shrink = np.array([w / flows.size[1], h / flows.size[0]], np.float32)
    for gap in flows.gaps:
        for other in (t - gap, t + gap):
            if other in scores:
                sure = flows.trusted[t, other]
                flow = flows.between[t, other].astype(np.float32) * shrink
                total += np.where(sure, pull(scores[other], flow), 0)
                weight += sure
    return np.asarray(cv2.GaussianBlur(total / weight, (0, 0), 0.8), np.float32)


def _otsu(scores: F32) -> tuple[float, float]:
    """Two thresholds that split scores into three classes (Otsu, 1979)."""
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
    low = max(MIN_SCORE, float(edges[pair[0]]))
    return low, max(low + MIN_SCORE, float(edges[pair[1]]))


def _largest(mask: Mask) -> Mask:
    """The largest connected piece, small gaps closed."""
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
