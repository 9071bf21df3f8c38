"""What the scheduler writes about jobs: their events, and the objects that they name."""

from __future__ import annotations

from protocol.jobs import BOTH, Event, JobSpec, JobState, ObjectRef, Problem, Result
from protocol.validate import objects


def input_refs(spec: JobSpec) -> list[ObjectRef]:
    """The objects that a job reads."""
    return list(objects(spec).values())


def result_bytes(spec: JobSpec) -> int:
    """Bytes that the layers of a job's result may take."""
    layers = {None: 0, BOTH: 3}.get(spec.changes, 1)
    return 4 * layers * sum(ref.shape[0] * ref.shape[1] for ref in spec.clip.frames)


def result_refs(result: Result) -> list[ObjectRef]:
    """The objects of a result."""
    parts = (ref for part in result.parts.values() for ref in part)
    return [*result.layer, *parts, *result.pictures.values()]


def wrong_shape() -> Problem:
    """Why a job fails that names an object with a shape that its pixels do not have."""
    return Problem(
        code="bad_object",
        message="The job names an image with a size that the image does not have.",
        hint="Extract the frames again, then send the job again.",
    )


def new_event(kind: str, state: JobState, **fields: object) -> Event:
    """An event for the journal, which numbers and dates it."""
    return Event(seq=0, at=0.0, kind=kind, state=state, **fields)  # type: ignore[arg-type]


def new_state(
    state: JobState, *, result: Result | None = None, problem: Problem | None = None
) -> Event:
    """An event that a job has a new state."""
    return Event(seq=0, at=0.0, kind="state", state=state, result=result, problem=problem)
