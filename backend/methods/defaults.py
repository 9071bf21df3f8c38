"""What a job leaves open, filled in once, before any method sees it."""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import replace

from protocol.jobs import ClipJob, ClipModel, EditJob, Masks

Job = TypeVar("Job", bound=ClipJob)


def completed(spec: Job, model: ClipModel) -> Job:
    """The job with its text-image models named, and a text for masks that are found by text.

    model: the backend's own, for jobs that name none. Masks with texts take the edit's model. The
    front object of an edit without mask texts is found by the edit's region or source.
    """
    if isinstance(spec, EditJob):
        model = spec.model if spec.model.name else model
        spec = replace(spec, model=model)
        if spec.masks.mode == "text" and not spec.masks.texts:
            spec = replace(spec, masks=replace(spec.masks, texts=spec.object_texts))
    behind = tuple(_with_model(masks, model) for masks in spec.behind)
    return replace(spec, masks=_with_model(spec.masks, model), behind=behind)


def _with_model(masks: Masks, model: ClipModel) -> Masks:
    """Named only where it is used: a mask's model is part of its atlas' identity."""
    return replace(masks, model=model) if masks.texts and not masks.model.name else masks
