"""The layers of a job: one an object, front to back, and the background behind all of them."""

from __future__ import annotations

from .jobs import OBJECTS, ClipJob, JobError, Masks

POINTED = ("key", "all", "text", "segment")
"""Mask modes that point at one object. What is looked for by motion may be any of several."""


def objects_of(spec: ClipJob) -> tuple[Masks, ...]:
    """Where each of a job's objects is, front to back."""
    return (spec.masks, *spec.behind)


def layers_of(count: int) -> tuple[str, ...]:
    """The layers of a clip of so many objects, front to back; the background is last."""
    return (*OBJECTS[:count], "background")


def suffix(number: int) -> str:
    """What tells names of objects apart, counted from 1: nothing, ``_2``, ``_3``."""
    return f"_{number}" if number > 1 else ""


def about(text: str, number: int, count: int) -> str:
    """A sentence about an object, counted from 1; it says which where there are several."""
    return f"Object {number} ({OBJECTS[number - 1]}): {text}" if count > 1 else text


def of_object(error: JobError, number: int, count: int) -> JobError:
    """An error of one object's masks; it says which where there are several.

    ``no_foreground`` of further objects is ``no_foreground_2``, ``no_foreground_3``.
    """
    old = error.problem
    code = f"{old.code}{suffix(number)}" if old.code == "no_foreground" else old.code
    return JobError(code, about(old.message, number, count), old.hint, retryable=old.retryable)


def one_object_only() -> JobError:
    """Why the engine mlp makes no atlas of several objects."""
    return JobError(
        "one_object_only",
        "The atlas engine mlp knows one object, but several were given.",
        "Use the engine explicit, or give the foremost object alone.",
    )
