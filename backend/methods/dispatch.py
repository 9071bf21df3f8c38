"""Which method carries out a job: one line a kind of job."""

from __future__ import annotations

import msgspec

from backend.context import Context
from protocol.jobs import AtlasJob, ClipModel, EditJob, JobSpec, PaintJob, Result


def run_job(spec: JobSpec, ctx: Context) -> Result:
    """Carry out a job with the method of its kind."""
    if isinstance(spec, AtlasJob):
        from backend.methods import atlas

        return atlas.run(spec, ctx)
    if isinstance(spec, PaintJob):
        from backend.methods import paint

        return paint.run(spec, ctx)
    from backend.methods import edit

    return edit.run(_with_model(spec, ctx.model), ctx)


def _with_model(spec: EditJob, model: ClipModel) -> EditJob:
    return spec if spec.model.name else msgspec.structs.replace(spec, model=model)
