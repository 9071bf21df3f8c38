"""From the panel's settings to the job that is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from msgspec.structs import fields

from ..wire import jobs, validate
from .masking import MaskSource, masks_for
from .settings import Settings, alternatives, painter_declarations

JobT = TypeVar("JobT", bound=jobs.ClipJob)


def check(settings: Settings) -> None:
    """Raise JobError for an edit without a prompt."""
    if settings.kind == "edit" and not alternatives(settings.prompt):
        raise jobs.JobError(
            "empty_prompt",
            "The prompt is empty.",
            'Describe what the edited shot should show, for example "a red car on fire".',
        )


def check_before_reading(
    settings: Settings,
    size: tuple[int, int],
    frames: int,
    masks: Sequence[MaskSource],
    fps: float,
    start: int = 0,
    first: int = 0,
) -> None:
    """Raise JobError for a job that the backend would refuse, before any frame is read.

    size: (W, H) the frames will have. masks: those to read. start: the clip's first frame on the
    timeline; first: in the strip's content.
    """
    width, height = size

    def placeholder(index: int, channels: int) -> jobs.ObjectRef:
        shape = (height, width, channels)
        return jobs.ObjectRef(digest=f"{index:064x}", dtype="uint8", shape=shape)

    drawn = [one.frame for one in masks if one.key is not None and one.key.kind == "strokes"]
    others = [one.frame for one in masks if one.frame not in drawn]
    keys = [jobs.KeyMask(frame=n, mask=placeholder(frames + n, 1)) for n in others]
    strokes = [jobs.StrokeKey(frame=n, mask=placeholder(frames + n, 1)) for n in drawn]
    given = masks_for(settings, keys, strokes, first, frames)
    clip = tuple(placeholder(index, 3) for index in range(frames))
    paint = placeholder(2 * frames, 4)
    validate.check(job_spec(settings, clip, given, fps, start, paint))


def job_spec(
    settings: Settings,
    frames: tuple[jobs.ObjectRef, ...],
    masks: jobs.Masks,
    fps: float,
    start: int = 0,
    image: jobs.ObjectRef | None = None,
) -> jobs.JobSpec:
    """The job for these settings, frames and masks.

    start: the clip's first frame on the timeline. image: the paint, for a job of kind paint.
    """
    check(settings)
    given: dict[str, Any] = {"clip": jobs.Clip(frames=frames, fps=fps, start=start), "masks": masks}
    if settings.kind == "atlas":
        return _fill(jobs.AtlasJob, settings, given)
    if settings.kind == "mask":
        return _fill(jobs.MaskJob, settings, given)
    if settings.kind == "paint":
        assert image is not None
        painted = settings.paint_frame
        given |= {"image": image, "frame": None if painted is None else painted - start}
        return _fill(jobs.PaintJob, settings, given)
    given |= {"model": settings.clip_model, "settings": painter_settings(settings)}
    if settings.layer != "both":
        given |= {"background": (), "background_source": ()}
    return _fill(jobs.EditJob, settings, given)


def _fill(kind: type[JobT], settings: Settings, given: dict[str, Any]) -> JobT:
    """A job of this kind: the given fields, and the others from the settings of the same name.

    A field that has neither keeps its default. Lists of texts come from a text's alternatives.
    """
    values = dict(given)
    for one in fields(kind):
        if one.name not in given and hasattr(settings, one.name):
            value = getattr(settings, one.name)
            values[one.name] = alternatives(value) if one.type == tuple[str, ...] else value
    return kind(**values)


def painter_settings(settings: Settings) -> dict[str, Any]:
    """The painter's settings as an edit job carries them: those that differ from the default."""
    given: dict[str, Any] = {}
    for one in painter_declarations(settings.painter):
        value = settings.painter_settings.get(one.name, one.default)
        if one.kind == "texts" and isinstance(value, str):
            value = alternatives(value)
        if value != one.default:
            given[one.name] = list(value) if one.kind == "texts" else value
    return given
