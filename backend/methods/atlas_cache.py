"""The atlas cache on disk: find atlases by name, write them atomically, sweep old leftovers."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from backend.atlas import engines
from backend.atlas.interface import LayeredAtlas
from backend.media import write_png
from backend.progress import Reporter
from protocol.jobs import JobError

STALE = 14 * 24 * 3600.0
"""Seconds the state of an interrupted fit is kept."""


def find(folder: Path, device: torch.device, report: Reporter) -> LayeredAtlas | None:
    """The atlas in a folder; None if it is missing or damaged."""
    try:
        os.utime(folder)  # used now, so that the server does not delete it
    except OSError:
        return None
    try:
        kept = engines.load_atlas(folder, device)
    except JobError as damaged:
        report.note(f"{damaged.problem.message} The atlas is made again.")
        return None
    report.note("Using this shot's atlas from an earlier job.")
    return kept


def put(atlas: LayeredAtlas, folder: Path, pictures: dict[str, NDArray[np.uint8]]) -> LayeredAtlas:
    """Write an atlas and its images to a folder atomically.

    Returns the atlas in the folder, which is another worker's if that worker was first.
    """
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        fresh = scratch / "atlas"
        atlas.save(fresh)
        for name, image in pictures.items():
            write_png(fresh / f"{name}.png", image)
        while True:
            try:
                os.rename(fresh, folder)
            except OSError:
                if not folder.exists():
                    raise
            else:
                return atlas
            try:
                return engines.load_atlas(folder, atlas.device)
            except JobError:  # damaged, as `find` saw it
                shutil.rmtree(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def sweep(folder: Path, stale: float = STALE) -> None:
    """Delete leftovers of interrupted work older than stale seconds."""
    for left in (*folder.glob("*.part"), *folder.glob(".*")):
        with contextlib.suppress(OSError):  # another worker may sweep too
            if time.time() - left.stat().st_mtime > stale:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
