"""The layer over its source in the compositor, with the same colours as in the Sequencer.

The Sequencer blends sRGB values, the compositor linear ones. So the node group converts its input
to sRGB, blends it with the layer's unconverted values (Non-Color, alpha not premultiplied), and
converts the result back to linear. Footage and layer lie as their strips do (node_placement.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from ..core.jobs import Job
from ..core.planning import Anchor, fit
from ..core.settings import LAYER_WORDS
from ..wire import jobs
from . import compat, curves, node_placement
from .sources import source_files
from .timeline import layers, versions

COLUMN = 220.0
FADED = "text2live_faded"  # on a group: its Strength has a copy of the layer's keyframes


def layers_over(scene: Any, strip: Any, job: Job, start: int) -> list[Any]:
    """Add or update the node groups that put a job's layers over its strip; returns their nodes.

    One per layer, back to front. start: the layers' first frame on the timeline, for layers
    without a strip. An existing group shows the new frames and keeps its Strength, mask and links.
    Keyframes of a layer's opacity are copied to its group. The source is shown as its file plays,
    at its own size. Raises JobError if a strip does not play that way or frames are missing.
    """
    missing = next((path for path in job.files if not path.is_file()), None)
    if missing is not None:
        raise jobs.JobError(
            "media_missing",
            f"A frame of {job.title} is missing: {missing}.",
            "Connect to the backend and reopen the file: the frame is fetched again.",
        )
    _check_plain(strip, source=True)
    for part in job.parts:
        layer = layers.find_layer(job.id, part, strip)
        if layer is not None:
            _check_plain(layer, source=False)
            _check_fade(layer)
    return [_layer_over(scene, strip, job, part, start) for part in job.parts]


def _check_plain(strip: Any, *, source: bool) -> None:
    """Raise JobError if the compositor cannot reproduce a strip's timing."""
    start, end = compat.span(strip)
    first = compat.content_start(strip)
    why = ""
    if strip.use_reverse_frames:
        why = "plays backwards"
    elif not compat.plays_straight(strip):
        why = "is retimed or has another frame rate"
    elif strip.strobe > 1:
        why = "holds its frames (Strobe)"
    elif not source and (start, end) != (first, first + compat.content_frames(strip)):
        why = "is trimmed or extended"
    if why:
        raise jobs.JobError(
            "not_in_nodes",
            f"{strip.name} {why}, which compositor nodes cannot reproduce.",
            "Render it to a movie or image sequence, and edit a strip of that."
            if source
            else "Reset it, add the nodes, and keyframe their Strength instead.",
        )


def ignored_settings(strip: Any, job: Job) -> list[str]:
    """Settings of a strip and of a job's layers that the nodes do not reproduce, in words."""
    found = _changes(strip)
    if strip.blend_alpha != 1.0 or _fade(strip) is not None:
        found.append(f"the opacity of {strip.name}")
    for part in job.parts:
        layer = layers.find_layer(job.id, part, strip)
        if layer is not None:
            found += _changes(layer)
            if layer.blend_type != "ALPHA_OVER":
                found.append(f"the blend mode of {layer.name}")
    return found


def _changes(strip: Any) -> list[str]:
    now = layers.get_placement(strip)
    changes = {
        "the crop": any(now.crop),
        "the flip": now.flip_x or now.flip_y,
        "the colour settings": (strip.color_saturation, strip.color_multiply) != (1.0, 1.0),
        "the modifiers": any(not one.mute for one in strip.modifiers),
    }
    return [f"{what} of {strip.name}" for what, changed in changes.items() if changed]


def _check_fade(layer: Any) -> None:
    """Raise JobError if a layer's opacity cannot be copied as keyframes."""
    fade = _fade(layer)
    if fade is not None and fade.driver is not None:
        raise jobs.JobError(
            "not_in_nodes",
            f"The opacity of {layer.name} has a driver, which compositor nodes cannot reproduce.",
            "Replace the driver with keyframes, or remove it and add one to the nodes' Strength.",
        )


def _layer_over(scene: Any, strip: Any, job: Job, part: str, start: int) -> Any:
    tree, output = compat.compositor(scene)
    layer = layers.find_layer(job.id, part, strip)
    if layer is not None:  # it may have been moved
        start = round(compat.content_start(layer))
    earlier = [shown.job for shown in versions.earlier(layer)] if layer is not None else []
    node = _group_node(tree, {job.id, *earlier}, job.layer_name(part))
    if node is not None:
        _show(node.node_tree, job, part, start)
        _place_layer(node.node_tree, scene, strip, layer, job)
        if layer is not None:
            _copy_fade(node, layer)
        return node
    node = tree.nodes.new("CompositorNodeGroup")
    kind = f" {LAYER_WORDS.get(part, part)}" if part else ""
    name = f"Text2LIVE {job.label}"[: 60 - len(kind)] + kind
    node.node_tree = _new_group(name, job, part, start)
    _place_layer(node.node_tree, scene, strip, layer, job)
    node.width = COLUMN
    if layer is not None:
        node.inputs["Strength"].default_value = layer.blend_alpha
        _copy_fade(node, layer)
    below = _layer_below(output, job)
    if below is None:
        below = _source_node(tree, strip, job.anchor, start)
        below.image.colorspace_settings.name = strip.colorspace_settings.name
        left = min((n.location.x for n in tree.nodes), default=0.0)
        placed = node_placement.add(tree, below)
        node_placement.follow(placed, scene, strip, (job.anchor.width, job.anchor.height))
        for column, one in enumerate([below, *placed]):
            one.location = (left + (column - 6) * COLUMN, output.location.y)
        below = placed[-1]
    node.location = (below.location.x + 1.5 * COLUMN, below.location.y)
    tree.links.new(below.outputs[0], node.inputs["Image"])
    tree.links.new(node.outputs[0], output.inputs[0])
    return node


