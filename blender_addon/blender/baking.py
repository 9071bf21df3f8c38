"""A layer as one movie file instead of many pictures: FFV1, lossless, with its alpha.

Another Blender writes the movie meanwhile; here the layer is looked at and its strip replaced.
Where the movie is lost, the pictures take its place again.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from ..core.delivery import part_in
from ..core.jobs import Job
from ..core.movie import MovieWriter, Order
from ..wire import jobs
from . import compat, layers, placing, write_movie
from .extract import source_files
from .folders import folder_of, written
from .problems import as_error, problem_of

MOVIE = "layer.mkv"


@dataclass(frozen=True, kw_only=True)
class Bake:
    """A layer that is being baked. pictures: what its strip showed at the beginning."""

    job: str
    part: str
    name: str
    pictures: tuple[Path, ...]
    writer: MovieWriter

    def layer(self) -> Any:
        """The layer's strip as it is now; None if it is gone or shows something else."""
        for strip in layers.strips_of(self.job):
            ours = strip.type == "IMAGE" and strip.get(layers.PART, "") == self.part
            if ours and tuple(source_files(strip)) == self.pictures:
                return strip
        return None


class Bakes:
    """The layers that are being baked."""

    def __init__(self) -> None:
        self.under_way: list[Bake] = []

    @property
    def written(self) -> list[Bake]:
        """Those whose movie is there, or will not be."""
        return [bake for bake in self.under_way if bake.writer.state != "writing"]

    def begin(self, layer: Any) -> Bake:
        """Begin to bake a layer; raises JobError."""
        if self.of(layer) is not None:
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
        """See how far they are; True when anything changed."""
        changed = [bake.writer.poll() for bake in self.under_way]
        return any(changed)

    def finish(self, bake: Bake) -> Any:
        """Put the movie in the layer's place, one undo step; gives its strip. Raises JobError."""
        self.under_way.remove(bake)
        if bake.writer.problem is not None:
            raise as_error(bake.writer.problem)
        bpy.ops.ed.undo_push(message="Before Text2LIVE Bake")
        movie = finish(bake)
        bpy.ops.ed.undo_push(message="Text2LIVE Bake")
        return movie

    def settle(self) -> jobs.Problem | None:
        """Finish one that is written; what went wrong, if anything did."""
        try:
            self.finish(self.written[0])
        except Exception as error:
            return problem_of(error)
        return None

    def cancel(self, bake: Bake) -> None:
        """Stop it; the layer stays as it is."""
        bake.writer.stop()
        self.under_way.remove(bake)

    def cancel_all(self) -> None:
        """Stop all of them."""
        for bake in list(self.under_way):
            self.cancel(bake)


def begin(layer: Any) -> Bake:
    """Have another Blender begin to write a layer's pictures into a movie; raises JobError."""
    _check(layer)
    scene, part = layer.id_data, part_in(layer.elements[0].filename)
    pictures = tuple(source_files(layer))
    width, height = layer[layers.SIZE]
    order = Order(
        pictures=tuple(map(str, pictures)),
        size=(int(width), int(height)),
        fps=scene.render.fps,
        fps_base=scene.render.fps_base,
        path=str(folder_of(layer) / (f"{part}_{MOVIE}" if part else MOVIE)),
    )
    return Bake(
        job=str(layer[layers.JOB]),
        part=str(layer.get(layers.PART, "")),
        name=layer.name,
        pictures=pictures,
        writer=MovieWriter(_command(), order),
    )


def finish(bake: Bake) -> Any:
    """Have a movie strip take the layer's place; gives it. Raises JobError.

    It has the old strip's name, channel, keyframes and settings; the pictures stay on disk.
    """
    layer = bake.layer()
    if layer is None:
        bake.writer.path.unlink(missing_ok=True)
        raise jobs.JobError(
            "layer_changed",
            f"{bake.name} was removed, or shows other pictures, since it began to be baked.",
            "Bake it again when it is as you want it.",
        )
    _check(layer)
    movie = _beside(layer.id_data, layer, bake.writer.path)
    _take_over(layer.id_data, layer, movie)
    return movie


