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
    """Takes layers along when a file is saved: they lie beside the .blend afterwards.

    Saving copies them, from the user's folder or from beside the file that was open. Originals in
    the user's folder are removed when the file is closed: until then undo may bring back a strip
    that shows them. Originals beside another .blend stay with it.
    """

    def __init__(self, user_folder: Path) -> None:
        self._user_folder = user_folder
        self._target = Path()
        self._moved: dict[Path, Path] = {}
        self._before: list[tuple[Any, Path]] = []  # strips that were pointed at copies
        self._obsolete: list[Path] = []

    def before_save(
        self, target: Path, strips: Iterable[Any], known: Iterable[Job], more: Iterable[Path] = ()
    ) -> None:
        """Copy layers beside the file about to be saved, and point strips and jobs at the copies.

        target: the .blend. more: folders that belong to the file but that no strip shows now. A
        folder that cannot be copied stays where it is.
        """
        self._target = target
        for folder in more:
            self._copy_beside(folder)
        for strip in strips:
            old = folder_of(strip)
            new = self._copy_beside(old)
            if new is not None:
                self._before.append((strip, old))
                # Blender rebases relative paths while it saves, and makes absolute ones relative
                # the first time a file is saved.
                _set_folder(strip, to_blend_path(new).rstrip("/"))
        _move_jobs(known, self._moved)

    def _copy_beside(self, folder: Path) -> Path | None:
        """Copy a layer's folder beside the .blend; None if it is there or cannot be copied."""
        home = self._target.parent / FOLDER
        ours = folder.parent == self._user_folder or folder.parent.name == FOLDER
        if not ours or folder.parent == home or not folder.is_dir():
            return None
        new = home / folder.name
        try:
            _copy(folder, new)
        except OSError:
            return None
        self._moved[folder] = new
        return new

    def after_save(self, strips: Iterable[Any], known: Iterable[Job]) -> None:
        """The file is written: originals of the user are obsolete, and paths can be relative.

        If only a copy was saved, the open file shows its own layers again.
        """
        if not bpy.data.is_saved or Path(bpy.data.filepath) != self._target:
            for strip, old in self._before:
                _set_folder(strip, to_blend_path(old).rstrip("/"))
            _move_jobs(known, {new: old for old, new in self._moved.items()})
        else:
            self._obsolete += [old for old in self._moved if old.parent == self._user_folder]
            for strip in strips:
                if folder_of(strip) in self._moved.values():
                    _set_folder(strip, to_blend_path(folder_of(strip)).rstrip("/"))
        self._moved.clear()
        self._before.clear()

    def clean(self) -> None:
        """Remove the originals; call when no undo step can need them any more."""
        for folder in self._obsolete:
            shutil.rmtree(folder, ignore_errors=True)
        self._obsolete.clear()


def _move_jobs(known: Iterable[Job], moved: dict[Path, Path]) -> None:
    for job in known:
        new = moved.get(job.folder)
        if new is not None:
            job.folder = new
            job.files = tuple(new / path.name for path in job.files)
            job.pictures = {name: new / path.name for name, path in job.pictures.items()}


def find_moved(strips: Iterable[Any]) -> None:
    """Point layers whose folder is gone at the one beside the .blend, if it came along with it."""
    if not bpy.data.is_saved:
        return
    for strip in strips:
        folder = folder_of(strip)
        beside = Path(bpy.path.abspath("//")) / FOLDER / folder.name
        if not folder.is_dir() and beside.is_dir():
            _set_folder(strip, to_blend_path(beside).rstrip("/"))


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
