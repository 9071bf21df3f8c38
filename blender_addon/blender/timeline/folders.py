"""Where the frames of layers are kept: in the user's folder until the .blend is saved, then
beside it."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bpy

from ...core.jobs import FETCHING, PLACING, Job
from .. import compat

FOLDER = "text2live"


def folder_for(job_id: str, package: str) -> Path:
    """The folder for a job's layer: beside the .blend, or in the user's folder while unsaved."""
    if bpy.data.is_saved:
        return Path(bpy.path.abspath("//")) / FOLDER / job_id
    return user_folder(package) / job_id


def user_folder(package: str) -> Path:
    """The user's folder for the layers of unsaved files."""
    return Path(compat.user_folder(package)) / "layers"


def to_blend_path(folder: Path) -> str:
    """The folder's path as stored in the .blend: relative if saved and on the same disk."""
    path = str(folder) + "/"
    if not bpy.data.is_saved:
        return path
    try:
        return str(bpy.path.relpath(path)).rstrip("/\\") + "/"
    except ValueError:
        return path


def folder_of(strip: Any) -> Path:
    """The folder of a layer's frames or movie."""
    if strip.type == "MOVIE":
        return _absolute(strip.filepath).parent
    return _absolute(strip.directory)


def _absolute(path: str) -> Path:
    """A Blender path without // and .. in it."""
    return Path(os.path.normpath(bpy.path.abspath(path)))


def _set_folder(strip: Any, folder: str) -> None:
    """Make a layer show the same files in another folder."""
    if strip.type == "MOVIE":
        strip.filepath = f"{folder}/{Path(strip.filepath).name}"
    else:
        strip.directory = folder + "/"


class Mover:
    """Moves layers from the user's folder beside the .blend when it is saved.

    Saving copies them. The originals are removed when the file is closed: until then undo may
    bring back a strip that shows them.
    """

    def __init__(self, user_folder: Path) -> None:
        self._user_folder = user_folder
        self._moved: dict[Path, Path] = {}
        self._obsolete: list[Path] = []

    def before_save(
        self, target: Path, strips: Iterable[Any], known: Iterable[Job], more: Iterable[Path] = ()
    ) -> None:
        """Copy layers beside the file about to be saved, and point strips and jobs at the copies.

        target: the .blend. more: folders that belong to the file but that no strip shows now. A
        folder that cannot be copied stays where it is.
        """
        for folder in more:
            self._copy_beside(folder, target)
        for strip in strips:
            new = self._copy_beside(folder_of(strip), target)
            if new is not None:
                # Blender makes paths relative itself the first time a file is saved.
                saved = bpy.data.filepath == str(target)
                _set_folder(strip, to_blend_path(new).rstrip("/") if saved else str(new))
        for job in known:
            new = self._moved.get(job.folder)
            if new is not None:
                job.folder = new
                job.files = tuple(new / path.name for path in job.files)
                job.pictures = {name: new / path.name for name, path in job.pictures.items()}

    def _copy_beside(self, folder: Path, target: Path) -> Path | None:
        """Copy a user's folder beside the .blend; None if it is not one or cannot be copied."""
        if folder.parent != self._user_folder or not folder.is_dir():
            return None
        new = target.parent / FOLDER / folder.name
        try:
            _copy(folder, new)
        except OSError:
            return None
        self._moved[folder] = new
        return new

    def after_save(self, strips: Iterable[Any]) -> None:
        """The file is written: the originals are obsolete, and paths can be relative."""
        self._obsolete += self._moved
        for strip in strips:
            if folder_of(strip) in self._moved.values():
                _set_folder(strip, to_blend_path(folder_of(strip)).rstrip("/"))
        self._moved.clear()

    def clean(self) -> None:
        """Remove the originals; call when no undo step can need them any more."""
        for folder in self._obsolete:
            shutil.rmtree(folder, ignore_errors=True)
        self._obsolete.clear()


def follow_file(known: Iterable[Job], package: str) -> None:
    """After a save, send the layers still to come to the folder beside the .blend."""
    for job in known:
        if not job.ended and job.phase not in (FETCHING, PLACING):
            job.folder = folder_for(job.id, package)


def _copy(folder: Path, new: Path) -> None:
    """Copy a folder atomically: the new name never holds half of it."""
    if new.exists():
        return
    part = new.with_name(f"{new.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        shutil.copytree(folder, part)
        os.replace(part, new)
    finally:
        shutil.rmtree(part, ignore_errors=True)
