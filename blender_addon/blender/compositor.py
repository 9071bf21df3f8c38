"""The layer over its source in the compositor, with the same colours as in the Sequencer.

The Sequencer mixes sRGB values, the compositor linear ones. So the group turns what comes in back
into sRGB values, mixes them with the layer's own, untouched ones (Non-Color, alpha never applied
behind our back), and turns the result into linear values again.
"""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..core.jobs import Job
from ..core.planning import Anchor, Placement, fit
from ..core.settings import LAYER_WORDS
from ..wire import jobs
from . import compat
from .extract import source_files
from .timeline import layers, versions

COLUMN = 220.0
FADED = "text2live_faded"  # on a group: the keyframes of its strength are the layer's own
_POINT = ("interpolation", "easing", "amplitude", "back", "period")
_HANDLES = ("handle_left_type", "handle_right_type", "handle_left", "handle_right")


def layers_over(scene: Any, strip: Any, job: Job, start: int) -> list[Any]:
    """Build or update the groups that put a job's layers over its strip; gives their nodes.

    One for each layer, the hindmost first. start: the layers' first frame on the timeline, where no
    strip says it. A group of the same layer shows the new pictures and keeps its strength, its mask
    and its links; a layer that is faded with keyframes fades in its group with the same ones. The
    source is taken as the file plays, at its own size: JobError for a strip that does not play so,
    for a layer's, and where pictures are missing.
    """
    missing = next((path for path in job.files if not path.is_file()), None)
    if missing is not None:
        raise jobs.JobError(
            "media_missing",
            f"A picture of {job.title} is missing: {missing}.",
            "Connect to the backend and open the file again: it is fetched once more.",
        )
    _check_plain(strip, source=True)
    for part in job.parts:
        layer = layers.find_layer(job.id, part)
        if layer is not None:
            _check_plain(layer, source=False)
            _check_fade(layer)
    return [_layer_over(scene, strip, job, part, start) for part in job.parts]


def _check_plain(strip: Any, *, source: bool) -> None:
    """Refuse a strip whose frames nodes cannot follow; raises JobError."""
    start, end = compat.span(strip)
    first = compat.content_start(strip)
    told = ""
    if strip.use_reverse_frames:
        told = "plays backwards"
    elif not compat.plays_straight(strip):
        told = "is retimed, or its movie has another frame rate"
    elif strip.strobe > 1:
        told = "holds its frames (Strobe)"
    elif not source and (start, end) != (first, first + compat.content_frames(strip)):
        told = "is trimmed or extended"
    if told:
        raise jobs.JobError(
            "not_in_nodes",
            f"{strip.name} {told}, which the compositor's nodes cannot show.",
            "Render it to a movie or pictures, and edit a strip of those."
            if source
            else "Set it back, add the nodes, and keyframe their Strength instead.",
        )


def left_out(strip: Any, job: Job) -> list[str]:
    """What the Sequencer does to a strip and a job's layers that the nodes do not, in words."""
    size = (job.anchor.width, job.anchor.height)
    found = _changes(strip, Placement())
    if strip.blend_alpha != 1.0 or _fade(strip) is not None:
        found.append(f"the opacity of {strip.name}")
    for part in job.parts:
        layer = layers.find_layer(job.id, part)
        if layer is not None:
            found += _changes(layer, fit(layers.get_placement(strip), size, job.layer_size))
            if layer.blend_type != "ALPHA_OVER":
                found.append(f"the blend mode of {layer.name}")
    return found


def _changes(strip: Any, place: Placement) -> list[str]:
    now = layers.get_placement(strip)
    told = {
        "the place": not all(map(_alike, astuple(now), astuple(place))),
        "the colours": (strip.color_saturation, strip.color_multiply) != (1.0, 1.0),
        "the modifiers": any(not one.mute for one in strip.modifiers),
    }
    return [f"{what} of {strip.name}" for what, changed in told.items() if changed]


def _alike(one: Any, other: Any) -> bool:
    return bool(np.allclose(one, other, atol=1e-3))


def _check_fade(layer: Any) -> None:
    """Refuse an opacity that keyframes cannot follow; raises JobError."""
    fade = _fade(layer)
    if fade is not None and fade.driver is not None:
        raise jobs.JobError(
            "not_in_nodes",
            f"The opacity of {layer.name} has a driver, which the compositor's nodes cannot show.",
            "Replace the driver by keyframes, or remove it and give the nodes' Strength one.",
        )


