"""What is known of a shot: its analyses, written on its strip, so that the .blend remembers them.

An analysis is found by a fingerprint of all that decides about the atlas. The backend has the last
word: it reuses an atlas only for the same pixels, masks and settings.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from ..core.jobs import Job
from ..core.settings import Settings
from . import compat, layers
from .backends import PACKAGE
from .extract import source_files
from .folders import folder_for

ANALYSES = "text2live_analyses"
KEPT = 8  # of a strip, the newest


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """A shot's finished decomposition. pictures: by name, those that are on disk."""

    job: str
    numbers: dict[str, float]
    pictures: dict[str, Path]


def fingerprint(strip: Any, settings: Settings) -> str:
    """What decides about the strip's atlas: its pictures as far as they are known, the settings."""
    start, end = compat.span(strip)
    files = source_files(strip)
    first = os.path.normpath(files[0])  # saving writes it relative: the same file, said otherwise
    facts = [first, len(files), end - start, round(start - compat.content_start(strip))]
    facts += [settings.decomposition()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def remember(job: Job) -> None:
    """Write a finished job's analysis on its strip: all of it, or that an edit has made one."""
    found = layers.find_source(job.anchor)
    if found is None or not job.shot:
        return
    strip, key = found[1], job.shot
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


def analysis(strip: Any, settings: Settings) -> Analysis | None:
    """The strip's analysis under these settings, or None."""
    record = _records(strip).get(fingerprint(strip, settings))
    if record is None:
        return None
    moved = folder_for(record["job"], PACKAGE)
    pictures = {}
    for name, text in record["pictures"].items():
        path = Path(text)
        pictures[name] = path if path.exists() else moved / path.name
    return Analysis(
        job=record["job"],
        numbers=record["numbers"],
        pictures={name: path for name, path in pictures.items() if path.exists()},
    )


def folders() -> set[Path]:
    """Where the pictures of this file's analyses lie."""
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
    except ValueError:  # not ours: somebody else wrote there
        return {}
    return records if isinstance(records, dict) else {}
