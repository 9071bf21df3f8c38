"""The layers of a file and the strips they belong to: found again by what is written on them."""

from __future__ import annotations

import uuid
from typing import Any

import bpy

from ..core.jobs import Job
from ..core.planning import Anchor, Placement
from ..wire import jobs
from . import compat
from .extract import source_files
from .folders import folder_for

__all__ = ["folder_for"]

UID = "text2live_uid"
JOB = "text2live_job"
LAYER_OF = "text2live_layer_of"
PART = "text2live_part"  # which of the shot's layers: foreground, background; nothing: not known
VERSION = "text2live_version"
SIZE = "text2live_size"  # of the layer's pictures
OFFSET = "text2live_offset"  # frames from the source's own first picture to the layer's
VERSIONS = "text2live_versions"  # what the strip showed before, oldest first, as JSON
HIDDEN = "text2live_hidden"  # muted by us while pictures are missing
MARKS = (JOB, LAYER_OF, PART, VERSION, SIZE, OFFSET, VERSIONS)


def all_layers() -> list[Any]:
    """Every layer strip in the file."""
    return [
        strip
        for scene in bpy.data.scenes
        for strip in (compat.all_strips(scene.sequence_editor) if scene.sequence_editor else ())
        if JOB in strip
    ]


def strip_uid(strip: Any) -> str:
    """The strip's own id, given on first use; it survives renaming and saving."""
    if UID not in strip:
        strip[UID] = uuid.uuid4().hex
    return str(strip[UID])


def anchor(scene: Any, strip: Any, size: tuple[int, int]) -> Anchor:
    """What a job needs to find its place again. size: (W, H) of the strip's own picture."""
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


def find_source(anchored: Anchor) -> tuple[Any, Any] | None:
    """Scene and strip a job belongs to, or None when it is not in this file.

    A copy of the strip carries the same id, so the name decides between several, or else the place
    on the timeline; an undo may have taken the id away, then the name alone has to do.
    """
    scenes = sorted(bpy.data.scenes, key=lambda scene: scene.name != anchored.scene)
    by_name = None
    copies = []
    for scene in scenes:
        for strip in compat.all_strips(scene.sequence_editor) if scene.sequence_editor else ():
            if strip.type not in compat.SOURCE_TYPES:
                continue
            if strip.get(UID) == anchored.strip_uid:
                copies.append((scene, strip))
            same_name = scene.name == anchored.scene and strip.name == anchored.strip_name
            if same_name and UID not in strip:
                by_name = (scene, strip)
    named = [found for found in copies if found[1].name == anchored.strip_name]
    unmoved = [one for one in copies if compat.content_start(one[1]) == anchored.content]
    return (named or unmoved or copies or [by_name])[0]


def mark_source(anchored: Anchor) -> None:
    """Give a job's strip its id again, which undo may have taken away."""
    found = find_source(anchored)
    if found is not None and UID not in found[1]:
        found[1][UID] = anchored.strip_uid


def strips_of(job_id: str) -> list[Any]:
    """The layer strips of a job in this file: one, or one for each of its layers."""
    return [strip for strip in all_layers() if strip[JOB] == job_id]


def find_layer(job_id: str, part: str = "") -> Any:
    """A layer strip of a job in this file, or None. part: of the job's several layers, which."""
    found = (strip for strip in strips_of(job_id) if not part or strip.get(PART) == part)
    return next(found, None)


def missing(job: Job) -> list[str]:
    """Which of a job's layers are not in this file."""
    return [part for part in job.parts if find_layer(job.id, part) is None]


def layer_strips(strip_uid: str) -> list[Any]:
    """The layer strips made for a strip, its newest version last."""
    found = [strip for strip in all_layers() if strip.get(LAYER_OF) == strip_uid]
    return sorted(found, key=lambda strip: (int(strip.get(VERSION, 0)), strip.channel))


def newest_version(strip_uid: str) -> int:
    """Number of the newest version among a strip's layers, 0 without any."""
    return max((int(strip.get(VERSION, 0)) for strip in layer_strips(strip_uid)), default=0)


def source_of(job: Job) -> tuple[Any, Any]:
    """Scene and strip of a finished job; raises JobError when it is not in this file."""
    found = find_source(job.anchor)
    if found is None:
        raise jobs.JobError(
            "strip_gone",
            f"The layer is finished, but its strip {job.anchor.strip_name} is not in this file.",
            f"Its pictures are kept in {job.folder}. Undo or open the strip's file, or press "
            "Insert Layer to have it where the strip was.",
        )
    return found


def source_of_layer(scene: Any, layer: Any) -> Any:
    """The strip a layer was made for; raises JobError when it is not in this scene."""
    for strip in compat.all_strips(scene.sequence_editor):
        if strip.get(UID) == layer.get(LAYER_OF) and strip.type in compat.SOURCE_TYPES:
            return strip
    raise jobs.JobError(
        "strip_gone",
        f"The strip that {layer.name} was made for is not in this scene.",
        "Undo its removal, or make a layer of another strip.",
    )


def copy_place(source: Any, target: Any) -> None:
    """Give a strip the transform, crop and flips of another one."""
    apply(target, placement_of(source))
    if hasattr(target.transform, "filter"):
        target.transform.filter = source.transform.filter


def refresh(layer: Any) -> None:
    """Show pictures that have come back."""
    if layer.get(HIDDEN):
        layer.mute = False
        del layer[HIDDEN]
    # Blender 5 keeps showing what it has read before unless it is told again where that is.
    place = "filepath" if layer.type == "MOVIE" else "directory"
    setattr(layer, place, str(getattr(layer, place)))


def hide_incomplete() -> list[Any]:
    """Mute layers of which pictures are missing, which would be magenta; gives those strips.

    What was muted so and is complete again is shown again.
    """
    incomplete = []
    for layer in all_layers():
        if not all(path.is_file() for path in source_files(layer)):
            incomplete.append(layer)
            if not layer.mute:
                layer.mute = layer[HIDDEN] = True
        elif layer.get(HIDDEN):
            refresh(layer)
    return incomplete


def placement_of(strip: Any) -> Placement:
    """Where a strip's picture lies: transform, crop and flips."""
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


def apply(strip: Any, placement: Placement) -> None:
    """Have a strip's picture lie where a placement says."""
    move, crop = strip.transform, strip.crop
    move.offset_x, move.offset_y = placement.offset_x, placement.offset_y
    move.scale_x, move.scale_y = placement.scale_x, placement.scale_y
    move.rotation = placement.rotation
    move.origin = placement.origin
    crop.min_x, crop.max_x, crop.min_y, crop.max_y = placement.crop
    strip.use_flip_x, strip.use_flip_y = placement.flip_x, placement.flip_y
