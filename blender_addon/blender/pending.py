"""Jobs that are under way, written on their strips, so that the .blend remembers them.

No secret is among it: a job's id, its label, and where its layer belongs.
"""

from __future__ import annotations

import json
from typing import Any

import bpy

from ..core.jobs import Job
from ..core.planning import Anchor
from . import compat, layers

PENDING = "text2live_pending"


def remember(job: Job) -> None:
    """Write a job on its strip."""
    found = layers.find_source(job.anchor)
    if found is not None:
        record = {"job": job.id, "label": job.label, "anchor": job.anchor.to_plain()}
        _write(found[1], [*_without(found[1], job.id), record])


def forget(job: Job) -> None:
    """Take a job off its strip, and off the strip's copies."""
    for _scene, strip in _marked():
        if job.id in str(strip[PENDING]):
            _write(strip, _without(strip, job.id))


def found(package: str) -> list[Job]:
    """Jobs that were under way when this file was saved, each once, without a layer yet."""
    made: dict[str, Job] = {}
    for _scene, strip in _marked():
        for record in _records(strip):
            job_id = str(record["job"])
            if layers.find_layer(job_id) is None:
                made[job_id] = Job(
                    id=job_id,
                    label=str(record["label"]),
                    anchor=Anchor.from_plain(record["anchor"]),
                    folder=layers.folder_for(job_id, package),
                )
    return list(made.values())


def _marked() -> list[tuple[Any, Any]]:
    return [
        (scene, strip)
        for scene in bpy.data.scenes
        for strip in (compat.all_strips(scene.sequence_editor) if scene.sequence_editor else ())
        if PENDING in strip
    ]


def _records(strip: Any) -> list[dict[str, Any]]:
    try:
        records: list[dict[str, Any]] = json.loads(str(strip.get(PENDING, "[]")))
    except ValueError:  # not ours: somebody else wrote there
        return []
    return records if isinstance(records, list) else [records]


def _without(strip: Any, job_id: str) -> list[dict[str, Any]]:
    return [record for record in _records(strip) if record.get("job") != job_id]


def _write(strip: Any, records: list[dict[str, Any]]) -> None:
    if records:
        strip[PENDING] = json.dumps(records)
    elif PENDING in strip:
        del strip[PENDING]
