"""From the panel's settings to the job that is sent."""

from __future__ import annotations

from collections.abc import Sequence

from ..wire import jobs, painters, validate
from .masking import masks_for
from .settings import Settings, alternatives


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
    masks: Sequence[int],
    fps: float,
    start: int = 0,
) -> None:
    """Raise JobError for a job that the backend would refuse, before any frame is read.

    size: (W, H) the frames will have. masks: frames that have a mask, counted from 0. start: the
    clip's first frame on the timeline.
    """
    width, height = size

    def placeholder(index: int, channels: int) -> jobs.ObjectRef:
        shape = (height, width, channels)
        return jobs.ObjectRef(digest=f"{index:064x}", dtype="uint8", shape=shape)

    keys = tuple(jobs.KeyMask(frame=n, mask=placeholder(frames + n, 1)) for n in masks)
    clip = tuple(placeholder(index, 3) for index in range(frames))
    paint = placeholder(2 * frames, 4)
    validate.check(job_spec(settings, clip, masks_for(settings, keys, start), fps, start, paint))


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
    clip = jobs.Clip(frames=frames, fps=fps)
    if settings.kind == "atlas":
        return jobs.AtlasJob(
            clip=clip,
            masks=masks,
            preset=settings.preset,
            seed=settings.seed,
            engine=settings.engine,
        )
    if settings.kind == "paint":
        assert image is not None
        return jobs.PaintJob(
            clip=clip,
            image=image,
            frame=None if settings.paint_frame is None else settings.paint_frame - start,
            masks=masks,
            layer=settings.layer,
            preset=settings.preset,
            seed=settings.seed,
            engine=settings.engine,
        )
    both = settings.layer == "both"
    return jobs.EditJob(
        clip=clip,
        prompt=alternatives(settings.prompt),
        source=alternatives(settings.source),
        region=alternatives(settings.region),
        avoid=alternatives(settings.avoid),
        background=alternatives(settings.background) if both else (),
        background_source=alternatives(settings.background_source) if both else (),
        masks=masks,
        layer=settings.layer,
        preset=settings.preset,
        settings=painters.packed_settings(
            painters.Text2LiveSettings(
                screen=alternatives(settings.screen),
                recipe=settings.recipe,
                strength=settings.strength,
                detail=settings.detail,
            )
        ),
        seed=settings.seed,
        model=settings.clip_model,
        engine=settings.engine,
        after=settings.after,
    )