def show_again(layer: Any, job: Job) -> None:
    """Show a layer whose job's pictures are on disk: a movie that is lost gives way to them."""
    if layer.type == "MOVIE" and not source_files(layer)[0].is_file():
        named = {job.layer_name(part): part for part in job.parts}
        paths = job.pictures_of(named.get(layer.get(layers.PART, ""), job.parts[-1]))
        pictures = _pictures_beside(layer.id_data, layer, paths)
        if layer.get(layers.HIDDEN):
            pictures[layers.HIDDEN] = True
        _take_over(layer.id_data, layer, pictures)
        layer = pictures
    if all(path.is_file() for path in source_files(layer)):
        layers.refresh(layer)


def _command() -> list[str]:
    """What runs write_movie.py in another Blender of this kind."""
    script = str(Path(write_movie.__file__).resolve())
    if not bpy.app.binary_path:  # Blender as a Python module
        return [sys.executable, script]
    command = [bpy.app.binary_path, "--background", "--factory-startup", "--python", script]
    return [*command, "--"]


def _check(layer: Any) -> None:
    """Refuse what a movie strip would not look like; raises JobError."""
    if layer.type != "IMAGE":
        raise jobs.JobError("baked", f"{layer.name} is a movie already.", "There is nothing to do.")
    if layer.modifiers:
        raise jobs.JobError(
            "has_modifiers",
            f"{layer.name} has modifiers, which a new strip cannot take over.",
            "Remove them, bake, and add them again.",
        )
    if not compat.plays_straight(layer):
        raise jobs.JobError(
            "retimed",
            f"{layer.name} is retimed, which a new strip cannot take over.",
            "Set its speed back, bake, and retime it again.",
        )
    missing = next((path for path in source_files(layer) if not path.exists()), None)
    if missing is not None:
        raise jobs.JobError(
            "media_missing",
            f"A picture of {layer.name} is missing: {missing}.",
            "Connect to the backend and open the file again: it is fetched once more.",
        )


def _beside(scene: Any, layer: Any, path: Path) -> Any:
    """A movie strip like the layer's, on a channel of its own for now."""
    siblings = compat.siblings(scene, layer)
    movie = open_movie(
        siblings,
        name=f"{layer.name} movie",
        filepath=written(path.parent) + path.name,  # set later, it would be opened twice
        channel=placing.channel_above(siblings, layer, layer.channel),
        frame_start=round(compat.content_start(layer)),
    )
    _set_up_like(layer, movie)
    return movie


def _pictures_beside(scene: Any, movie: Any, paths: tuple[Path, ...]) -> Any:
    """An image strip like a layer's movie, on a channel of its own for now."""
    siblings = compat.siblings(scene, movie)
    strip = siblings.new_image(
        name=f"{movie.name} pictures",
        filepath=written(paths[0].parent) + paths[0].name,
        channel=placing.channel_above(siblings, movie, movie.channel),
        frame_start=round(compat.content_start(movie)),
        fit_method="ORIGINAL",
    )
    for path in paths[1:]:
        strip.elements.append(path.name)
    _set_up_like(movie, strip)
    return strip


def _set_up_like(layer: Any, strip: Any) -> None:
    """Have a new strip look as a layer's does, at the same place, for the same frames."""
    strip.alpha_mode = "STRAIGHT"
    if strip.colorspace_settings.name != "sRGB":  # setting it has a movie opened once more
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
    layers.copy_place(layer, strip)
    compat.set_span(strip, *compat.span(layer))
    for key in layers.MARKS:
        if key in layer:
            strip[key] = layer[key]


def open_movie(siblings: Any, **how: Any) -> Any:
    """A new movie strip. Blender reads the movie's first pictures here, as long as that takes."""
    return siblings.new_movie(fit_method="ORIGINAL", **how)


def _take_over(scene: Any, layer: Any, strip: Any) -> None:
    """Give a strip the keyframes, the channel and the name of the layer's, which goes."""
    editor = scene.sequence_editor
    active, selected = editor.active_strip == layer, layer.select
    name, channel = layer.name, layer.channel
    old, new = (bpy.utils.escape_identifier(one.name) for one in (layer, strip))
    for curve in compat.curves(scene):
        # The path as it stands in the file, whatever this Blender calls the list of strips.
        if f'_all["{old}"].' in curve.data_path:
            curve.data_path = curve.data_path.replace(f'_all["{old}"].', f'_all["{new}"].')
    compat.siblings(scene, layer).remove(layer)
    strip.channel, strip.name, strip.select = channel, name, selected
    if active:
        editor.active_strip = strip
