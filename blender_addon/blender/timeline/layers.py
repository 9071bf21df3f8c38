"""The layer strips of a file and the strips they belong to, found by their custom properties."""

from __future__ import annotations

from typing import Any

import bpy

from ...core.jobs import Job
from ...core.planning import Anchor, Placement
from ...wire import jobs
from .. import compat
from ..sources import UID, source_files, strip_uid

JOB = "text2live_job"
LAYER_OF = "text2live_layer_of"
PART = "text2live_part"  # which layer of the shot: foreground or background; empty: not known
VERSION = "text2live_version"
SIZE = "text2live_size"  # width and height of the layer's frames
OFFSET = "text2live_offset"  # frames from the start of the source's content to the layer's
VERSIONS = "text2live_versions"  # earlier versions of the layer, oldest first, as JSON
HIDDEN = "text2live_hidden"  # muted by the add-on because frames are missing
LAYER_PROPERTIES = (JOB, LAYER_OF, PART, VERSION, SIZE, OFFSET, VERSIONS)


Placed = dict[str, set[str]]
"""Parts of the layers in a file, by the job that made them."""


def all_layers() -> list[Any]:
    """Every layer strip in the file."""
    return [
        strip
        for scene in bpy.data.scenes
        for strip in (compat.all_strips(scene.sequence_editor) if scene.sequence_editor else ())
        if JOB in strip
    ]


def make_anchor(scene: Any, strip: Any, size: tuple[int, int]) -> Anchor:
    """What a job needs to find its strip again. size: (W, H) of the strip's own frames."""
    start, end = compat.span(strip)
    return Anchor(
        scene=scene.name,
        strip_uid=strip_uid(strip),
        strip_name=strip.name,
        start=start,
        frames=end - start,
        content=compat.content_start(strip),
        width=size[0],
        height=size[1],
    )


def find_source(anchor: Anchor) -> tuple[Any, Any] | None:
    """Scene and strip a job belongs to, or None when the strip is not in this file.

    Copies of a strip and the halves of a split one share its id. Among them the name decides, then
    the position on the timeline, then the frames that were read. Undo may remove the id; then the
    name alone decides.
    """
    scenes = sorted(bpy.data.scenes, key=lambda scene: scene.name != anchor.scene)
    by_name: tuple[Any, Any] | None = None
    copies: list[tuple[Any, Any]] = []
    for scene in scenes:
        for strip in compat.all_strips(scene.sequence_editor) if scene.sequence_editor else ():
            if strip.type not in compat.SOURCE_TYPES:
                continue
            if strip.get(UID) == anchor.strip_uid:
                copies.append((scene, strip))
            same_name = scene.name == anchor.scene and strip.name == anchor.strip_name
            if same_name and UID not in strip:
                by_name = (scene, strip)

    def unlike(found: tuple[Any, Any]) -> tuple[bool, bool, int]:
        strip = found[1]
        content, (start, end) = compat.content_start(strip), compat.span(strip)
        first = anchor.first_frame(content)
        shared = min(end, first + anchor.frames) - max(start, first)
        return strip.name != anchor.strip_name, content != anchor.content, -shared

    return min(copies, key=unlike, default=by_name)


def restore_uid(anchor: Anchor) -> None:
    """Give a job's strip its id back, which undo may have removed."""
    found = find_source(anchor)
    if found is not None and UID not in found[1]:
        found[1][UID] = anchor.strip_uid


def layers_of_job(job_id: str) -> list[Any]:
    """The layer strips of a job in this file: one for each of its layers."""
    return [strip for strip in all_layers() if strip[JOB] == job_id]


def find_layer(job_id: str, part: str = "", source: Any = None) -> Any:
    """A layer strip of a job in this file, or None.

    part: which layer, if the job has several. source: the strip it should lie over, if the layer
    was copied.
    """
    found = [strip for strip in layers_of_job(job_id) if not part or strip.get(PART) == part]
    over = (strip for strip in found if source is not None and find_source_of(strip) == source)
    return next(over, next(iter(found), None))


def missing_parts(job: Job, placed: Placed | None = None) -> list[str]:
    """Which of a job's layers are not in this file. placed: of placed_parts(), for many jobs."""
    there = (placed_parts() if placed is None else placed).get(job.id, set())
    return [part for part in job.parts if (part not in there if part else not there)]


def placed_parts(among: list[Any] | None = None) -> Placed:
    """The layers in this file by job. among: all_layers(), if they are known."""
    found: Placed = {}
    for strip in all_layers() if among is None else among:
        found.setdefault(str(strip[JOB]), set()).add(str(strip.get(PART, "")))
    return found


