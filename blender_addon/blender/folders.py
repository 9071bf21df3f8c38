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


def folder_of(strip: Any) -> Path:
    """Where a layer's pictures, or its movie, lie."""
    if strip.type == "MOVIE":
        return _plain(strip.filepath).parent
    return _plain(strip.directory)


def _plain(path: str) -> Path:
    """A path of Blender's without // and .. in it."""
    return Path(os.path.normpath(bpy.path.abspath(path)))


def _point(strip: Any, folder: str) -> None:
    """Have a layer show the same files in another folder."""
    if strip.type == "MOVIE":
        strip.filepath = f"{folder}/{Path(strip.filepath).name}"
    else:
        strip.directory = folder + "/"


class Mover:
    """Takes layers from the user's folder along when the .blend is saved.

    They are copied while saving, and the first copies removed when the file is closed: until then
    undo may bring back a strip that shows them.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._moved: dict[Path, Path] = {}
        self._superfluous: list[Path] = []

    def before_save(
        self, target: Path, strips: Iterable[Any], known: Iterable[Job], more: Iterable[Path] = ()
    ) -> None:
        """Copy layers beside the file that is about to be saved; strips and jobs show the copies.

        target: the .blend. more: folders that no strip shows now but that belong to the file. A
        folder that cannot be copied stays where it is.
        """
        for folder in more:
            self._take_along(folder, target)
        for strip in strips:
            new = self._take_along(folder_of(strip), target)
            if new is not None:
                # Blender makes it relative itself the first time a file is saved.
                saved = bpy.data.filepath == str(target)
                _point(strip, written(new).rstrip("/") if saved else str(new))
        for job in known:
            new = self._moved.get(job.folder)
            if new is not None:
                job.folder = new
                job.files = tuple(new / path.name for path in job.files)
                job.pictures = {name: new / path.name for name, path in job.pictures.items()}

    def _take_along(self, folder: Path, target: Path) -> Path | None:
        """Copy one of the user's folders beside the .blend; None if there is nothing to do."""
        if folder.parent != self._home or not folder.is_dir():
            return None
        new = target.parent / FOLDER / folder.name
        try:
            _copy(folder, new)
        except OSError:
            return None
        self._moved[folder] = new
        return new

    def after_save(self, strips: Iterable[Any]) -> None:
        """The file is written: what was copied is needed no more, and names can be relative."""
        self._superfluous += self._moved
        for strip in strips:
            if folder_of(strip) in self._moved.values():
                _point(strip, written(folder_of(strip)).rstrip("/"))
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
