"""Where a job finds models on the backend's machine: names in its models folder, or paths."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath, PureWindowsPath

from .jobs import EditJob, JobError, JobSpec
from .layers import objects_of


def places(spec: JobSpec) -> Iterator[str]:
    """The files and folders on the backend's machine that a job names."""
    models = [masks.model for masks in objects_of(spec)]
    if isinstance(spec, EditJob):
        models.append(spec.model)
    yield from (model.checkpoint for model in models if model.checkpoint)
    yield from (masks.weights for masks in objects_of(spec) if masks.weights)


def is_name(text: str) -> bool:
    """Whether a text names something below a folder, on any system: no path, no way out of it."""
    windows, posix = PureWindowsPath(text), PurePosixPath(text)
    return (
        text.isprintable()
        and not text.startswith("~")
        and not (windows.drive or windows.root or posix.root or ":" in text)
        and ".." not in (*windows.parts, *posix.parts)
    )


def check_names_only(spec: JobSpec) -> None:
    """Raise JobError("path_refused") if a job names a file by its path."""
    if not all(is_name(place) for place in places(spec)):
        raise JobError(
            "path_refused",
            "The job names a model by its path, which only the backend's own user may do, on its "
            "own machine.",
            "Put the model into the backend's models folder, and give its name in there.",
        )
