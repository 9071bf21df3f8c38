"""From evidence to a mask: neighbours of one colour decide together, then crumbs are swept up."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.motion.flow import F32, Mask

ROUNDS = 12
TIE = 2.0  # logits with which a neighbour of the same colour pulls
NEIGHBOURS = ((0, 1, 1.0), (1, 0, 1.0), (1, 1, 0.7), (1, -1, 0.7))
CRUMB = 0.03  # of the largest piece; smaller pieces are dropped
HOLE = 0.004  # of the mask; smaller holes are filled
STRONG = 30.0  # logits beyond which nothing changes


def settle(frame: NDArray[np.uint8], evidence: F32, free: Mask) -> Mask:
    """The mask that evidence and colour edges agree on: mean field of a grid, bool [h,w].

    frame: uint8 [h,w,3]. evidence: logits, above 0 inside. free: where the mask may differ from
    the sign of the evidence.
    """
    out = evidence > 0
    ys, xs = np.nonzero(free)
    if not len(ys):
        return out
    part = np.s_[
        max(0, int(ys.min()) - 2) : int(ys.max()) + 3, max(0, int(xs.min()) - 2) : int(xs.max()) + 3
    ]
    lab = cv2.cvtColor(frame[part].astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    logit = np.clip(evidence[part], -STRONG, STRONG).astype(np.float32)
    inside = free[part]
    ties = _ties(np.asarray(lab, np.float32))
    lean = np.tanh(0.5 * logit)  # 2·probability − 1
    for _ in range(ROUNDS):
        pulled = np.zeros_like(lean)
        for (dy, dx, _weight), tie in zip(NEIGHBOURS, ties, strict=True):
            pulled += tie * np.roll(lean, (-dy, -dx), (0, 1))
            pulled += np.roll(tie * lean, (dy, dx), (0, 1))
        lean = np.where(inside, np.tanh(0.5 * (logit + TIE * pulled)), lean)
    out[part] = np.where(inside, lean > 0, out[part])
    return np.asarray(out)


def _ties(lab: F32) -> list[F32]:
    """How strongly each pixel and its neighbour in each direction belong together, 0..1."""
    apart = [((lab - np.roll(lab, (-dy, -dx), (0, 1))) ** 2).sum(-1) for dy, dx, _ in NEIGHBOURS]
    scale = 1 / (2 * float(np.mean([one.mean() for one in apart])) + 1e-6)
    out = []
    for (dy, dx, weight), one in zip(NEIGHBOURS, apart, strict=True):
        tie = weight * np.exp(-scale * one).astype(np.float32)
        if dy:
            tie[-dy:] = 0
        if dx > 0:
            tie[:, -dx:] = 0
        elif dx < 0:
            tie[:, :-dx] = 0
        out.append(np.asarray(tie, np.float32))
    return out


def tidy(mask: Mask) -> Mask:
    """Without pieces much smaller than the largest, and without pin-holes."""
    count, label, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count < 2:
        return mask
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    keep = areas >= CRUMB * areas.max()
    keep[0] = False
    out = keep[label]
    count, label, stats, _ = cv2.connectedComponentsWithStats(
        (~out).astype(np.uint8), connectivity=4
    )
    fill = stats[:, cv2.CC_STAT_AREA] < HOLE * out.sum()
    fill[0] = False
    return np.asarray(out | fill[label])
