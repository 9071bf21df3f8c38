"""Putting a finished layer on the timeline: above its strip, on its frames, at its place."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import bpy

from ..core.jobs import Job
from ..core.planning import Anchor, Placement, Taken, fit, free_channel
from ..wire import jobs
from . import compat

UID = "text2live_uid"
JOB = "text2live_job"
LAYER_OF = "text2live_layer_of"
VERSION = "text2live_version"


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

    A copy of the strip carries the same id, so the name decides between several; an undo may
    have taken the id away, then the name alone has to do.
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
    return (named or copies or [by_name])[0]


def find_layer(job_id: str) -> Any:
    """A layer strip of a job in this file, or None."""
    for scene in bpy.data.scenes:
        for strip in compat.all_strips(scene.sequence_editor) if scene.sequence_editor else ():
            if strip.get(JOB) == job_id:
                return strip
    return None


def layer_strips(strip_uid: str) -> list[Any]:
    """The layer strips made for a strip, its newest version last."""
    found = [
        strip
        for scene in bpy.data.scenes
        for strip in (compat.all_strips(scene.sequence_editor) if scene.sequence_editor else ())
        if strip.get(LAYER_OF) == strip_uid
    ]
    return sorted(found, key=lambda strip: int(strip.get(VERSION, 0)))


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
            f"Its pictures are kept in {job.folder}. Undo or open the strip's file, then press "
            "Insert Layer.",
        )
    return found


def place(job: Job) -> Any:
    """Insert the job's layer over its strip and return the new strip.

    Raises JobError when the strip is gone or no channel is free; the files stay.
    """
    scene, strip = source_of(job)
    siblings = compat.siblings(scene, strip)
    start = job.anchor.first_frame(compat.content_start(strip))
    end = start + len(job.files)
    taken = [
        Taken(channel=s.channel, start=compat.span(s)[0], end=compat.span(s)[1]) for s in siblings
    ]
    channel = free_channel(taken, start, end, above=strip.channel)
    layer = siblings.new_image(
        name=f"{strip.name} {job.title}"[:60],
        filepath=str(job.files[0]),
        channel=channel,
        frame_start=start,
        fit_method="ORIGINAL",
    )
    for path in job.files[1:]:
        layer.elements.append(path.name)
    layer.directory = _relative(job.folder)
    layer.blend_type = "ALPHA_OVER"
    layer.alpha_mode = "STRAIGHT"
    layer.colorspace_settings.name = "sRGB"
    source = (job.anchor.width, job.anchor.height)
    _apply(layer, fit(placement_of(strip), source, job.layer_size))
    if hasattr(layer.transform, "filter"):
        layer.transform.filter = strip.transform.filter
    layer[JOB] = job.id
    layer[LAYER_OF] = job.anchor.strip_uid
    layer[VERSION] = job.version
    return layer


def folder_for(job_id: str, package: str) -> Path:
    """Where a job's layer is written: beside the .blend, or in the user's folder while unsaved."""
    if bpy.data.is_saved:
        return Path(bpy.path.abspath("//")) / "text2live" / job_id
    return Path(compat.user_folder(package)) / "layers" / job_id


def _relative(folder: Path) -> str:
    """The folder as Blender writes it, relative to a saved .blend on the same disk."""
    path = str(folder) + "/"
    if not bpy.data.is_saved:
        return path
    try:
        return str(bpy.path.relpath(path)).rstrip("/\\") + "/"
    except ValueError:
        return path


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


def _apply(strip: Any, placement: Placement) -> None:
    move, crop = strip.transform, strip.crop
    move.offset_x, move.offset_y = placement.offset_x, placement.offset_y
    move.scale_x, move.scale_y = placement.scale_x, placement.scale_y
    move.rotation = placement.rotation
    move.origin = placement.origin
    crop.min_x, crop.max_x, crop.min_y, crop.max_y = placement.crop
    strip.use_flip_x, strip.use_flip_y = placement.flip_x, placement.flip_y
