"""The layer over its source in the compositor, with the same colours as in the Sequencer.

The Sequencer mixes sRGB values, the compositor linear ones. So both pictures come in untouched
(Non-Color, alpha never applied behind our back), are mixed as they are, and only then converted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from ..core.jobs import Job
from . import compat
from .extract import source_files

COLUMN = 320.0


def layer_over(scene: Any, strip: Any, job: Job, start: int) -> Any:
    """Add nodes that put a job's layer over its strip's source; gives the last node.

    start: the layer's first frame on the timeline. The source is taken as the file plays, so a
    strip that is reversed or retimed needs its own image node.
    """
    tree, output = compat.compositor(scene)
    left = min((node.location.x for node in tree.nodes), default=0.0) - 4 * COLUMN
    first = start - round(compat.content_start(strip))
    below = _picture_node(tree, source_files(strip), job.anchor.frames, start, first)
    above = _picture_node(tree, list(job.files), len(job.files), start, 0)
    above.label = f"Text2LIVE {job.label}"
    over = tree.nodes.new("CompositorNodeAlphaOver")
    convert = tree.nodes.new("CompositorNodeConvertColorSpace")
    convert.from_color_space = "sRGB"
    convert.to_color_space = compat.linear_colour_space(convert)
    back, front = compat.alpha_over_inputs(over)
    tree.links.new(below.outputs["Image"], back)
    tree.links.new(above.outputs["Image"], front)
    tree.links.new(over.outputs[0], convert.inputs[0])
    tree.links.new(convert.outputs[0], output.inputs[0])
    for column, node in enumerate((below, above, over, convert)):
        node.location = (left + max(0, column - 1) * COLUMN, -COLUMN if column == 1 else 0.0)
    return convert


def _picture_node(tree: Any, files: list[Path], frames: int, start: int, first: int) -> Any:
    """An image node for a movie or a picture sequence; first: frames left out at its beginning."""
    image = bpy.data.images.load(str(files[0]))
    if image.source != "MOVIE" and len(files) > 1:
        image.source = "SEQUENCE"
    image.alpha_mode = "CHANNEL_PACKED"
    image.colorspace_settings.name = "Non-Color"
    node = tree.nodes.new("CompositorNodeImage")
    node.image = image
    if image.source != "FILE":
        node.frame_duration, node.frame_start, node.frame_offset = frames, start, first
        node.use_auto_refresh = True
    return node
