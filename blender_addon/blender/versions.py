"""What a layer's strip shows: its pictures now, and those it showed before."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from ..core.delivery import file_name, part_in
from ..core.jobs import Job
from ..core.planning import fit
from ..wire import jobs
from . import compat
from .folders import written
from .layers import JOB, OFFSET, PART, SIZE, VERSION, VERSIONS, apply, placement_of


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """One version of a layer. size: (W, H). offset: frames after the source's own first picture.

    layer: which of the shot's. part: which of its job's, if that made several.
    """

    job: str
    version: int
    folder: Path
    frames: int
    size: tuple[int, int]
    offset: float
    layer: str = ""
    part: str = ""


def pictures_of(job: Job, part: str) -> Pictures:
    """What a job's strip is to show."""
    return Pictures(
        job=job.id,
        version=job.version,
        folder=job.folder,
        frames=len(job.pictures_of(part)),
        size=job.layer_size,
        offset=job.anchor.start - job.anchor.content,
        layer=job.layer_name(part),
        part=part,
    )


def show(layer: Any, pictures: Pictures) -> None:
    """Have a layer's strip show other pictures, as many as there are, in the same place."""
    while len(layer.elements) < pictures.frames:
        layer.elements.append("")
    while len(layer.elements) > pictures.frames:
        layer.elements.pop(len(layer.elements) - 1)
    for index, element in enumerate(layer.elements):
        element.filename = file_name(index, pictures.part)
    layer.directory = written(pictures.folder)
    compat.slide(layer, round(pictures.offset - layer.get(OFFSET, pictures.offset)))
    apply(layer, fit(placement_of(layer), tuple(layer[SIZE]), pictures.size))
    layer[JOB], layer[VERSION], layer[PART] = pictures.job, pictures.version, pictures.layer
    layer[OFFSET], layer[SIZE] = pictures.offset, pictures.size


def show_newer(layer: Any, pictures: Pictures) -> None:
    """Show a newer version; what was shown is kept as an earlier one."""
    before = [*earlier(layer), _shown(layer)]
    show(layer, pictures)
    _write(layer, before)


def show_earlier(layer: Any) -> None:
    """Show the version before the present one, which goes to the end of the row."""
    *others, wanted = earlier(layer)
    if not wanted.folder.is_dir():
        raise jobs.JobError(
            "version_gone",
            f"The pictures of the earlier version are gone: {wanted.folder}.",
            "Put the folder back, or make the layer again.",
        )
    now = _shown(layer)
    show(layer, wanted)
    _write(layer, [now, *others])


def earlier(layer: Any) -> list[Pictures]:
    """What a layer's strip showed before, oldest first.

    All versions lie side by side, so that only the present one's folder must be known.
    """
    beside = Path(bpy.path.abspath(layer.directory)).parent
    return [
        Pictures(**{**plain, "size": tuple(plain["size"]), "folder": beside / plain["job"]})
        for plain in json.loads(str(layer.get(VERSIONS, "[]")))
    ]


def _shown(layer: Any) -> Pictures:
    """What a layer's strip shows now."""
    return Pictures(
        job=str(layer[JOB]),
        version=int(layer[VERSION]),
        folder=Path(bpy.path.abspath(layer.directory)),
        frames=len(layer.elements),
        size=tuple(layer[SIZE]),
        offset=float(layer[OFFSET]),
        layer=str(layer.get(PART, "")),
        part=part_in(layer.elements[0].filename),
    )


def _write(layer: Any, pictures: list[Pictures]) -> None:
    plain = [{**vars(one), "folder": ""} for one in pictures]
    layer[VERSIONS] = json.dumps(plain)
