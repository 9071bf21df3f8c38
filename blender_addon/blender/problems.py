"""What went wrong on this side, as a Problem for the artist."""

from __future__ import annotations

import traceback

from ..wire import jobs


def as_error(problem: jobs.Problem) -> jobs.JobError:
    """A Problem to be raised."""
    return jobs.JobError(problem.code, problem.message, problem.hint, retryable=problem.retryable)


def no_answer(address: str) -> jobs.Problem:
    """Nobody is there."""
    return jobs.Problem(
        code="unreachable",
        message=f"The backend at {address.removeprefix('tcp://')} does not answer.",
        hint="Start it with python -m backend.serve, or check the address in the preferences.",
    )


def problem_of(error: Exception) -> jobs.Problem:
    """Whatever went wrong on this side, for the artist; a fault of ours is printed too."""
    if isinstance(error, jobs.JobError):
        return error.problem
    if isinstance(error, OSError):
        return jobs.Problem(
            code="cannot_keep_frames",
            message=f"The frames cannot be kept on disk: {error.strerror or error}.",
            hint="Make room on the disk of Blender's temporary folder (Preferences > File Paths).",
        )
    traceback.print_exception(error)
    return jobs.Problem(
        code="addon_fault",
        message=f"The add-on failed: {type(error).__name__}: {error}.",
        hint="This is a fault of the add-on; Blender's console has the details.",
    )


def file_closed() -> jobs.Problem:
    """A reading that could not go on."""
    return jobs.Problem(
        code="file_closed",
        message="The file was closed while its frames were read.",
        hint="Open it and start the edit again.",
    )
