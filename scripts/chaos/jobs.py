"""The jobs of a campaign, and what their results must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backend.executors.mock import tinted
from protocol.jobs import (
    AtlasJob,
    Clip,
    EditJob,
    Event,
    JobSpec,
    KeyMask,
    Masks,
    ObjectRef,
    reference,
)

Pixels = NDArray[np.uint8]


@dataclass
class Sent:
    """A job that was sent: its pixels by digest, and its events as the client saw them.

    expected: the layer of its result; None if only a run without faults can tell.
    """

    spec: JobSpec
    pixels: dict[str, Pixels]
    expected: tuple[ObjectRef, ...] | None
    events: list[Event] = field(default_factory=list)
    cancelled: bool = False

    @property
    def source(self) -> Callable[[str], Pixels]:
        """For Client.submit."""
        return self.pixels.__getitem__


def edit_of_noise(random: np.random.Generator, number: int) -> Sent:
    """An edit for the stand-in: three frames that take a few chunks to send."""
    height, width = int(random.integers(60, 500)), int(random.integers(60, 500))
    frames = [random.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(3)]
    refs = tuple(reference(frame) for frame in frames)
    spec = EditJob(clip=Clip(frames=refs), prompt=(f"edit {number}",), seed=number)
    expected = tuple(reference(tinted(frame, spec)) for frame in frames)
    return Sent(spec, {ref.digest: one for ref, one in zip(refs, frames, strict=True)}, expected)


def atlas_of_noise(random: np.random.Generator, number: int) -> Sent:
    """A tiny decomposition for the real worker: a square that moves over noise."""
    ground = random.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    frames, masks = [], []
    for step in range(3):
        frame, mask = ground.copy(), np.zeros((48, 64, 1), np.uint8)
        frame[12:36, 10 + 4 * step : 34 + 4 * step] = (200, 40, 40)
        mask[12:36, 10 + 4 * step : 34 + 4 * step] = 255
        frames.append(frame)
        masks.append(mask)
    pixels = {reference(one).digest: one for one in (*frames, *masks)}
    keys = tuple(KeyMask(frame=i, mask=reference(one)) for i, one in enumerate(masks))
    clip = Clip(frames=tuple(reference(one) for one in frames))
    spec = AtlasJob(clip=clip, masks=Masks(mode="all", keys=keys), preset="draft", seed=number)
    return Sent(spec, pixels, None)
