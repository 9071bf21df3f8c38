"""Jobs that are under way, written on their scenes, so that the .blend remembers them.

On the scene, not on the strip: a strip may be deleted while its job runs. No secret is among it:
a job's id, what was asked for, and where its layer belongs.
"""

from __future__ import annotations

import json
from typing import Any

import bpy

from ..core.jobs import Job
from ..core.planning import Anchor
from ..core.settings import Settings
from . import layers

PENDING = "text2live_pending"


def remember(job: Job) -> None:
    """Write a job on its scene; nothing when the scene is not in this file."""
    found = layers.find_source(job.anchor)
    scene = found[0] if found else bpy.data.scenes.get(job.anchor.scene)
    if scene is None or job.id in named():
        return
    record = {
        "job": job.id,
        "label": job.label,
        "anchor": job.anchor.to_plain(),
        "replaces": job.replaces,
        "in_place_of": job.in_place_of,
        "version": job.version,
        "shot": job.shot,
        "settings": job.settings.to_plain() if job.settings else None,
    }
    _write(scene, [*_records(scene), record])


def forget(job: Job) -> None:
    """Take a job off its scene, and off the scene's copies."""
    for scene in bpy.data.scenes:
        records = _records(scene)
        kept = [record for record in records if record.get("job") != job.id]
        if len(kept) < len(records):
            _write(scene, kept)


def named() -> set[str]:
    """Ids of the jobs that are written in this file."""
    return {str(record.get("job")) for scene in bpy.data.scenes for record in _records(scene)}


def found(package: str) -> list[Job]:
    """Jobs that were under way when this file was saved, each once, without a layer yet."""
    made: dict[str, Job] = {}
    for scene in bpy.data.scenes:
        for record in _records(scene):
            job_id = str(record["job"])
            settings = record.get("settings")
            if layers.find_layer(job_id) is None:
                made[job_id] = Job(
                    id=job_id,
                    label=str(record["label"]),
                    anchor=Anchor.from_plain(record["anchor"]),
                    folder=layers.folder_for(job_id, package),
                    replaces=str(record.get("replaces", "")),
                    in_place_of=str(record.get("in_place_of", "")),
                    version=int(record.get("version", 0)),
                    shot=str(record.get("shot", "")),
                    settings=Settings.from_plain(settings) if settings else None,
                )
    return list(made.values())


def _records(scene: Any) -> list[dict[str, Any]]:
    try:
        records = json.loads(str(scene.get(PENDING, "[]")))
    except ValueError:  # not ours: somebody else wrote there
        return []
    wanted = {"job", "label", "anchor"}
    return [one for one in records if wanted <= set(one)] if isinstance(records, list) else []


def _write(scene: Any, records: list[dict[str, Any]]) -> None:
    if records:
        scene[PENDING] = json.dumps(records)
    elif PENDING in scene:
        del scene[PENDING]
