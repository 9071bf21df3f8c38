"""The strip that is edited: whether it can be, its files, its size, and finding it again."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from ..wire import jobs
from . import compat

UID = "text2live_uid"  # custom property of a strip that was edited; copies of it share it


def strip_uid(strip: Any) -> str:
    """The strip's id, assigned on first use; it survives renaming and saving."""
    if UID not in strip:
        strip[UID] = uuid.uuid4().hex
    return str(strip[UID])


def find_strip(scene: Any, name: str) -> Any:
    """A strip of the scene by name, inside metas too; or None."""
    editor = scene.sequence_editor
    return compat.all_strips(editor).get(name) if editor else None


@dataclass(frozen=True, kw_only=True)
class StripId:
    """Finds a strip of a scene again after it was renamed or moved, and tells it from its copies.

    start: its first visible frame; channel: its channel.
    """

    uid: str
    name: str
    start: int
    channel: int

    @classmethod
    def of(cls, strip: Any) -> StripId:
        """The identity of a strip now."""
        start = compat.span(strip)[0]
        return cls(uid=strip_uid(strip), name=strip.name, start=start, channel=strip.channel)

    def find(self, scene: Any) -> Any:
        """The strip in the scene, or None. Undo may have removed its id; then its name counts."""
        named = find_strip(scene, self.name)
        if named is not None and named.get(UID, self.uid) == self.uid:
            return named
        editor = scene.sequence_editor
        strips = compat.all_strips(editor) if editor else ()
        copies = [strip for strip in strips if strip.get(UID) == self.uid]
        return min(copies, key=self._distance, default=None)

    def _distance(self, strip: Any) -> tuple[int, int]:
        return abs(compat.span(strip)[0] - self.start), abs(strip.channel - self.channel)


def check_source(strip: Any) -> None:
    """Raise JobError if a strip cannot be edited."""
    if strip is None:
        raise jobs.JobError(
            "no_active_strip",
            "No strip is active.",
            "Click a movie or image strip in the Sequencer.",
        )
    if strip.type not in compat.SOURCE_TYPES:
        raise jobs.JobError(
            "wrong_strip_type",
            f"{strip.name} is a {strip.type.lower().replace('_', ' ')} strip.",
            "Choose a movie or image strip.",
        )
    library = compat.linked_from(strip.id_data)
    if library is not None:
        raise jobs.JobError(
            "linked_scene",
            f"The scene {strip.id_data.name} is linked from {library.filepath}: a layer placed in "
            "it would not be saved.",
            "Open that file and start the edit there, or append the scene instead of linking it.",
        )
    missing = next((path for path in source_files(strip) if not path.exists()), None)
    if missing is not None:
        raise jobs.JobError(
            "media_missing",
            f"The file of {strip.name} is missing: {missing}.",
            "Use File > External Data > Find Missing Files, or put the file back.",
        )


def check_covers(strip: Any, frame: int) -> None:
    """Raise JobError where a strip does not cover a timeline frame."""
    start, end = compat.span(strip)
    if not start <= frame < end:
        raise jobs.JobError(
            "frame_outside",
            f"Frame {frame} is outside {strip.name}, which covers frames {start} to {end - 1}.",
            "Go to a frame of the strip first.",
        )


def source_files(strip: Any) -> list[Path]:
    """The media files of a movie or image strip."""
    if strip.type == "MOVIE":
        return [Path(bpy.path.abspath(strip.filepath))]
    folder = Path(bpy.path.abspath(strip.directory))
    return [folder / element.filename for element in strip.elements]


def first_file(strip: Any) -> tuple[str, int]:
    """The first media file of a movie or image strip, and how many there are."""
    if strip.type == "MOVIE":
        return bpy.path.abspath(strip.filepath), 1
    folder = Path(bpy.path.abspath(strip.directory))
    return str(folder / strip.elements[0].filename), len(strip.elements)


def source_size(strip: Any) -> tuple[int, int]:
    """Width and height of the strip's media in pixels; raises JobError when unreadable."""
    element = strip.elements[0] if strip.elements else None
    if element is not None and element.orig_width > 0 and element.orig_height > 0:
        return int(element.orig_width), int(element.orig_height)
    path = source_files(strip)[0]
    image = bpy.data.images.load(str(path))
    try:
        width, height = image.size
    finally:
        bpy.data.images.remove(image)
    if not width or not height:
        raise jobs.JobError(
            "media_unreadable",
            f"Blender cannot read {path}.",
            "Check that the file plays in the preview.",
        )
    return int(width), int(height)