def layers_of_strip(source: Any, among: list[Any] | None = None) -> list[Any]:
    """The layer strips made for a strip, newest version last; not those of its copies.

    among: all_layers(), if they are known.
    """
    uid = source.get(UID)
    known = all_layers() if among is None else among
    found = [strip for strip in known if uid and strip.get(LAYER_OF) == uid]
    found = [strip for strip in found if find_source_of(strip) == source]
    return sorted(found, key=lambda strip: (int(strip.get(VERSION, 0)), strip.channel))


def newest_version(strip_uid: str) -> int:
    """The highest version number among the layers of a strip and its copies, 0 without any."""
    made = (strip for strip in all_layers() if strip.get(LAYER_OF) == strip_uid)
    return max((int(strip.get(VERSION, 0)) for strip in made), default=0)


def source_of_job(job: Job) -> tuple[Any, Any]:
    """Scene and strip of a finished job; raises JobError when the strip is not in this file."""
    found = find_source(job.anchor)
    if found is None:
        raise jobs.JobError(
            "strip_gone",
            f"The layer is finished, but its strip {job.anchor.strip_name} is not in this file.",
            f"Its frames are kept in {job.folder}. Undo, or open the strip's file; or press "
            "Insert Layer to place the layer where the strip was.",
        )
    return found


def source_of_layer(scene: Any, layer: Any) -> Any:
    """The strip a layer was made for; raises JobError when it is not in this scene."""
    found = find_source_of(layer) if layer.id_data == scene else None
    if found is None:
        raise jobs.JobError(
            "strip_gone",
            f"The strip that {layer.name} was made for is not in this scene.",
            "Undo its removal, or make a layer for another strip.",
        )
    return found


def find_source_of(layer: Any) -> Any:
    """The strip of the same scene that a layer lies over, or None.

    Copies of a strip and the halves of a split one share its id: of these it is the one that
    shares most frames with the layer, then the one in step with it, then the next one below.
    """
    editor, uid = layer.id_data.sequence_editor, layer.get(LAYER_OF)
    start, end = compat.span(layer)
    begins = compat.content_start(layer) - float(layer.get(OFFSET, 0.0))

    def unlike(strip: Any) -> tuple[bool, int, float, bool, int, int]:
        first, last = compat.span(strip)
        return (
            strip.parent_meta() != layer.parent_meta(),
            -max(0, min(end, last) - max(start, first)),
            abs(compat.content_start(strip) - begins),
            strip.channel > layer.channel,
            abs(strip.channel - layer.channel),
            first,
        )

    strips = compat.all_strips(editor)
    copies = [one for one in strips if uid and one.get(UID) == uid and JOB not in one]
    return min((one for one in copies if one.type in compat.SOURCE_TYPES), key=unlike, default=None)


def show_again(layer: Any) -> None:
    """Unmute a layer whose frames are back, and have Blender read them again."""
    if layer.get(HIDDEN):
        layer.mute = False
        del layer[HIDDEN]
    # Blender 5 shows cached frames until the path is set again.
    path = "filepath" if layer.type == "MOVIE" else "directory"
    setattr(layer, path, str(getattr(layer, path)))


def hide_incomplete() -> list[Any]:
    """Mute layers with missing frames, which Blender would show in magenta; returns them.

    Layers that were muted this way and are complete again are shown again.
    """
    incomplete = []
    for layer in all_layers():
        if not all(path.is_file() for path in source_files(layer)):
            incomplete.append(layer)
            if not layer.mute:
                layer.mute = layer[HIDDEN] = True
        elif layer.get(HIDDEN):
            show_again(layer)
    return incomplete


def get_placement(strip: Any) -> Placement:
    """A strip's transform, crop and flips."""
    move, crop = strip.transform, strip.crop
    return Placement(
        offset_x=move.offset_x,
        offset_y=move.offset_y,
        scale_x=move.scale_x,
        scale_y=move.scale_y,
        rotation=move.rotation,
        origin=(move.origin[0], move.origin[1]),
        crop=(crop.min_x, crop.max_x, crop.min_y, crop.max_y),
        flip_x=strip.use_flip_x,
        flip_y=strip.use_flip_y,
    )


def set_placement(strip: Any, placement: Placement) -> None:
    """Set a strip's transform, crop and flips."""
    move, crop = strip.transform, strip.crop
    move.offset_x, move.offset_y = placement.offset_x, placement.offset_y
    move.scale_x, move.scale_y = placement.scale_x, placement.scale_y
    move.rotation = placement.rotation
    move.origin = placement.origin
    crop.min_x, crop.max_x, crop.min_y, crop.max_y = placement.crop
    strip.use_flip_x, strip.use_flip_y = placement.flip_x, placement.flip_y


def copy_placement(source: Any, target: Any) -> None:
    """Copy transform, crop, flips and the scaling filter from one strip to another."""
    set_placement(target, get_placement(source))
    if hasattr(target.transform, "filter"):
        target.transform.filter = source.transform.filter
