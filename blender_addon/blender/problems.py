"""Failures in the add-on, as problems for the artist."""

from __future__ import annotations

import traceback

from ..wire import jobs


def as_error(problem: jobs.Problem) -> jobs.JobError:
    """The problem as an exception to raise."""
    return jobs.JobError(problem.code, problem.message, problem.hint, retryable=problem.retryable)


def no_answer(address: str) -> jobs.Problem:
    """The backend cannot be reached."""
    return jobs.Problem(
        code="unreachable",
        message=f"The backend at {address.removeprefix('tcp://')} does not answer.",
        hint="Start it with python -m backend.serve, or check the address in the preferences.",
    )


def problem_of(error: Exception) -> jobs.Problem:
    """Turn an exception into a problem; a bug in the add-on is also printed to the console."""
    if isinstance(error, jobs.JobError):
        return error.problem
    if isinstance(error, OSError):
        return jobs.Problem(
            code="cannot_keep_frames",
            message=f"The frames cannot be written to disk: {error.strerror or error}.",
            hint="Free some space in Blender's temporary folder (Preferences > File Paths).",
        )
    traceback.print_exception(error)
    return jobs.Problem(
        code="addon_fault",
        message=f"The add-on failed: {type(error).__name__}: {error}.",
        hint="This is a bug in the add-on; Blender's console has the details.",
    )


def file_closed() -> jobs.Problem:
    """Reading was interrupted."""
    return jobs.Problem(
        code="file_closed",
        message="The file was closed while its frames were being read.",
        hint="Open it and start the edit again.",
    )
