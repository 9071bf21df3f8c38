"""Script for a second Blender: write a layer's frames into a movie, as ordered (core/movie.py).

    blender --background --factory-startup --python write_movie.py -- ORDER

That Blender lacks the add-on's packages, so only modules that need bpy alone are imported.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import bpy

HERE = Path(__file__).resolve()


def main(file: str) -> None:
    """Write the movie; raises RuntimeError if it is incomplete."""
    sys.path.append(str(HERE.parents[2]))
    package = HERE.parents[1].name
    compat = importlib.import_module(f"{package}.blender.compat")
    render_settings = importlib.import_module(f"{package}.blender.render_settings")
    order = json.loads(Path(file).read_text(encoding="utf-8"))
    _check(order["frames"])
    with contextlib.suppress(AttributeError, OSError):
        os.nice(5)  # the artist's Blender comes first
    scene = bpy.data.scenes.new("movie")
    strips = compat.strips(scene.sequence_editor_create())
    _add_frames(strips, order["frames"])
    render_settings.render_exactly(scene, tuple(order["size"]))
    render_settings.set_lossless_movie(scene.render)
    scene.render.fps, scene.render.fps_base = order["fps"], order["fps_base"]
    scene.frame_start, scene.frame_end = 1, len(order["frames"])
    scene.render.filepath = order["path"]
    bpy.app.handlers.render_write.append(_report_frame)
    bpy.ops.render.render(animation=True, scene=scene.name)
    _check(order["frames"])
    written = strips.new_movie(name="movie", filepath=order["path"], channel=2, frame_start=1)
    if compat.content_frames(written) != len(order["frames"]):
        raise RuntimeError(f"only {compat.content_frames(written)} frames were written")


def _check(paths: list[str]) -> None:
    for path in paths:
        if not Path(path).is_file():  # Blender would silently write magenta
            raise RuntimeError(f"{path} is missing")


def _add_frames(strips: Any, paths: list[str]) -> None:
    strip = strips.new_image(
        name="pictures", filepath=paths[0], channel=1, frame_start=1, fit_method="ORIGINAL"
    )
    for path in paths[1:]:
        strip.elements.append(Path(path).name)
    strip.blend_type, strip.alpha_mode = "REPLACE", "STRAIGHT"
    strip.colorspace_settings.name = "sRGB"


def _report_frame(*_args: Any) -> None:
    print("\ntext2live wrote a frame", flush=True)


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(2)


if __name__ == "__main__":
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        main(sys.argv[-1])
    except Exception as error:
        print(f"\n{error}", flush=True)
        os._exit(1)
    os._exit(0)  # the bpy module may crash or hang at its own exit
