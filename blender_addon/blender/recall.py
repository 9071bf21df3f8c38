"""Layers of an earlier day: what lies on the timeline, as finished jobs of the list."""

from __future__ import annotations

from ..core import jobs as phases
from ..core.delivery import file_name, read_record
from ..core.jobs import Job
from ..core.planning import Anchor
from ..core.request import Settings
from . import layers
from .folders import folder_of


def finished() -> list[Job]:
    """The jobs of this file's layers, oldest first; those without a record are left out."""
    found = []
    for layer in layers.all_layers():
        folder = folder_of(layer)
        try:
            record = read_record(folder)
            anchor = Anchor.from_plain(record["anchor"])
            settings = record.get("settings")
            job = Job(
                id=str(layer[layers.JOB]),
                label=str(record["label"]),
                anchor=anchor,
                folder=folder,
                phase=phases.DONE,
                files=tuple(folder / file_name(index) for index in range(anchor.frames)),
                layer_size=tuple(layer.get(layers.SIZE, (1, 1))),
                placed=True,
                accepted=True,
                settings=Settings.from_plain(settings) if settings else None,
                version=int(record.get("version", 0)),
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue
        found.append(job)
    return sorted(found, key=lambda job: job.id)
