"""Jobs restored from the layers on the timeline, after a file is opened."""

from __future__ import annotations

from typing import Any

from ...core import jobs as phases
from ...core.delivery import layer_files, read_record
from ...core.jobs import SINGLE_LAYER, Job
from ...core.planning import Anchor
from ...core.settings import Settings
from .. import compat
from . import layers
from .folders import folder_of


def finished_jobs() -> list[Job]:
    """The jobs of this file's layers, oldest first; layers without a record are left out."""
    found: dict[str, Job] = {}  # the strips of one job share an entry
    for layer in layers.all_layers():
        job = _from_record(layer)
        if job is not None:
            job.phase, job.placed, job.accepted = phases.DONE, True, True
            job.files = layer_files(job.folder, job.parts, job.anchor.frames)
            found[job.id] = job
    return [found[job_id] for job_id in sorted(found)]


def refetch_jobs(strips: list[Any]) -> list[Job]:
    """Jobs that fetch the frames of these layers again, into the folders their strips name.

    A baked layer may have lost its movie only: then the job already knows its frames.
    """
    found: dict[str, Job] = {}
    for layer in strips:
        job = _from_record(layer) or _from_strip(layer)
        files = layer_files(job.folder, job.parts, job.anchor.frames)
        job.files = files if all(path.is_file() for path in files) else ()
        found[job.id] = job
    return list(found.values())


def refetch(job: Job) -> Job:
    """A finished job reset to the state just after the backend accepted it."""
    return Job(
        id=job.id,
        label=job.label,
        anchor=job.anchor,
        folder=job.folder,
        replaces=job.replaces,
        in_place_of=job.in_place_of,
        replaces_strip=job.replaces_strip,
        settings=job.settings,
        version=job.version,
        server=job.server,
        fingerprint=job.fingerprint,
        image=job.image,
    )


def _from_record(layer: Any) -> Job | None:
    """A layer's job from the record beside its frames, or None."""
    folder = folder_of(layer)
    try:
        record = read_record(folder)
        settings, anchor = record.get("settings"), Anchor.from_plain(record["anchor"])
        return Job(
            id=str(layer[layers.JOB]),
            label=str(record["label"]),
            anchor=anchor,
            folder=folder,
            parts=tuple(record.get("parts", SINGLE_LAYER)),
            layer_size=tuple(layer.get(layers.SIZE, (1, 1))),
            settings=Settings.from_plain(settings, anchor.content) if settings else None,
            version=int(record.get("version", 0)),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _from_strip(layer: Any) -> Job:
    """A layer's job, as far as its strip's custom properties tell."""
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
