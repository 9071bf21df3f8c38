"""Which method carries out a job: one line a kind of job."""

from __future__ import annotations

from backend.context import Context
from backend.methods.defaults import completed
from protocol.jobs import AtlasJob, JobSpec, PaintJob, Result


def run_job(spec: JobSpec, ctx: Context) -> Result:
    """Carry out a job with the method of its kind. Raises JobError, Cancelled."""
    spec = completed(spec, ctx.model)
    if isinstance(spec, AtlasJob):
        from backend.methods import atlas

        return atlas.run(spec, ctx)
    if isinstance(spec, PaintJob):
        from backend.methods import paint

        return paint.run(spec, ctx)
    from backend.methods import edit

    return edit.run(spec, ctx)
