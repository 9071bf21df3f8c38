"""Placing a finished job's layers on the timeline: above its strip, over the same frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy

from ...core.jobs import Job
from ...core.settings import LAYER_WORDS
from ...wire import jobs
from .. import compat
from . import channels, follow, layers, versions


def check_placeable(job: Job, anywhere: bool = False) -> None:
    """Raise JobError if this file has no place for the job's layers.

    anywhere: without its strip, a layer may go where the strip was.
    """
    if not anywhere and len(_strips_to_reuse(job)) < len(job.parts):
        layers.source_of_job(job)


def place(job: Job, anywhere: bool = False) -> list[Any]:
    """Place the job's layers above its strip; returns their strips, back to front.

    A layer that replaces another reuses that one's strip and keeps its keyframes, position and
    settings. Layers that are on the timeline already stay as they are. anywhere: without its
    strip, a layer goes where the strip was. Raises JobError when the strip is gone or no channel
    is free; the files stay.
    """
    reused = _strips_to_reuse(job)
    wanted = layers.missing_parts(job) or job.parts
    there = {part: layers.find_layer(job.id, part) for part in job.parts if part not in wanted}
    there.update(reused)
    target = _target(job, anywhere) if len(there) < len(job.parts) else None
    placed: list[Any] = []
    new: list[Any] = []
    try:
        for part in job.parts:
            strip = there.get(part)
            if strip is None:
                assert target is not None
                in_front = [one for one in there.values() if one not in placed]
                above = max([target.channel, *(one.channel for one in placed)])
                strip = _new_strip(job, part, target, above, in_front)
                new.append(strip)
            elif placed:
                _move_above(strip, placed[-1])
            placed.append(strip)
    except jobs.JobError:
        for strip in new:
            compat.siblings(strip.id_data, strip).remove(strip)
        raise
    for part, strip in reused.items():
        versions.show_newer(strip, versions.version_of(job, part))
    return placed


@dataclass(frozen=True, kw_only=True)
class _Target:
    """Where new strips go. source: the strip below them, if it is in the file."""

    owner: Any
    start: int
    source: Any

    @property
    def channel(self) -> int:
        """The highest channel that shows the strip: its own, an effect's on it, or a multicam's."""
        if self.source is None:
            return 0
        on_it = [*follow.effects_on(self.source), *follow.multicams_over(self.source)]
        return max(int(one.channel) for one in [self.source, *on_it])


def _strips_to_reuse(job: Job) -> dict[str, Any]:
    """The strips that will show a job's layers, by part; a baked layer (a movie) cannot.

    Of several copies it is the one the job was started for, or the one over the job's strip.
    """
    found = layers.layers_of_job(job.replaces) if job.replaces else []
    source = (layers.find_source(job.anchor) or (None, None))[1]

    def unlike(strip: Any) -> tuple[bool, bool]:
        return strip.name != job.replaces_strip, layers.find_source_of(strip) != source

    found = sorted((strip for strip in found if strip.type == "IMAGE"), key=unlike)
    if len(job.parts) == 1:
        meant = [strip for strip in found if strip.get(layers.PART) == job.in_place_of]
        return dict(zip(job.parts, meant or found, strict=False))
    front = job.parts[-1]
    named = {str(strip.get(layers.PART) or front): strip for strip in reversed(found)}
    return {part: named[part] for part in job.parts if part in named}


def _target(job: Job, anywhere: bool) -> _Target:
    if anywhere and layers.find_source(job.anchor) is None:
        scene = bpy.data.scenes.get(job.anchor.scene) or bpy.context.scene
        owner = scene.sequence_editor or scene.sequence_editor_create()
        return _Target(owner=owner, start=job.anchor.start, source=None)
    _scene, strip = layers.source_of_job(job)
    start = job.anchor.first_frame(compat.content_start(strip))
    return _Target(owner=channels.owner_of(strip), start=start, source=strip)


def _new_strip(job: Job, part: str, target: _Target, above: int, movable: list[Any]) -> Any:
    """A new strip for a layer above a channel. movable: strips that make way for it."""
    strip, end = target.source, target.start + len(job.frames_of(part))
    channel = channels.below_titles(target.owner, target.start, end, above, movable)
    kind = f" {LAYER_WORDS.get(part, part)}" if part else ""
    name = f"{strip.name if strip else job.anchor.strip_name} {job.title}"[: 60 - len(kind)] + kind
    layer = compat.strips(target.owner).new_image(
        name=name,
        filepath=str(job.folder / "later.png"),  # an existing file would be read for its size
        channel=channel,
        frame_start=target.start,
        fit_method="ORIGINAL",
    )
    layer.blend_type = "ALPHA_OVER"
    layer.alpha_mode = "STRAIGHT"
    layer.colorspace_settings.name = "sRGB"
    if strip:
        layers.copy_placement(strip, layer)
    layer[layers.LAYER_OF] = job.anchor.strip_uid
    layer[layers.SIZE] = (job.anchor.width, job.anchor.height)
    versions.show(layer, versions.version_of(job, part))
    if strip:
        width, height = job.layer_size
        follow.follow(strip, layer, (job.anchor.width / width, job.anchor.height / height))
    return layer


def _move_above(strip: Any, below: Any) -> None:
    """Move a strip above another one unless it is there already."""
    if strip.channel <= below.channel and strip.parent_meta() == below.parent_meta():
        owner = channels.owner_of(strip)
        strip.channel = channels.free_over(owner, *compat.span(strip), below.channel)
