"""A layer as one movie file instead of many pictures: FFV1, lossless, with its alpha."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from ..core.delivery import part_in
from ..wire import jobs
from . import compat, layers, placing
from .extract import isolated_copy, source_files
from .folders import folder_of, written

MOVIE = "layer.mkv"


def bake(scene: Any, layer: Any) -> Any:
    """Write a layer's pictures into a movie and have a movie strip take its strip's place.

    The new strip has the old one's name, channel, keyframes and settings; the pictures stay on
    disk. Blocks for as long as Blender takes to render the layer alone. Raises JobError.
    """
    if layer.type != "IMAGE":
        raise jobs.JobError("baked", f"{layer.name} is a movie already.", "There is nothing to do.")
    if layer.modifiers:
        raise jobs.JobError(
            "has_modifiers",
            f"{layer.name} has modifiers, which a new strip cannot take over.",
            "Remove them, bake, and add them again.",
        )
    missing = next((path for path in source_files(layer) if not path.exists()), None)
    if missing is not None:
        raise jobs.JobError(
            "media_missing",
            f"A picture of {layer.name} is missing: {missing}.",
            "Connect to the backend and open the file again: it is fetched once more.",
        )
    part = part_in(layer.elements[0].filename)
    path = _write(scene, layer, folder_of(layer) / (f"{part}_{MOVIE}" if part else MOVIE))
    movie = _beside(scene, layer, path)
    _take_over(scene, layer, movie)
    return movie


def _write(scene: Any, layer: Any, path: Path) -> Path:
    """Render the layer alone, all of it, as it is on disk."""
    width, height = layer[layers.SIZE]
    copy = isolated_copy(scene, layer.name, (int(width), int(height)))
    try:
        alone = compat.all_strips(copy.sequence_editor)[layer.name]
        copy.frame_start = round(compat.content_start(alone))
        copy.frame_end = copy.frame_start + len(alone.elements) - 1
        compat.set_span(alone, copy.frame_start, copy.frame_end + 1)
        compat.set_lossless_movie(copy.render)
        copy.render.filepath = str(path)
        bpy.ops.render.render(animation=True, scene=copy.name)
    except RuntimeError as error:
        raise jobs.JobError(
            "not_baked",
            f"Blender did not write {path}: {error}.",
            "Make room on that disk, then try again.",
        ) from error
    finally:
        bpy.data.scenes.remove(copy)
    return path


def _beside(scene: Any, layer: Any, path: Path) -> Any:
    """A movie strip like the layer's, on a channel of its own for now."""
    siblings = compat.siblings(scene, layer)
    movie = siblings.new_movie(
        name=f"{layer.name} movie",
        filepath=str(path),
        channel=placing.channel_above(siblings, layer, layer.channel),
        frame_start=round(compat.content_start(layer)),
        fit_method="ORIGINAL",
    )
    movie.filepath = written(path.parent) + path.name
    movie.alpha_mode = "STRAIGHT"
    movie.colorspace_settings.name = "sRGB"
    for name in (
        "blend_type",
        "blend_alpha",
        "mute",
        "lock",
        "color_saturation",
        "color_multiply",
        "use_flip_x",
        "use_flip_y",
        "strobe",
    ):
        setattr(movie, name, getattr(layer, name))
    layers.copy_place(layer, movie)
    compat.set_span(movie, *compat.span(layer))
    for key in layers.MARKS:
        if key in layer:
            movie[key] = layer[key]
    return movie


def _take_over(scene: Any, layer: Any, movie: Any) -> None:
    """Give the movie the keyframes, the channel and the name of the layer, which goes."""
    name, channel = layer.name, layer.channel
    old, new = (bpy.utils.escape_identifier(strip.name) for strip in (layer, movie))
    for curve in compat.curves(scene):
        # The path as it stands in the file, whatever this Blender calls the list of strips.
        if f'_all["{old}"].' in curve.data_path:
            curve.data_path = curve.data_path.replace(f'_all["{old}"].', f'_all["{new}"].')
    compat.siblings(scene, layer).remove(layer)
    movie.channel, movie.name = channel, name
