"""The arrays that a job refers to: the clip's frames, its masks, the paint."""

from __future__ import annotations

from backend.media import Pixels
from protocol.jobs import Clip, ObjectRef, reference


class JobArrays:
    """Arrays by digest. The instance itself is the source that Client.submit asks for them."""

    def __init__(self) -> None:
        self._arrays: dict[str, Pixels] = {}

    def add(self, array: Pixels) -> ObjectRef:
        """Keep an array [H,W,C] uint8 and return its reference."""
        ref = reference(array)
        self._arrays[ref.digest] = array
        return ref

    def add_clip(self, frames: Pixels, fps: float) -> Clip:
        """Keep frames [T,H,W,3] and return the clip they make."""
        return Clip(frames=tuple(self.add(frame) for frame in frames), fps=fps)

    def __call__(self, digest: str) -> Pixels:
        """The array with this digest."""
        return self._arrays[digest]