def _group_node(tree: Any, job_ids: set[str], layer: str) -> Any:
    """The group node of these jobs' layer in the compositor, or None."""
    for node in tree.nodes:
        group = node.node_tree if node.bl_idname == "CompositorNodeGroup" else None
        if group is None or group.get(layers.JOB) not in job_ids:
            continue
        if group.get(layers.PART, layer) == layer:
            return node
    return None


def _fade(layer: Any) -> Any:
    """The animation curve of a layer's opacity, or None."""
    return curves.curves_of(layer).get(("blend_alpha", 0))


def _copy_fade(node: Any, layer: Any) -> None:
    """Copy the keyframes of a layer's opacity to its group's Strength, unless it has other ones.

    A driver would not do: drivers of an opacity are not evaluated during a render.
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
        curves.copy_keys(fade, curve, compat.span(layer))


def _layer_below(output: Any, job: Job) -> Any:
    """The node linked to the output, if it is another layer of the same strip; or None."""
    links = output.inputs[0].links
    node = links[0].from_node if links else None
    if node is None or node.bl_idname != "CompositorNodeGroup" or node.node_tree is None:
        return None
    return node if node.node_tree.get(layers.LAYER_OF) == job.anchor.strip_uid else None


def _new_group(name: str, job: Job, part: str, start: int) -> Any:
    """A group with the inputs Image, Strength and Mask: the layer over the image."""
    group = bpy.data.node_groups.new(name, "CompositorNodeTree")
    compat.new_input(group, "NodeSocketColor", "Image")
    for factor in ("Strength", "Mask"):
        socket = compat.new_input(group, "NodeSocketFloat", factor)
        socket.default_value, socket.min_value, socket.max_value = 1.0, 0.0, 1.0
    compat.new_output(group, "NodeSocketColor", "Image")
    ends = group.nodes.new("NodeGroupInput"), group.nodes.new("NodeGroupOutput")
    image = group.nodes.new("CompositorNodeImage")
    placed = node_placement.add(group, image)
    to_srgb = _convert(group, "to sRGB")
    over = group.nodes.new("CompositorNodeAlphaOver")
    from_srgb = _convert(group, "from sRGB")
    opacity = compat.new_math(group, "MULTIPLY")
    back, front, factor = compat.alpha_over_inputs(over)
    for source, target in (
        (ends[0].outputs["Image"], to_srgb.inputs[0]),
        (ends[0].outputs["Strength"], opacity.inputs[0]),
        (ends[0].outputs["Mask"], opacity.inputs[1]),
        (to_srgb.outputs[0], back),
        (placed[-1].outputs[0], front),
        (opacity.outputs[0], factor),
        (over.outputs[0], from_srgb.inputs[0]),
        (from_srgb.outputs[0], ends[1].inputs["Image"]),
    ):
        group.links.new(source, target)
    rows = ((ends[0], image), (to_srgb, opacity), placed, (over,), (from_srgb,), (ends[1],))
    for column, nodes in enumerate(rows):
        for row, node in enumerate(nodes):
            node.location = (column * COLUMN, -row * COLUMN)
    group[layers.LAYER_OF] = job.anchor.strip_uid
    _show(group, job, part, start)
    return group


def _place_layer(group: Any, scene: Any, strip: Any, layer: Any, job: Job) -> None:
    """Place a group's layer as its strip lies, or over the source if it has no strip."""
    nodes = node_placement.within(group)
    if layer is not None:
        node_placement.follow(nodes, scene, layer, job.layer_size)
        return
    place = fit(layers.get_placement(strip), (job.anchor.width, job.anchor.height), job.layer_size)
    node_placement.fix(nodes, scene, place, job.layer_size)


def _show(group: Any, job: Job, part: str, start: int) -> None:
    """Show a job's layer in a group."""
    node = next(n for n in group.nodes if n.bl_idname == "CompositorNodeImage")
    before = node.image
    files = list(job.frames_of(part))
    _set_frames(node, files, len(files), start, 0)
    node.image.colorspace_settings.name = "Non-Color"
    if before is not None and before.users == 0:
        bpy.data.images.remove(before)
    group[layers.JOB], group[layers.PART] = job.id, job.layer_name(part)


def _convert(group: Any, way: str) -> Any:
    node = group.nodes.new("CompositorNodeConvertColorSpace")
    linear = compat.linear_colour_space(node)
    spaces = (linear, "sRGB") if way == "to sRGB" else ("sRGB", linear)
    node.from_color_space, node.to_color_space = spaces
    node.label = way
    return node


def _source_node(tree: Any, strip: Any, anchor: Anchor, start: int) -> Any:
    """An image node that shows the strip's frames, from a timeline frame on."""
    node = tree.nodes.new("CompositorNodeImage")
    first = start - round(compat.content_start(strip)) + compat.held_back(strip)[0]
    _set_frames(node, source_files(strip), anchor.frames, start, first)
    return node


def _set_frames(node: Any, files: list[Path], frames: int, start: int, first: int) -> None:
    image = bpy.data.images.load(str(files[0]))
    if image.source != "MOVIE" and len(files) > 1:
        image.source = "SEQUENCE"
    image.alpha_mode = "CHANNEL_PACKED"
    node.image = image
    if image.source != "FILE":
        node.frame_duration, node.frame_start, node.frame_offset = frames, start, first
        node.use_auto_refresh = True
