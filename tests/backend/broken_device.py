"""A worker's runner whose device fails in the first job, as a CUDA device does."""

from __future__ import annotations

from backend.context import Context
from protocol.jobs import JobSpec, Result


class AcceleratorError(RuntimeError):
    """Named as torch's is."""


def run(spec: JobSpec, ctx: Context) -> Result:
    """Fail once per data folder."""
    mark = ctx.data / "failed"
    if not mark.exists():
        mark.touch()
        raise AcceleratorError("CUDA error: device-side assert triggered\nCompile with ...")
    return Result()
