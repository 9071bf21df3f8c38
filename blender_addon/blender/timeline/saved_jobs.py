"""Unfinished jobs, saved on their scenes so that the .blend can follow them after reopening.

They are saved on the scene, not on the strip: a strip may be deleted while its job runs. A record
holds the job's id, its settings and where its layer belongs. It holds no secret.
"""

from __future__ import annotations

import json
from typing import Any

import bpy

from ...core.jobs import Job
from ...core.planning import Anchor
from ...core.settings import Settings
from . import layers
from .folders import folder_for

PENDING = "text2live_pending"


def save(job: Job) -> None:
    """Save a job on its scene; does nothing when the scene is not in this file."""
    found = layers.find_source(job.anchor)
    scene = found[0] if found else bpy.data.scenes.get(job.anchor.scene)
    if scene is None or job.id in saved_ids():
        return
    record = {
        "job": job.id,
        "label": job.label,
        "anchor": job.anchor.to_plain(),
        "replaces": job.replaces,
        "in_place_of": job.in_place_of,
        "replaces_strip": job.replaces_strip,
        "version": job.version,
        "shot": job.fingerprint,
        "settings": job.settings.to_plain() if job.settings else None,
    }
    _write(scene, [*_records(scene), record])


def discard(job: Job) -> None:
    """Remove a job from its scene and from the scene's copies."""
    for scene in bpy.data.scenes:
        records = _records(scene)
        kept = [record for record in records if record.get("job") != job.id]
        if len(kept) < len(records):
            _write(scene, kept)


def saved_ids() -> set[str]:
    """Ids of the jobs saved in this file."""
    return {str(record.get("job")) for scene in bpy.data.scenes for record in _records(scene)}


def load_unfinished(package: str) -> list[Job]:
    """The jobs saved in this file that have no layer yet, each once."""
    made: dict[str, Job] = {}
    for scene in bpy.data.scenes:
        for record in _records(scene):
            job_id = str(record["job"])
            settings, anchor = record.get("settings"), Anchor.from_plain(record["anchor"])
            if layers.find_layer(job_id) is None:
                made[job_id] = Job(
                    id=job_id,
                    label=str(record["label"]),
                    anchor=anchor,
                    folder=folder_for(job_id, package),
                    replaces=str(record.get("replaces", "")),
                    in_place_of=str(record.get("in_place_of", "")),
                    replaces_strip=str(record.get("replaces_strip", "")),
                    version=int(record.get("version", 0)),
                    fingerprint=str(record.get("shot", "")),
                    settings=Settings.from_plain(settings, anchor.content) if settings else None,
                )
    return list(made.values())


def _records(scene: Any) -> list[dict[str, Any]]:
    try:
        records = json.loads(str(scene.get(PENDING, "[]")))
    except ValueError:  # written by someone else
        return []
    wanted = {"job", "label", "anchor"}
    return [one for one in records if wanted <= set(one)] if isinstance(records, list) else []


def _write(scene: Any, records: list[dict[str, Any]]) -> None:
    if records:
        scene[PENDING] = json.dumps(records)
    elif PENDING in scene:
        del scene[PENDING]
