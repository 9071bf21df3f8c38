"""Where layers' pictures lie: in the user's folder while the .blend is unsaved, then beside it."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bpy

from ..core.jobs import FETCHING, PLACING, Job
from . import compat

FOLDER = "text2live"


def folder_for(job_id: str, package: str) -> Path:
    """Where a job's layer is written: beside the .blend, or in the user's folder while unsaved."""
    if bpy.data.is_saved:
        return Path(bpy.path.abspath("//")) / FOLDER / job_id
    return home(package) / job_id


def home(package: str) -> Path:
    """The user's own folder of layers."""
    return Path(compat.user_folder(package)) / "layers"


def written(folder: Path) -> str:
    """The folder as Blender writes it, relative to a saved .blend on the same disk."""
    path = str(folder) + "/"
    if not bpy.data.is_saved:
        return path
    try:
        return str(bpy.path.relpath(path)).rstrip("/\\") + "/"
    except ValueError:
        return path


class Mover:
    """Takes layers from the user's folder along when the .blend is saved.

    They are copied while saving, and the first copies removed when the file is closed: until then
    undo may bring back a strip that shows them.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._moved: dict[Path, Path] = {}
        self._superfluous: list[Path] = []

    def before_save(self, target: Path, strips: Iterable[Any], known: Iterable[Job]) -> None:
        """Copy layers beside the file that is about to be saved; strips and jobs show the copies.

        target: the .blend. A folder that cannot be copied stays where it is.
        """
        for strip in strips:
            folder = Path(bpy.path.abspath(strip.directory))
            if folder.parent != self._home or not folder.is_dir():
                continue
            new = target.parent / FOLDER / folder.name
            try:
                _copy(folder, new)
            except OSError:
                continue
            # Blender makes it relative itself the first time a file is saved.
            strip.directory = str(new) + "/"
            self._moved[folder] = new
            for job in known:
                if job.folder == folder:
                    job.folder = new
                    job.files = tuple(new / path.name for path in job.files)

    def after_save(self, strips: Iterable[Any]) -> None:
        """The file is written: what was copied is needed no more, and names can be relative."""
        self._superfluous += self._moved
        for strip in strips:
            folder = Path(bpy.path.abspath(strip.directory))
            if folder in self._moved.values():
                strip.directory = written(folder)
        self._moved.clear()

    def clean(self) -> None:
        """Remove what was moved; called when no undo step can need it any more."""
        for folder in self._superfluous:
            shutil.rmtree(folder, ignore_errors=True)
        self._superfluous.clear()


def follow_file(known: Iterable[Job], package: str) -> None:
    """Have layers that are still to come written beside the .blend that was saved meanwhile."""
    for job in known:
        if not job.ended and job.phase not in (FETCHING, PLACING):
            job.folder = folder_for(job.id, package)


def _copy(folder: Path, new: Path) -> None:
    """Copy a folder so that the name only ever holds all of it."""
    if new.exists():
        return
    part = new.with_name(f"{new.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        shutil.copytree(folder, part)
        os.replace(part, new)
    finally:
        shutil.rmtree(part, ignore_errors=True)
