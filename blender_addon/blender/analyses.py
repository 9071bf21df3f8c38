"""The analyses of a shot, saved on its strip so that the .blend keeps them.

An analysis is found by the fingerprint of everything its atlas depends on. The backend has the
last word: it reuses an atlas only for the same pixels, masks and settings.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from ..core.jobs import Job
from ..core.settings import Settings
from . import compat
from .backends import PACKAGE
from .sources import first_file
from .timeline import layers
from .timeline.folders import folder_for

ANALYSES = "text2live_analyses"
KEPT = 8  # analyses per strip, newest first


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """A finished analysis. pictures: atlases and report by name, those that are on disk."""

    job: str
    numbers: dict[str, float]
    pictures: dict[str, Path]


def fingerprint(strip: Any, settings: Settings) -> str:
    """Hash of what the strip's atlas depends on: its media files, its trim and the settings."""
    start, end = compat.span(strip)
    first, files = first_file(strip)
    first = os.path.normpath(first)  # saving may write the same path in another way
    facts = [first, files, end - start, round(start - compat.content_start(strip))]
    facts += [settings.decomposition()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def save(job: Job) -> None:
    """Save the analysis a finished job made on its strip.

    An edit makes one on the way: it is saved without pictures, unless one is there already.
    """
    found = layers.find_source(job.anchor)
    if found is None or not job.fingerprint:
        return
    strip, key = found[1], job.fingerprint
    known = _records(strip)
    if job.kind != "atlas" and key in known:
        return
    record = {
        "job": job.id,
        "numbers": job.result.numbers if job.result else {},
        "pictures": {name: str(path) for name, path in job.pictures.items()},
    }
    kept = [(other, kept) for other, kept in known.items() if other != key][-KEPT + 1 :]
    strip[ANALYSES] = json.dumps(dict([*kept, (key, record)]))


def known(strip: Any, settings: Settings) -> bool:
    """Whether the strip has an analysis for these settings; reads no file."""
    return fingerprint(strip, settings) in _records(strip)


def find(
    strip: Any, settings: Settings, exists: Callable[[Path], bool] = Path.exists
) -> Analysis | None:
    """The strip's analysis for these settings, or None. exists: whether a file is there."""
    record = _records(strip).get(fingerprint(strip, settings))
    if record is None:
        return None
    moved = folder_for(record["job"], PACKAGE)
    pictures = {}
    for name, text in record["pictures"].items():
        path = Path(text)
        pictures[name] = path if exists(path) else moved / path.name
    return Analysis(
        job=record["job"],
        numbers=record["numbers"],
        pictures={name: path for name, path in pictures.items() if exists(path)},
    )


def folders() -> set[Path]:
    """The folders that hold the pictures of this file's analyses."""
    return {
        Path(path).parent
        for scene in bpy.data.scenes
        for strip in (compat.all_strips(scene.sequence_editor) if scene.sequence_editor else ())
        for record in _records(strip).values()
        for path in record["pictures"].values()
    }


def _records(strip: Any) -> dict[str, dict[str, Any]]:
    try:
        records: dict[str, dict[str, Any]] = json.loads(str(strip.get(ANALYSES, "{}")))
    except ValueError:  # written by someone else
        return {}
    return records if isinstance(records, dict) else {}
