"""Which method carries out a job: one line per kind of job."""

from __future__ import annotations

from importlib import import_module

from backend.context import Context
from backend.methods.defaults import completed
from protocol.jobs import AtlasJob, ClipJob, EditJob, JobSpec, PaintJob, Result

METHODS: dict[type[ClipJob], str] = {
    AtlasJob: "backend.methods.atlas",
    EditJob: "backend.methods.edit",
    PaintJob: "backend.methods.paint",
}
"""The module whose `run(spec, ctx)` carries out each kind of job, imported when one comes."""


def run_job(spec: JobSpec, ctx: Context) -> Result:
    """Carry out a job with the method of its kind. Raises JobError, Cancelled."""
    result: Result = import_module(METHODS[type(spec)]).run(completed(spec, ctx.model), ctx)
    return result
