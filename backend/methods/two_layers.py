"""An edit of object and background in one job: which texts each gets, and how they are joined."""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from backend.context import Context
from backend.media import composite, fill_under, lay_over
from backend.progress import EDIT_PHASE, Reporter
from protocol.jobs import BOTH, LAYERS, OBJECTS, EditJob, ObjectRef
from protocol.painters import packed_settings, settings_of

BACK, FRONT = LAYERS[-1], OBJECTS[0]
Layer = tuple[ObjectRef, ...]


def layers_to_edit(spec: EditJob) -> tuple[str, ...]:
    """The layers a job edits, back to front: the front one is painted over the edited back one."""
    return (BACK, FRONT) if spec.layer == BOTH else (spec.layer,)


def job_of_layer(spec: EditJob, layer: str) -> EditJob:
    """A job reduced to one of its layers.

    In an edit of both, the background has its own prompt and source; region and avoid are the
    object's. A background without a prompt uses the object's.
    """
    if spec.layer != BOTH:
        return spec
    if layer == BACK:
        return _background_of(spec)
    return replace(spec, layer=layer, background=(), background_source=())


def _background_of(spec: EditJob) -> EditJob:
    own = any(text.strip() for text in spec.background)
    settings = settings_of(spec)
    return replace(
        spec,
        layer=BACK,
        prompt=spec.background if own else spec.prompt,
        source=spec.background_source,
        region=(),
        avoid=(),
        background=(),
        background_source=(),
        settings=packed_settings(settings.for_background() if own else settings),
    )


def composited(frames: NDArray[np.uint8], layer: Layer, ctx: Context) -> NDArray[np.uint8]:
    """Frames [T,H,W,3] with a layer composited over them."""
    return np.stack(
        [composite(frame, ctx.load(ref)) for frame, ref in zip(frames, layer, strict=True)]
    )


def join_layers(parts: dict[str, Layer], ctx: Context) -> tuple[dict[str, Layer], Layer]:
    """Both layers by name, and their composite; the back one fills in under the front's edge."""
    behind, one = [], []
    for front_ref, back_ref in zip(parts[FRONT], parts[BACK], strict=True):
        front = ctx.load(front_ref)
        back = fill_under(front, ctx.load(back_ref))
        behind.append(ctx.store(back))
        one.append(ctx.store(lay_over(front, back)))
    return {FRONT: parts[FRONT], BACK: tuple(behind)}, tuple(one)


class ProgressShare:
    """A Reporter for one of several paintings: its steps count towards the total of all.

    before, after: steps of the paintings before and after this one.
    """

    def __init__(self, report: Reporter, before: int, after: int) -> None:
        self._report, self._before, self._after = report, before, after

    def step(self, phase: str, done: int, total: int) -> None:
        """As a Reporter's."""
        if phase == EDIT_PHASE:
            done, total = self._before + done, self._before + total + self._after
        self._report.step(phase, done, total)

    def preview(self, image: NDArray[np.uint8]) -> None:
        """As a Reporter's."""
        self._report.preview(image)

    def note(self, text: str) -> None:
        """As a Reporter's."""
        self._report.note(text)