def _layer_over(scene: Any, strip: Any, job: Job, part: str, start: int) -> Any:
    tree, output = compat.compositor(scene)
    layer = layers.find_layer(job.id, part)
    if layer is not None:  # it may have been moved
        start = round(compat.content_start(layer))
    earlier = [shown.job for shown in versions.earlier(layer)] if layer is not None else []
    node = _group_node(tree, {job.id, *earlier}, job.layer_name(part))
    if node is not None:
        _show(node.node_tree, job, part, start)
        if layer is not None:
            _fade_with(node, layer)
        return node
    node = tree.nodes.new("CompositorNodeGroup")
    kind = f" {LAYER_WORDS.get(part, part)}" if part else ""
    name = f"Text2LIVE {job.label}"[: 60 - len(kind)] + kind
    node.node_tree = _new_group(name, job, part, start)
    node.width = COLUMN
    if layer is not None:
        node.inputs["Strength"].default_value = layer.blend_alpha
        _fade_with(node, layer)
    below = _layers_below(output, job)
    if below is None:
        below = _source_node(tree, strip, job.anchor, start)
        below.image.colorspace_settings.name = strip.colorspace_settings.name
        left = min((n.location.x for n in tree.nodes), default=0.0)
        below.location = (left - 3 * COLUMN, output.location.y)
    node.location = (below.location.x + 1.5 * COLUMN, below.location.y)
    tree.links.new(below.outputs[0], node.inputs["Image"])
    tree.links.new(node.outputs[0], output.inputs[0])
    return node


def _group_node(tree: Any, job_ids: set[str], layer: str) -> Any:
    """The node of these jobs' layer in the scene's compositor, or None."""
    for node in tree.nodes:
        group = node.node_tree if node.bl_idname == "CompositorNodeGroup" else None
        ours = group is not None and group.get(layers.JOB) in job_ids
        if ours and group.get(layers.PART, layer) == layer:
            return node
    return None


def _fade(layer: Any) -> Any:
    """The curve of a layer's opacity, or None."""
    path = f'_all["{bpy.utils.escape_identifier(layer.name)}"].blend_alpha'
    found = (one for one in compat.curves(layer.id_data) if one.data_path.endswith(path))
    return next((one for one in found if not one.mute and not one.is_empty), None)


def _fade_with(node: Any, layer: Any) -> None:
    """Give a group's strength the keyframes of the layer's opacity; the artist's own stay.

    Copied, since a driver on an opacity stands still during a render.
    """
    tree, group, strength = node.id_data, node.node_tree, node.inputs["Strength"]
    path = strength.path_from_id("default_value")
    fade = _fade(layer)
    there = next((one for one in compat.curves(tree) if one.data_path == path), None)
    if there is not None:
        if not group.get(FADED):
            return
        compat.remove_curve(tree, there)
        strength.default_value = layer.blend_alpha
    group[FADED] = fade is not None
    if fade is not None:
        strength.keyframe_insert("default_value", frame=0)
        curve = next(one for one in compat.curves(tree) if one.data_path == path)
        _copy_curve(fade, curve, compat.span(layer))


def _copy_curve(source: Any, curve: Any, span: tuple[int, int]) -> None:
    """The same keyframes in a curve that has one; a value a frame where modifiers change them."""
    points = list(source.keyframe_points)
    if not points or any(not one.mute for one in source.modifiers):
        frames = range(*span)
        curve.keyframe_points.add(len(frames) - 1)
        for frame, point in zip(frames, curve.keyframe_points, strict=True):
            point.co, point.interpolation = (frame, source.evaluate(frame)), "LINEAR"
    else:
        curve.keyframe_points.add(len(points) - 1)
        for old, new in zip(points, curve.keyframe_points, strict=True):
            new.co = old.co
            for name in (*_POINT, *_HANDLES):
                setattr(new, name, getattr(old, name))
        curve.extrapolation, curve.auto_smoothing = source.extrapolation, source.auto_smoothing
    curve.update()


