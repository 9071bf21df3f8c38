"""The versions of a layer strip: the frames it shows now, and those it showed before."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from ...core.delivery import frame_file_name, part_of_file
from ...core.jobs import Job
from ...core.planning import fit
from ...wire import jobs
from .. import compat
from .folders import to_blend_path
from .layers import (
    JOB,
    OFFSET,
    PART,
    SIZE,
    VERSION,
    VERSIONS,
    get_placement,
    set_placement,
)


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of a layer.

    job: the job that made it. version: its number. size: (W, H) of its frames. offset: frames from
    the start of the source's content to the layer's start. layer: which layer of the shot. part:
    which layer of its job, if the job made several. trim: frames that its strip left out at the
    start and the end when it last showed this version.
    """

    job: str
    version: int
    folder: Path
    frames: int
    size: tuple[int, int]
    offset: float
    layer: str = ""
    part: str = ""
    trim: tuple[int, int] = (0, 0)


def version_of(job: Job, part: str) -> Version:
    """The version that a finished job made of one of its layers."""
    return Version(
        job=job.id,
        version=job.version,
        folder=job.folder,
        frames=len(job.frames_of(part)),
        size=job.layer_size,
        offset=job.anchor.start - job.anchor.content,
        layer=job.layer_name(part),
        part=part,
    )


def show(layer: Any, version: Version) -> None:
    """Make a layer strip show a version's frames, in the same place and trimmed as it was."""
    straight = compat.plays_straight(layer)
    if straight:  # Blender miscounts when frames are removed from a trimmed strip
        _set_trim(layer, (0, 0))
    while len(layer.elements) < version.frames:
        layer.elements.append("")
    while len(layer.elements) > version.frames:
        layer.elements.pop(len(layer.elements) - 1)
    for index, element in enumerate(layer.elements):
        element.filename = frame_file_name(index, version.part)
    layer.directory = to_blend_path(version.folder)
    compat.slide(layer, round(version.offset - layer.get(OFFSET, version.offset)))
    if straight:
        _set_trim(layer, version.trim)
    set_placement(layer, fit(get_placement(layer), tuple(layer[SIZE]), version.size))
    layer[JOB], layer[VERSION], layer[PART] = version.job, version.version, version.layer
    layer[OFFSET], layer[SIZE] = version.offset, version.size


def show_newer(layer: Any, version: Version) -> None:
    """Show a newer version and keep the current one as an earlier version."""
    now = _current(layer)
    before = [*earlier(layer), now]
    show(layer, dataclasses.replace(version, trim=_trim_for(now, version)))
    _write(layer, before)


def show_earlier(layer: Any) -> None:
    """Show the previous version; the current one moves to the far end of the list."""
    *others, wanted = earlier(layer)
    if not wanted.folder.is_dir():
        raise jobs.JobError(
            "version_gone",
            f"The frames of the earlier version are gone: {wanted.folder}.",
            "Put the folder back, or make the layer again.",
        )
    now = _current(layer)
    show(layer, wanted)
    _write(layer, [now, *others])


def earlier(layer: Any) -> list[Version]:
    """The earlier versions of a layer strip, oldest first.

    The folders of all versions lie side by side, so the current one's folder locates the others.
    """
    parent = Path(bpy.path.abspath(layer.directory)).parent
    return [
        Version(
            **{
                **plain,
                "size": tuple(plain["size"]),
                "trim": tuple(plain.get("trim", (0, 0))),
                "folder": parent / plain["job"],
            }
        )
        for plain in json.loads(str(layer.get(VERSIONS, "[]")))
    ]


def _current(layer: Any) -> Version:
    return Version(
        job=str(layer[JOB]),
        version=int(layer[VERSION]),
        folder=Path(bpy.path.abspath(layer.directory)),
        frames=len(layer.elements),
        size=tuple(layer[SIZE]),
        offset=float(layer[OFFSET]),
        layer=str(layer.get(PART, "")),
        part=part_of_file(layer.elements[0].filename),
        trim=_trim(layer),
    )


def _trim(layer: Any) -> tuple[int, int]:
    """Frames that a layer strip leaves out at the start and the end; negative: it holds some."""
    start, end = compat.span(layer)
    first = round(compat.content_start(layer))
    return start - first, first + len(layer.elements) - end


def _set_trim(layer: Any, trim: tuple[int, int]) -> None:
    first = round(compat.content_start(layer))
    compat.set_span(layer, first + trim[0], first + len(layer.elements) - trim[1])


def _trim_for(now: Version, newer: Version) -> tuple[int, int]:
    """The trim that keeps a strip on the same frames when it shows a newer version.

    What its strip leaves out stays out, unless the newer version does not have it anyway.
    """
    start = newer.offset - now.offset
    end = now.offset + now.frames - newer.offset - newer.frames
    left, right = (
        cut if cut <= 0 else max(0, round(cut - lost))
        for cut, lost in zip(now.trim, (start, end), strict=True)
    )
    return (left, right) if left + right < newer.frames else (0, 0)


def _write(layer: Any, versions: list[Version]) -> None:
    plain = [{**vars(one), "folder": ""} for one in versions]
    layer[VERSIONS] = json.dumps(plain)
