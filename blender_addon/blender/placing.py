"""Putting a finished job's layers on the timeline: above its strip, on its frames, at its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import bpy

from ..core.jobs import Job
from ..core.planning import Taken, free_channel
from ..wire import jobs
from . import compat, layers, versions

WORDS = {"foreground": "object", "background": "background"}


def check_place(job: Job, anywhere: bool = False) -> None:
    """Refuse to place layers that have no place in this file; raises JobError.

    anywhere: where its strip was will do.
    """
    if not anywhere and len(_takers(job)) < len(job.parts):
        layers.source_of(job)


def place(job: Job, anywhere: bool = False) -> list[Any]:
    """Put the job's layers over its strip; gives their strips, the hindmost first.

    A layer that takes the place of another is shown by that one's own strip: its keyframes, its
    place and what else was set stay. Of several layers, those that are there already stay as they
    are. anywhere: without its strip, a layer goes where the strip was. Raises JobError when the
    strip is gone or no channel is free; the files stay.
    """
    takers = _takers(job)
    wanted = layers.missing(job) or job.parts
    there = {part: layers.find_layer(job.id, part) for part in job.parts if part not in wanted}
    there.update(takers)
    spot = _spot(job, anywhere) if len(there) < len(job.parts) else None
    placed: list[Any] = []
    new: list[Any] = []
    try:
        for part in job.parts:
            strip = there.get(part)
            if strip is None:
                assert spot is not None
                in_front = [one for one in there.values() if one not in placed]
                above = max([spot.channel, *(one.channel for one in placed)])
                strip = _insert(job, part, spot, above, in_front)
                new.append(strip)
            elif placed:
                _raise_above(strip, placed[-1])
            placed.append(strip)
    except jobs.JobError:
        for strip in new:
            compat.siblings(strip.id_data, strip).remove(strip)
        raise
    for part, strip in takers.items():
        versions.show_newer(strip, versions.pictures_of(job, part))
    return placed


@dataclass(frozen=True, kw_only=True)
class _Spot:
    """Where new strips go. source: the strip they lie over, if it is there."""

    siblings: Any
    start: int
    source: Any

    @property
    def channel(self) -> int:
        return int(self.source.channel) if self.source else 0


def _takers(job: Job) -> dict[str, Any]:
    """The strips that are to show a job's layers, by the layer's name; a movie cannot."""
    found = layers.strips_of(job.replaces) if job.replaces else []
    found = [strip for strip in found if strip.type == "IMAGE"]
    if len(job.parts) == 1:
        meant = [strip for strip in found if strip.get(layers.PART) == job.in_place_of]
        return dict(zip(job.parts, meant or found, strict=False))
    front = job.parts[-1]
    named = {str(strip.get(layers.PART) or front): strip for strip in found}
    return {part: named[part] for part in job.parts if part in named}


def _spot(job: Job, anywhere: bool) -> _Spot:
    if anywhere and layers.find_source(job.anchor) is None:
        scene = bpy.data.scenes.get(job.anchor.scene) or bpy.context.scene
        owner = scene.sequence_editor or scene.sequence_editor_create()
        return _Spot(siblings=compat.strips(owner), start=job.anchor.start, source=None)
    scene, strip = layers.source_of(job)
    start = job.anchor.first_frame(compat.content_start(strip))
    return _Spot(siblings=compat.siblings(scene, strip), start=start, source=strip)


def _insert(job: Job, part: str, spot: _Spot, above: int, movable: list[Any]) -> Any:
    """A new strip for a layer above a channel; movable: strips that make room for it."""
    strip, end = spot.source, spot.start + len(job.pictures_of(part))
    channel = free_channel(_taken(spot.siblings, movable), spot.start, end, above=above)
    kind = f" {WORDS.get(part, part)}" if part else ""
    name = f"{strip.name if strip else job.anchor.strip_name} {job.title}"[: 60 - len(kind)] + kind
    layer = spot.siblings.new_image(
        name=name,
        filepath=str(job.folder / "later.png"),  # Blender would read the first picture for its size
        channel=channel,
        frame_start=spot.start,
        fit_method="ORIGINAL",
    )
    layer.blend_type = "ALPHA_OVER"
    layer.alpha_mode = "STRAIGHT"
    layer.colorspace_settings.name = "sRGB"
    if strip:
        layers.copy_place(strip, layer)
    layer[layers.LAYER_OF] = job.anchor.strip_uid
    layer[layers.SIZE] = (job.anchor.width, job.anchor.height)
    versions.show(layer, versions.pictures_of(job, part))
    return layer


def _raise_above(strip: Any, below: Any) -> None:
    """Have a strip lie above another one, if it does not yet."""
    if strip.channel <= below.channel and strip.parent_meta() == below.parent_meta():
        siblings = compat.siblings(strip.id_data, strip)
        strip.channel = channel_above(siblings, strip, below.channel)


def _taken(siblings: Any, but: Iterable[Any] = ()) -> list[Taken]:
    names = {strip.name for strip in but}
    return [
        Taken(channel=strip.channel, start=start, end=end)
        for strip in siblings
        for start, end in (compat.span(strip),)
        if strip.name not in names
    ]


def channel_above(siblings: Any, strip: Any, above: int) -> int:
    """The lowest free channel above a channel, for as long as a strip is; raises JobError."""
    return free_channel(_taken(siblings), *compat.span(strip), above=above)
