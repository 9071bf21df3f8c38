"""How much work the tracker does. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TrackerConfig:
    """Settings of the tracker; lengths are pixels of its own frames."""

    long_side: int = 320
    """Frames are resized to at most this; at least `LEAST`, even if the working size is less."""
    copies: int = 20
    """Augmented copies of the key frames that the head learns from."""
    steps: int = 100
    """Training steps of the head, two examples each."""
    own_steps: int = 0
    """Further steps on the tracker's own best masks, after which it tracks again; 0: none."""
    crops: bool = False
    """Whether to track again in crops that follow the object."""


DRAFT = TrackerConfig()
FINE = TrackerConfig(long_side=432, copies=28, steps=130, own_steps=60, crops=True)

LEAST = 192
"""Smallest long side of the tracker's frames: features of smaller images are too coarse."""
SHORT = 8
"""Frames from a key mask within which optical flow alone carries it: learning would cost more."""
