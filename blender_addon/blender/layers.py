"""Putting a finished layer on the timeline: above its strip, on its frames, at its place."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from ..core.delivery import file_name
from ..core.jobs import Job
from ..core.planning import Anchor, Placement, Taken, fit, free_channel
from ..wire import jobs
from . import compat
from .extract import source_files
from .folders import folder_for, written

__all__ = ["folder_for"]

UID = "text2live_uid"
JOB = "text2live_job"
LAYER_OF = "text2live_layer_of"
VERSION = "text2live_version"
SIZE = "text2live_size"  # of the layer's pictures
OFFSET = "text2live_offset"  # frames from the source's own first picture to the layer's
VERSIONS = "text2live_versions"  # what the strip showed before, oldest first, as JSON
HIDDEN = "text2live_hidden"  # muted by us while pictures are missing
MARKS = (JOB, LAYER_OF, VERSION, SIZE, OFFSET, VERSIONS)


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """One version of a layer. size: (W, H). offset: frames after the source's own first picture."""

    job: str
    version: int
    folder: Path
    frames: int
    size: tuple[int, int]
    offset: float


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


def find_layer(job_id: str) -> Any:
    """A layer strip of a job in this file, or None."""
    return next((strip for strip in all_layers() if strip[JOB] == job_id), None)


def layer_strips(strip_uid: str) -> list[Any]:
    """The layer strips made for a strip, its newest version last."""
    found = [strip for strip in all_layers() if strip.get(LAYER_OF) == strip_uid]
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


def check_place(job: Job, anywhere: bool = False) -> None:
    """Refuse to place a layer that has no place in this file; raises JobError.

    anywhere: where its strip was will do.
    """
    if not anywhere and not (job.replaces and find_layer(job.replaces)):
        source_of(job)


def place(job: Job, anywhere: bool = False) -> Any:
    """Put the job's layer over its strip and return the layer's strip.

    A job that replaces a layer is shown by that layer's own strip: its keyframes, its place and
    what else was set stay. anywhere: without its strip, the layer goes where the strip was.
    Raises JobError when the strip is gone or no channel is free; the files stay.
    """
    old = find_layer(job.replaces) if job.replaces else None
    if old is not None and old.type == "IMAGE":
        before = [*versions(old), _shown(old)]
        _show(old, _pictures_of(job))
        _write_versions(old, before)
        return old
    if anywhere and find_source(job.anchor) is None:
        scene = bpy.data.scenes.get(job.anchor.scene) or bpy.context.scene
        owner = scene.sequence_editor or scene.sequence_editor_create()
        return _insert(job, compat.strips(owner), job.anchor.start, None)
    scene, strip = source_of(job)
    start = job.anchor.first_frame(compat.content_start(strip))
    return _insert(job, compat.siblings(scene, strip), start, strip)


def _insert(job: Job, siblings: Any, start: int, strip: Any) -> Any:
    """A new strip for a layer, above `strip` if there is one."""
    end = start + len(job.files)
    channel = free_channel(_taken(siblings), start, end, above=strip.channel if strip else 0)
    layer = siblings.new_image(
        name=f"{strip.name if strip else job.anchor.strip_name} {job.title}"[:60],
        filepath=str(job.folder / "later.png"),  # Blender would read the first picture for its size
        channel=channel,
        frame_start=start,
        fit_method="ORIGINAL",
    )
    layer.blend_type = "ALPHA_OVER"
    layer.alpha_mode = "STRAIGHT"
    layer.colorspace_settings.name = "sRGB"
    source = (job.anchor.width, job.anchor.height)
    if strip:
        copy_place(strip, layer)
    layer[LAYER_OF] = job.anchor.strip_uid
    layer[SIZE] = source
    _show(layer, _pictures_of(job))
    return layer


def _taken(siblings: Any) -> list[Taken]:
    spans = ((strip.channel, *compat.span(strip)) for strip in siblings)
    return [Taken(channel=channel, start=start, end=end) for channel, start, end in spans]


def channel_above(siblings: Any, strip: Any) -> int:
    """The lowest free channel above a strip, for as long as it is; raises JobError."""
    return free_channel(_taken(siblings), *compat.span(strip), above=strip.channel)


