"""The layers of a job: one per object, front to back, and the background behind them."""

from __future__ import annotations

from .jobs import OBJECTS, ClipJob, JobError, Masks

POINTED = ("key", "all", "text", "segment")
"""Mask modes that point at one object. A search by motion could find any of several."""


def objects_of(spec: ClipJob) -> tuple[Masks, ...]:
    """Where each of a job's objects is, front to back."""
    return (spec.masks, *spec.behind)


def layers_of(count: int) -> tuple[str, ...]:
    """The layers of a clip with this many objects, front to back; the background is last."""
    return (*OBJECTS[:count], "background")


def suffix(number: int) -> str:
    """The suffix of an object's names, by its number counted from 1: empty, ``_2``, ``_3``."""
    return f"_{number}" if number > 1 else ""


def about(text: str, number: int, count: int) -> str:
    """A sentence about an object, counted from 1; names the object if there are several."""
    return f"Object {number} ({OBJECTS[number - 1]}): {text}" if count > 1 else text


def error_of_object(error: JobError, number: int, count: int) -> JobError:
    """An error about one object's masks; names the object if there are several.

    ``no_foreground`` becomes ``no_foreground_2`` or ``no_foreground_3`` for further objects.
    """
    old = error.problem
    code = f"{old.code}{suffix(number)}" if old.code == "no_foreground" else old.code
    return JobError(code, about(old.message, number, count), old.hint, retryable=old.retryable)


def one_object_only() -> JobError:
    """The error of a job that gives the engine mlp several objects."""
    return JobError(
        "one_object_only",
        "The atlas engine mlp takes one object, but the job has several.",
        "Use the engine explicit, or mask only the foremost object.",
    )