def _layers_below(output: Any, job: Job) -> Any:
    """What the output shows if that is another layer of the same strip, or None."""
    links = output.inputs[0].links
    node = links[0].from_node if links else None
    if node is None or node.bl_idname != "CompositorNodeGroup" or node.node_tree is None:
        return None
    return node if node.node_tree.get(layers.LAYER_OF) == job.anchor.strip_uid else None


def _new_group(name: str, job: Job, part: str, start: int) -> Any:
    """Image, Strength and Mask in; the layer over the image out."""
    group = bpy.data.node_groups.new(name, "CompositorNodeTree")
    compat.new_input(group, "NodeSocketColor", "Image")
    for factor in ("Strength", "Mask"):
        socket = compat.new_input(group, "NodeSocketFloat", factor)
        socket.default_value, socket.min_value, socket.max_value = 1.0, 0.0, 1.0
    compat.new_output(group, "NodeSocketColor", "Image")
    ends = group.nodes.new("NodeGroupInput"), group.nodes.new("NodeGroupOutput")
    picture = group.nodes.new("CompositorNodeImage")
    scale = group.nodes.new("CompositorNodeScale")
    to_srgb = _convert(group, "to sRGB")
    over = group.nodes.new("CompositorNodeAlphaOver")
    from_srgb = _convert(group, "from sRGB")
    much = compat.new_math(group, "MULTIPLY")
    back, front, factor = compat.alpha_over_inputs(over)
    for source, target in (
        (ends[0].outputs["Image"], to_srgb.inputs[0]),
        (ends[0].outputs["Strength"], much.inputs[0]),
        (ends[0].outputs["Mask"], much.inputs[1]),
        (picture.outputs["Image"], scale.inputs["Image"]),
        (to_srgb.outputs[0], back),
        (scale.outputs[0], front),
        (much.outputs[0], factor),
        (over.outputs[0], from_srgb.inputs[0]),
        (from_srgb.outputs[0], ends[1].inputs["Image"]),
    ):
        group.links.new(source, target)
    rows = ((ends[0], picture), (to_srgb, scale, much), (over,), (from_srgb,), (ends[1],))
    for column, nodes in enumerate(rows):
        for row, node in enumerate(nodes):
            node.location = (column * COLUMN, -row * COLUMN)
    group[layers.LAYER_OF] = job.anchor.strip_uid
    _show(group, job, part, start)
    return group


def _show(group: Any, job: Job, part: str, start: int) -> None:
    """Have a group show a job's layer, at the size of the strip's own picture."""
    node = next(n for n in group.nodes if n.bl_idname == "CompositorNodeImage")
    before = node.image
    files = list(job.frames_of(part))
    _set_pictures(node, files, len(files), start, 0)
    node.image.colorspace_settings.name = "Non-Color"
    if before is not None and before.users == 0:
        bpy.data.images.remove(before)
    scale = next(n for n in group.nodes if n.bl_idname == "CompositorNodeScale")
    scale.inputs["X"].default_value = job.anchor.width / job.layer_size[0]
    scale.inputs["Y"].default_value = job.anchor.height / job.layer_size[1]
    group[layers.JOB], group[layers.PART] = job.id, job.layer_name(part)


def _convert(group: Any, way: str) -> Any:
    node = group.nodes.new("CompositorNodeConvertColorSpace")
    linear = compat.linear_colour_space(node)
    spaces = (linear, "sRGB") if way == "to sRGB" else ("sRGB", linear)
    node.from_color_space, node.to_color_space = spaces
    node.label = way
    return node


def _source_node(tree: Any, strip: Any, anchor: Anchor, start: int) -> Any:
    """An image node that shows what the strip does, from a frame on."""
    node = tree.nodes.new("CompositorNodeImage")
    first = start - round(compat.content_start(strip)) + compat.held_back(strip)[0]
    _set_pictures(node, source_files(strip), anchor.frames, start, first)
    return node


def _set_pictures(node: Any, files: list[Path], frames: int, start: int, first: int) -> None:
    image = bpy.data.images.load(str(files[0]))
    if image.source != "MOVIE" and len(files) > 1:
        image.source = "SEQUENCE"
    image.alpha_mode = "CHANNEL_PACKED"
    node.image = image
    if image.source != "FILE":
        node.frame_duration, node.frame_start, node.frame_offset = frames, start, first
        node.use_auto_refresh = True