def copy_place(source: Any, target: Any) -> None:
    """Give a strip the transform, crop and flips of another one."""
    _apply(target, placement_of(source))
    if hasattr(target.transform, "filter"):
        target.transform.filter = source.transform.filter


def _show(layer: Any, pictures: Pictures) -> None:
    """Have a layer's strip show other pictures, as many as there are, in the same place."""
    while len(layer.elements) < pictures.frames:
        layer.elements.append("")
    while len(layer.elements) > pictures.frames:
        layer.elements.pop(len(layer.elements) - 1)
    for index, element in enumerate(layer.elements):
        element.filename = file_name(index)
    layer.directory = written(pictures.folder)
    compat.slide(layer, round(pictures.offset - layer.get(OFFSET, pictures.offset)))
    _apply(layer, fit(placement_of(layer), tuple(layer[SIZE]), pictures.size))
    layer[JOB], layer[VERSION] = pictures.job, pictures.version
    layer[OFFSET], layer[SIZE] = pictures.offset, pictures.size


def _pictures_of(job: Job) -> Pictures:
    return Pictures(
        job=job.id,
        version=job.version,
        folder=job.folder,
        frames=len(job.files),
        size=job.layer_size,
        offset=job.anchor.start - job.anchor.content,
    )


def _shown(layer: Any) -> Pictures:
    """What a layer's strip shows now."""
    return Pictures(
        job=str(layer[JOB]),
        version=int(layer[VERSION]),
        folder=Path(bpy.path.abspath(layer.directory)),
        frames=len(layer.elements),
        size=tuple(layer[SIZE]),
        offset=float(layer[OFFSET]),
    )


def versions(layer: Any) -> list[Pictures]:
    """What a layer's strip showed before, oldest first.

    All versions lie side by side, so that only the present one's folder must be known.
    """
    beside = Path(bpy.path.abspath(layer.directory)).parent
    return [
        Pictures(**{**plain, "size": tuple(plain["size"]), "folder": beside / plain["job"]})
        for plain in json.loads(str(layer.get(VERSIONS, "[]")))
    ]


def _write_versions(layer: Any, pictures: list[Pictures]) -> None:
    plain = [{**vars(one), "folder": ""} for one in pictures]
    layer[VERSIONS] = json.dumps(plain)


def show_earlier(layer: Any) -> None:
    """Show the version before the present one, which goes to the end of the row."""
    *others, wanted = versions(layer)
    if not wanted.folder.is_dir():
        raise jobs.JobError(
            "version_gone",
            f"The pictures of the earlier version are gone: {wanted.folder}.",
            "Put the folder back, or make the layer again.",
        )
    now = _shown(layer)
    _show(layer, wanted)
    _write_versions(layer, [now, *others])


def refresh(layer: Any) -> None:
    """Show pictures that have come back."""
    if layer.get(HIDDEN):
        layer.mute = False
        del layer[HIDDEN]
    # Blender 5 keeps showing what it has read before unless it is told the folder again.
    layer.directory = str(layer.directory)


def job_of(layer: Any) -> Job:
    """A job that fetches a layer's pictures once more, into the folder its strip names."""
    start, _end = compat.span(layer)
    width, height = layer.get(SIZE, (1, 1))
    return Job(
        id=str(layer[JOB]),
        label=layer.name,
        anchor=Anchor(
            scene=layer.id_data.name,
            strip_uid=str(layer.get(LAYER_OF, "")),
            strip_name=layer.name,
            start=start,
            frames=len(layer.elements),
            content=start,
            width=int(width),
            height=int(height),
        ),
        folder=source_files(layer)[0].parent,
    )


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


def _apply(strip: Any, placement: Placement) -> None:
    move, crop = strip.transform, strip.crop
    move.offset_x, move.offset_y = placement.offset_x, placement.offset_y
    move.scale_x, move.scale_y = placement.scale_x, placement.scale_y
    move.rotation = placement.rotation
    move.origin = placement.origin
    crop.min_x, crop.max_x, crop.min_y, crop.max_y = placement.crop
    strip.use_flip_x, strip.use_flip_y = placement.flip_x, placement.flip_y
