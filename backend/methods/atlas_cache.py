"""The atlases that are kept: found by name, put there whole, leftovers swept by age."""

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

STALE = 14 * 24 * 3600.0  # seconds after which nobody comes back for a fit that was interrupted


def find(folder: Path, device: torch.device, report: Reporter) -> LayeredAtlas | None:
    """The atlas that is kept in a folder; None where there is none, or a damaged one."""
    if not folder.exists():
        return None
    try:
        kept = engines.load_atlas(folder, device)
    except JobError as damaged:
        report.note(f"{damaged.problem.message} It is made anew.")
        return None
    report.note("Using the atlas made earlier for this shot.")
    return kept


def put(atlas: LayeredAtlas, folder: Path, pictures: dict[str, NDArray[np.uint8]]) -> LayeredAtlas:
    """Keep an atlas and its pictures in a folder, whole or not at all.

    Returns the atlas that is there then: another worker's, where that one was first.
    """
    room = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        fresh = room / "atlas"
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
            except JobError:  # what is there is damaged, and was when it was looked for
                shutil.rmtree(folder)
    finally:
        shutil.rmtree(room, ignore_errors=True)


def sweep(shelf: Path, stale: float = STALE) -> None:
    """Delete what interrupted work left here and nobody came back for in so many seconds."""
    for left in (*shelf.glob("*.part"), *shelf.glob(".*")):
        with contextlib.suppress(OSError):  # another worker may sweep too
            if time.time() - left.stat().st_mtime > stale:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
