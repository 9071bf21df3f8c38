"""Baking a layer: its frames as one lossless movie (FFV1) with alpha.

A second Blender writes the movie in the background; this one checks the layer and replaces its
strip. If the movie is lost, the layer falls back to its frames.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from ..core.delivery import frame_file_name, part_of_file
from ..core.jobs import Job
from ..core.movie import MovieOrder, MovieWriter
from ..wire import jobs
from . import compat, undo, write_movie
from .problems import as_error, problem_of
from .sources import source_files
from .timeline import channels, layers
from .timeline.folders import folder_of, to_blend_path

MOVIE = "layer.mkv"


@dataclass(frozen=True, kw_only=True)
class Bake:
    """A layer being baked. frames: what its strip showed when baking began."""

    job: str
    part: str
    name: str
    frames: tuple[Path, ...]
    writer: MovieWriter

    def layer(self) -> Any:
        """The layer's strip now; None if it is gone or shows other frames."""
        copies = layers.layers_of_job(self.job)
        for strip in sorted(copies, key=lambda strip: strip.name != self.name):
            ours = strip.type == "IMAGE" and strip.get(layers.PART, "") == self.part
            if ours and tuple(source_files(strip)) == self.frames:
                return strip
        return None


class Bakes:
    """The layers being baked."""

    def __init__(self) -> None:
        self.under_way: list[Bake] = []

    @property
    def written(self) -> list[Bake]:
        """The bakes whose movie is complete or has failed."""
        return [bake for bake in self.under_way if bake.writer.state != "writing"]

    def begin(self, layer: Any) -> Bake:
        """Start baking a layer; raises JobError."""
        frames = tuple(source_files(layer)) if layer.type == "IMAGE" else ()
        if any(one.frames == frames for one in self.under_way):  # a copy of it, perhaps
            raise jobs.JobError(
                "being_baked", f"{layer.name} is being baked.", "Wait for it, or cancel it."
            )
        bake = begin(layer)
        self.under_way.append(bake)
        return bake

    def of(self, layer: Any) -> Bake | None:
        """The bake of a layer that is under way, or None."""
        return next((one for one in self.under_way if one.layer() == layer), None)

    def poll(self) -> bool:
        """Update the progress; True when anything changed."""
        changed = [bake.writer.poll() for bake in self.under_way]
        return any(changed)

    def finish(self, bake: Bake) -> Any:
        """Put the movie in the layer's place as one undo step and return its strip.

        Raises JobError.
        """
        self.under_way.remove(bake)
        if bake.writer.problem is not None:
            raise as_error(bake.writer.problem)
        undo.step_before("Before Text2LIVE Bake")
        movie = finish(bake)
        undo.step("Text2LIVE Bake")
        return movie

    def finish_one(self) -> jobs.Problem | None:
        """Finish a bake whose movie is written; returns what went wrong, if anything."""
        try:
            self.finish(self.written[0])
        except Exception as error:
            return problem_of(error)
        return None

    def cancel(self, bake: Bake) -> None:
        """Stop a bake; the layer stays as it is."""
        bake.writer.stop()
        self.under_way.remove(bake)

    def cancel_all(self) -> None:
        """Stop every bake."""
        for bake in list(self.under_way):
            self.cancel(bake)


def begin(layer: Any) -> Bake:
    """Start writing a layer's frames into a movie; raises JobError."""
    _check(layer)
    scene, part = layer.id_data, part_of_file(layer.elements[0].filename)
    frames = tuple(source_files(layer))
    width, height = layer[layers.SIZE]
    order = MovieOrder(
        frames=tuple(map(str, frames)),
        size=(int(width), int(height)),
        fps=scene.render.fps,
        fps_base=scene.render.fps_base,
        path=str(folder_of(layer) / (f"{part}_{MOVIE}" if part else MOVIE)),
    )
    return Bake(
        job=str(layer[layers.JOB]),
        part=str(layer.get(layers.PART, "")),
        name=layer.name,
        frames=frames,
        writer=MovieWriter(_command(), order),
    )


def finish(bake: Bake) -> Any:
    """Replace the layer's strip with a movie strip and return it. Raises JobError.

    It keeps the old strip's name, channel, keyframes and settings; the frames stay on disk.
    """
    layer = bake.layer()
    if layer is None:
        bake.writer.path.unlink(missing_ok=True)
        raise jobs.JobError(
            "layer_changed",
            f"{bake.name} was removed or changed while it was being baked.",
            "Bake it again when it looks as you want it.",
        )
    _check(layer)
    movie = _new_movie_strip(layer.id_data, layer, bake.writer.path)
    _replace(layer.id_data, layer, movie)
    return movie


def unbake(layer: Any) -> Any:
    """Replace a baked layer's strip with its frames again and return it; the movie stays on disk.

    Raises JobError.
    """
    if layer.type != "MOVIE":
        raise jobs.JobError("not_baked", f"{layer.name} is not baked.", "There is nothing to undo.")
    _check_kept(layer)
    movie = source_files(layer)[0]
    part = part_of_file(movie.name)
    names = [frame_file_name(index, part) for index in range(compat.content_frames(layer))]
    missing = next((name for name in names if not (movie.parent / name).is_file()), None)
    if missing is not None:
        raise jobs.JobError(
            "frames_gone",
            f"The frames of {layer.name} are no longer beside its movie: {missing} is missing.",
            "Put the folder back, or make the layer again.",
        )
    strip = _new_image_strip(layer.id_data, layer, tuple(movie.parent / name for name in names))
    _replace(layer.id_data, layer, strip)
    return strip


