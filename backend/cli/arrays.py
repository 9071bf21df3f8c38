"""The arrays that a job refers to: the clip's frames, its masks, the paint."""

from __future__ import annotations

from backend.media import Pixels, SourceClip
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

    def add_clip(self, clip: SourceClip) -> Clip:
        """Keep the frames of a clip with a rate, and return the clip of a job that they make."""
        return Clip(
            frames=tuple(self.add(frame) for frame in clip.frames), fps=float(clip.fps or 1)
        )

    def __call__(self, digest: str) -> Pixels:
        """The array with this digest."""
        return self._arrays[digest]
