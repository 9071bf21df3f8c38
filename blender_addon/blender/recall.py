"""Layers of an earlier day: what lies on the timeline, as finished jobs of the list."""

from __future__ import annotations

from typing import Any

from ..core import jobs as phases
from ..core.delivery import files_in, read_record
from ..core.jobs import ALONE, Job
from ..core.planning import Anchor
from ..core.settings import Settings
from . import compat, layers
from .folders import folder_of


def finished() -> list[Job]:
    """The jobs of this file's layers, oldest first; those without a record are left out."""
    found: dict[str, Job] = {}  # a job's several strips are one job
    for layer in layers.all_layers():
        job = _recorded(layer)
        if job is not None:
            job.phase, job.placed, job.accepted = phases.DONE, True, True
            job.files = files_in(job.folder, job.parts, job.anchor.frames)
            found[job.id] = job
    return [found[job_id] for job_id in sorted(found)]


def fetched_again(strips: list[Any]) -> list[Job]:
    """Jobs that fetch these layers' pictures once more, into the folders their strips name.

    Of a movie that is lost, the pictures may be there: such a job knows its files.
    """
    found: dict[str, Job] = {}
    for layer in strips:
        job = _recorded(layer) or _unrecorded(layer)
        files = files_in(job.folder, job.parts, job.anchor.frames)
        job.files = files if all(path.is_file() for path in files) else ()
        found[job.id] = job
    return list(found.values())


def anew(job: Job) -> Job:
    """A finished job as it was when the backend had just taken it, to have its result once more."""
    return Job(
        id=job.id,
        label=job.label,
        anchor=job.anchor,
        folder=job.folder,
        replaces=job.replaces,
        in_place_of=job.in_place_of,
        settings=job.settings,
        version=job.version,
        server=job.server,
        shot=job.shot,
        image=job.image,
    )


def _recorded(layer: Any) -> Job | None:
    """A layer's job as it is kept beside the pictures, or None."""
    folder = folder_of(layer)
    try:
        record = read_record(folder)
        settings = record.get("settings")
        return Job(
            id=str(layer[layers.JOB]),
            label=str(record["label"]),
            anchor=Anchor.from_plain(record["anchor"]),
            folder=folder,
            parts=tuple(record.get("parts", ALONE)),
            layer_size=tuple(layer.get(layers.SIZE, (1, 1))),
            settings=Settings.from_plain(settings) if settings else None,
            version=int(record.get("version", 0)),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _unrecorded(layer: Any) -> Job:
    """A layer's job as far as its strip tells."""
    start, end = compat.span(layer)
    width, height = layer.get(layers.SIZE, (1, 1))
    return Job(
        id=str(layer[layers.JOB]),
        label=layer.name,
        anchor=Anchor(
            scene=layer.id_data.name,
            strip_uid=str(layer.get(layers.LAYER_OF, "")),
            strip_name=layer.name,
            start=start,
            frames=end - start,
            content=start,
            width=int(width),
            height=int(height),
        ),
        folder=folder_of(layer),
        version=int(layer.get(layers.VERSION, 0)),
    )
