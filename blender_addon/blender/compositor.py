"""The layer over its source in the compositor, with the same colours as in the Sequencer.

The Sequencer mixes sRGB values, the compositor linear ones. So the group turns what comes in back
into sRGB values, mixes them with the layer's own, untouched ones (Non-Color, alpha never applied
behind our back), and turns the result into linear values again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from ..core.jobs import Job
from ..core.planning import Anchor
from ..wire import jobs
from . import compat, layers, placing, versions
from .extract import source_files

COLUMN = 220.0


def layers_over(scene: Any, strip: Any, job: Job, start: int) -> list[Any]:
    """Build or update the groups that put a job's layers over its strip; gives their nodes.

    One for each layer, the hindmost first. start: the layers' first frame on the timeline, where no
    strip says it. A group of the same layer shows the new pictures and keeps its strength, its mask
    and its links. The source is taken as the file plays, at its own size: JobError for a strip that
    does not play so, and for a layer's.
    """
    _check_plain(strip, source=True)
    for part in job.parts:
        layer = layers.find_layer(job.id, part)
        if layer is not None:
            _check_plain(layer, source=False)
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


def _layer_over(scene: Any, strip: Any, job: Job, part: str, start: int) -> Any:
    tree, output = compat.compositor(scene)
    layer = layers.find_layer(job.id, part)
    if layer is not None:  # it may have been moved
        start = round(compat.content_start(layer))
    earlier = [shown.job for shown in versions.earlier(layer)] if layer is not None else []
    node = _group_node(tree, {job.id, *earlier}, job.layer_name(part))
    if node is not None:
        _show(node.node_tree, job, part, start)
        return node
    node = tree.nodes.new("CompositorNodeGroup")
    kind = f" {placing.WORDS.get(part, part)}" if part else ""
    name = f"Text2LIVE {job.label}"[: 60 - len(kind)] + kind
    node.node_tree = _new_group(name, job, part, start)
    node.width = COLUMN
    if layer is not None:
        node.inputs["Strength"].default_value = layer.blend_alpha
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
    files = list(job.pictures_of(part))
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