def restore_layer(layer: Any, job: Job) -> None:
    """Show a layer whose frames are on disk again; a lost movie is replaced by them."""
    if layer.type == "MOVIE" and not source_files(layer)[0].is_file():
        parts = {job.layer_name(part): part for part in job.parts}
        paths = job.frames_of(parts.get(layer.get(layers.PART, ""), job.parts[-1]))
        images = _new_image_strip(layer.id_data, layer, paths)
        if layer.get(layers.HIDDEN):
            images[layers.HIDDEN] = True
        _replace(layer.id_data, layer, images)
        layer = images
    if all(path.is_file() for path in source_files(layer)):
        layers.show_again(layer)


def _command() -> list[str]:
    """The command that runs write_movie.py in a second Blender of the same kind."""
    script = str(Path(write_movie.__file__).resolve())
    if not bpy.app.binary_path:  # Blender as a Python module
        return [sys.executable, script]
    command = [bpy.app.binary_path, "--background", "--factory-startup", "--python", script]
    return [*command, "--"]


def _check(layer: Any) -> None:
    """Raise JobError for a layer that a movie strip cannot reproduce."""
    if layer.type != "IMAGE":
        raise jobs.JobError(
            "baked", f"{layer.name} is a movie already.", "There is nothing to bake."
        )
    _check_kept(layer)
    missing = next((path for path in source_files(layer) if not path.exists()), None)
    if missing is not None:
        raise jobs.JobError(
            "media_missing",
            f"A frame of {layer.name} is missing: {missing}.",
            "Connect to the backend and reopen the file: the frame is fetched again.",
        )


def _check_kept(layer: Any) -> None:
    """Raise JobError for settings that a strip of another type would lose."""
    if layer.modifiers:
        raise jobs.JobError(
            "has_modifiers",
            f"{layer.name} has modifiers, which baking cannot keep.",
            "Remove them, press the button again, and add them again.",
        )
    if not compat.plays_straight(layer):
        raise jobs.JobError(
            "retimed",
            f"{layer.name} is retimed, which baking cannot keep.",
            "Reset its speed, press the button again, and retime it again.",
        )


def _new_movie_strip(scene: Any, layer: Any, path: Path) -> Any:
    """A movie strip set up like the layer, on a free channel for now."""
    siblings = compat.siblings(scene, layer)
    movie = open_movie(
        siblings,
        name=f"{layer.name} movie",
        filepath=to_blend_path(path.parent) + path.name,  # setting it later would open it twice
        channel=channels.free_over(channels.owner_of(layer), *compat.span(layer), layer.channel),
        frame_start=round(compat.content_start(layer)),
    )
    _copy_settings(layer, movie)
    return movie


def _new_image_strip(scene: Any, movie: Any, paths: tuple[Path, ...]) -> Any:
    """An image strip set up like a baked layer, on a free channel for now."""
    siblings = compat.siblings(scene, movie)
    strip = siblings.new_image(
        name=f"{movie.name} pictures",
        filepath=to_blend_path(paths[0].parent) + paths[0].name,
        channel=channels.free_over(channels.owner_of(movie), *compat.span(movie), movie.channel),
        frame_start=round(compat.content_start(movie)),
        fit_method="ORIGINAL",
    )
    for path in paths[1:]:
        strip.elements.append(path.name)
    _copy_settings(movie, strip)
    return strip


def _copy_settings(layer: Any, strip: Any) -> None:
    """Give a new strip the look, the placement and the frames of a layer."""
    strip.alpha_mode = "STRAIGHT"
    if strip.colorspace_settings.name != "sRGB":  # setting it would open the movie again
        strip.colorspace_settings.name = "sRGB"
    for name in (
        "blend_type",
        "blend_alpha",
        "mute",
        "lock",
        "color_saturation",
        "color_multiply",
        "use_flip_x",
        "use_flip_y",
        "use_reverse_frames",
        "strobe",
    ):
        setattr(strip, name, getattr(layer, name))
    layers.copy_placement(layer, strip)
    compat.set_span(strip, *compat.span(layer))
    for key in layers.LAYER_PROPERTIES:
        if key in layer:
            strip[key] = layer[key]


def open_movie(siblings: Any, **options: Any) -> Any:
    """A new movie strip. Blender reads the movie's first frames here, which takes a while."""
    return siblings.new_movie(fit_method="ORIGINAL", **options)


def _replace(scene: Any, layer: Any, strip: Any) -> None:
    """Give a strip the keyframes, channel and name of a layer, and remove the layer."""
    editor = scene.sequence_editor
    active, selected = editor.active_strip == layer, layer.select
    name, channel = layer.name, layer.channel
    old, new = (bpy.utils.escape_identifier(one.name) for one in (layer, strip))
    for curve in compat.curves(scene):
        # The path as stored in the file, whatever this Blender calls the list of strips.
        if f'_all["{old}"].' in curve.data_path:
            curve.data_path = curve.data_path.replace(f'_all["{old}"].', f'_all["{new}"].')
    compat.siblings(scene, layer).remove(layer)
    strip.channel, strip.name, strip.select = channel, name, selected
    if active:
        editor.active_strip = strip
