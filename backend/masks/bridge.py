"""Masks on frames that show nothing of the object, from the masks on both sides of the gap."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from backend.motion.fields import signed_distance
from backend.motion.flow import F32, Mask, pull


def bridged(masks: NDArray[np.bool_], gaps: Collection[int]) -> NDArray[np.bool_]:
    """Masks bool [T,h,w] with those of some frames filled in. gaps: these frames.

    An object is taken to move steadily over a gap. Where it is on one side only, and where the gap
    has one side only, the nearer mask is used.
    """
    out = masks.copy()
    known = [t for t in range(len(masks)) if t not in gaps]
    for t in sorted(gaps):
        before = max((k for k in known if k < t), default=None)
        after = min((k for k in known if k > t), default=None)
        if before is None or after is None:
            out[t] = masks[after if before is None else before]
        else:
            share = (t - before) / (after - before)
            out[t] = _between(masks[before], masks[after], share)
    return out


def _between(before: Mask, after: Mask, share: float) -> Mask:
    if not (before.any() and after.any()):
        return before if share <= 0.5 else after
    way = (_middle(after) - _middle(before)).astype(np.float32)
    one = pull(signed_distance(before), _constant(before, -np.float32(share) * way))
    other = pull(signed_distance(after), _constant(after, np.float32(1 - share) * way))
    return np.asarray((1 - share) * one + share * other < 0)


def _middle(mask: Mask) -> NDArray[np.float64]:
    """The mean x and y of a mask."""
    y, x = np.nonzero(mask)
    return np.array([x.mean(), y.mean()])


def _constant(mask: Mask, way: F32) -> F32:
    """The same motion everywhere: [h,w,2]."""
    return np.broadcast_to(way, (*mask.shape, 2)).astype(np.float32)
