"""Run a job: fill in its defaults, then call the method for its kind."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from backend.context import Context
from protocol.jobs import (
    AtlasJob,
    ClipJob,
    ClipModel,
    EditJob,
    JobSpec,
    MaskJob,
    Masks,
    PaintJob,
    Result,
)

Job = TypeVar("Job", bound=ClipJob)

METHODS: dict[type[ClipJob], str] = {
    AtlasJob: "backend.methods.atlas",
    MaskJob: "backend.methods.mask",
    EditJob: "backend.methods.edit",
    PaintJob: "backend.methods.paint",
}
"""The module whose `run(spec, ctx)` carries out each kind of job, imported when one comes."""


def run_job(spec: JobSpec, ctx: Context) -> Result:
    """Carry out a job with the method of its kind. Raises JobError, Cancelled."""
    ctx.number_from(spec.clip.start)
    complete = with_places(with_defaults(spec, ctx.model), ctx.models)
    result: Result = import_module(METHODS[type(spec)]).run(complete, ctx)
    return result


def with_defaults(spec: Job, model: ClipModel) -> Job:
    """The job with its text-image models named, and a text for masks that are found by text.

    model: the backend's own, for jobs that name none. Masks with texts use the edit's model. The
    front object of an edit without mask texts is found by the edit's region or source.
    """
    if isinstance(spec, EditJob):
        model = spec.model if spec.model.name else model
        spec = replace(spec, model=model)
        if spec.masks.mode == "text" and not spec.masks.texts:
            spec = replace(spec, masks=replace(spec.masks, texts=spec.object_texts))
    behind = tuple(_with_model(masks, model) for masks in spec.behind)
    return replace(spec, masks=_with_model(spec.masks, model), behind=behind)


def with_places(spec: Job, models: Path) -> Job:
    """The job with full paths of the models that it names. models: where names are looked up."""

    def place(text: str) -> str:
        return str(models / Path(text).expanduser()) if text else ""

    def placed(masks: Masks) -> Masks:
        model = replace(masks.model, checkpoint=place(masks.model.checkpoint))
        return replace(masks, model=model, weights=place(masks.weights))

    if isinstance(spec, EditJob):
        model = replace(spec.model, checkpoint=place(spec.model.checkpoint))
        spec = replace(spec, model=model)
    return replace(spec, masks=placed(spec.masks), behind=tuple(map(placed, spec.behind)))


def _with_model(masks: Masks, model: ClipModel) -> Masks:
    """Name the model only where the masks use it: it is part of the atlas's identity."""
    return replace(masks, model=model) if masks.texts and not masks.model.name else masks
