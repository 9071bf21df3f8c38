"""Turn evidence into a mask: neighbours of like colour decide together; specks are removed."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.motion.flow import F32, Mask

ROUNDS = 12
PULL = 2.0  # logits a neighbour of the same colour pulls with
NEIGHBOURS = ((0, 1, 1.0), (1, 0, 1.0), (1, 1, 0.7), (1, -1, 0.7))
SPECK = 0.03  # of the largest piece; smaller pieces are removed
HOLE = 0.004  # of the mask; smaller holes are filled
STRONG = 30.0  # logits; stronger evidence is clamped to this


def graph_refine(frame: NDArray[np.uint8], evidence: F32, free: Mask) -> Mask:
    """The mask that fits evidence and colour edges best: mean field on the pixel grid, bool [h,w].

    frame: uint8 [h,w,3]. evidence: logits, above 0 inside. free: where the mask may differ
    from the sign of the evidence.
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
    affinities = _affinities(np.asarray(lab, np.float32))
    lean = np.tanh(0.5 * logit)  # 2·probability − 1
    for _ in range(ROUNDS):
        pulled = np.zeros_like(lean)
        for (dy, dx, _weight), affinity in zip(NEIGHBOURS, affinities, strict=True):
            pulled += affinity * np.roll(lean, (-dy, -dx), (0, 1))
            pulled += np.roll(affinity * lean, (dy, dx), (0, 1))
        lean = np.where(inside, np.tanh(0.5 * (logit + PULL * pulled)), lean)
    out[part] = np.where(inside, lean > 0, out[part])
    return np.asarray(out)


def _affinities(lab: F32) -> list[F32]:
    """How alike each pixel and its neighbour are in colour, per direction, 0..1."""
    apart = [((lab - np.roll(lab, (-dy, -dx), (0, 1))) ** 2).sum(-1) for dy, dx, _ in NEIGHBOURS]
    scale = 1 / (2 * float(np.mean([one.mean() for one in apart])) + 1e-6)
    out = []
    for (dy, dx, weight), one in zip(NEIGHBOURS, apart, strict=True):
        affinity = weight * np.exp(-scale * one).astype(np.float32)
        if dy:
            affinity[-dy:] = 0
        if dx > 0:
            affinity[:, -dx:] = 0
        elif dx < 0:
            affinity[:, :-dx] = 0
        out.append(np.asarray(affinity, np.float32))
    return out


def tidy(mask: Mask) -> Mask:
    """A mask without pieces much smaller than its largest, and without pinholes."""
    count, label, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count < 2:
        return mask
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    keep = areas >= SPECK * areas.max()
    keep[0] = False
    out = keep[label]
    count, label, stats, _ = cv2.connectedComponentsWithStats(
        (~out).astype(np.uint8), connectivity=4
    )
    fill = stats[:, cv2.CC_STAT_AREA] < HOLE * out.sum()
    fill[0] = False
    return np.asarray(out | fill[label])
