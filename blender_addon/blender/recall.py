"""Layers of an earlier day: what lies on the timeline, as finished jobs of the list."""

from __future__ import annotations

from ..core import jobs as phases
from ..core.delivery import read_record
from ..core.jobs import Job
from ..core.planning import Anchor
from ..core.request import Settings
from . import layers
from .extract import source_files


def finished() -> list[Job]:
    """The jobs of this file's layers, oldest first; those without a record are left out."""
    found = []
    for layer in layers.all_layers():
        files = source_files(layer)
        try:
            record = read_record(files[0].parent)
            settings = record.get("settings")
            job = Job(
                id=str(layer[layers.JOB]),
                label=str(record["label"]),
                anchor=Anchor.from_plain(record["anchor"]),
                folder=files[0].parent,
                phase=phases.DONE,
                files=tuple(files),
                layer_size=tuple(layer.get(layers.SIZE, (1, 1))),
                placed=True,
                accepted=True,
                settings=Settings.from_plain(settings) if settings else None,
                version=int(record.get("version", 0)),
            )
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            continue
        found.append(job)
    return sorted(found, key=lambda job: job.id)
