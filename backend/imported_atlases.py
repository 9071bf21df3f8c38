"""Atlases that were imported rather than fitted: kept by the frames they belong to, until deleted.

They serve every job on these frames with the engine `mlp`, whatever its masks, preset and seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from protocol.jobs import ClipJob, ObjectRef

FOLDER = "imported_atlases"


def folder_for(data: Path, frames: Sequence[ObjectRef]) -> Path:
    """Where the imported atlas of these frames is, if there is one. data: the data folder."""
    digests = "\n".join(frame.digest for frame in frames)
    return data / FOLDER / hashlib.sha256(digests.encode()).hexdigest()


def folder_of(spec: ClipJob, data: Path) -> Path | None:
    """The folder of the imported atlas that serves a job, or None."""
    if spec.engine != "mlp" or spec.behind or spec.masks.mode == "none":
        return None
    folder = folder_for(data, spec.clip.frames)
    return folder if folder.is_dir() else None


def identity_of(spec: ClipJob, data: Path) -> tuple[int, ...]:
    """What tells the imported atlas that serves a job from others; empty if none does."""
    folder = folder_of(spec, data)
    return () if folder is None else (folder.stat().st_mtime_ns,)
