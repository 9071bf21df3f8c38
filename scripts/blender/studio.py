"""Fixtures for tests and scripts in a windowless Blender: movies, strips, contexts, a backend.

Runs in a Python that has bpy; the backend runs in another Python, as a subprocess.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import addon_utils
import bpy
import numpy as np
from numpy.typing import NDArray

from blender_addon.blender import compat
from blender_addon.core import png
from protocol import local

REPOSITORY = Path(__file__).resolve().parents[2]
ADDON = "blender_addon"


def enable_addon() -> Any:
    """Enable the add-on of this checkout as Blender would; returns its preferences."""

    def fail(*_args: Any) -> None:
        raise RuntimeError("the add-on could not be enabled") from sys.exc_info()[1]

    if addon_utils.enable(ADDON, default_set=True, handle_error=fail) is None:
        raise RuntimeError("the add-on could not be enabled")
    return bpy.context.preferences.addons[ADDON].preferences


def disable_addon() -> None:
    """Disable the add-on; the bpy module may hang at exit while anything is registered."""
    addon_utils.disable(ADDON, default_set=True)


@contextlib.contextmanager
def sequencer(scene: Any, kind: str = "WINDOW") -> Iterator[None]:
    """A context with a Sequencer that shows the scene. kind: of its region."""
    window = bpy.context.window_manager.windows[0]
    window.scene = scene
    if hasattr(window.workspace, "sequencer_scene"):
        window.workspace.sequencer_scene = scene
    area = window.screen.areas[0]
    area.type = "SEQUENCE_EDITOR"
    region = next(region for region in area.regions if region.type == kind)
    with bpy.context.temp_override(window=window, area=area, region=region):
        yield


def editor(scene: Any) -> Any:
    """The scene's sequence editor, created if needed."""
    return scene.sequence_editor or scene.sequence_editor_create()


def moving_square(
    frames: int = 8, width: int = 96, height: int = 64, seed: int = 0
) -> NDArray[np.uint8]:
    """A textured square moving over a textured, slowly moving background: uint8 [T,H,W,3]."""
    random = np.random.default_rng(seed)
    ground = _texture(random, height, width + 4 * frames)
    object_ = 255 - _texture(random, height // 3, height // 3)
    clip = np.empty((frames, height, width, 3), np.uint8)
    for t in range(frames):
        clip[t] = ground[:, 2 * t : 2 * t + width]
        y, x = height // 3, width // 8 + 4 * t
        clip[t, y : y + height // 3, x : x + height // 3] = object_
    return clip


def _texture(random: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    coarse = random.integers(30, 226, (height // 8 + 1, width // 8 + 1, 3))
    fine = random.integers(-20, 21, (height, width, 3))
    return (coarse.repeat(8, 0).repeat(8, 1)[:height, :width] + fine).clip(0, 255).astype(np.uint8)


def write_frames(frames: NDArray[np.uint8], folder: Path) -> list[Path]:
    """Write frames uint8 [T,H,W,3|4] as numbered PNGs."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index + 1:05d}.png" for index in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        png.write(path, frame)
    return paths


def image_strip(scene: Any, paths: list[Path], name: str = "shot", **where: Any) -> Any:
    """An image strip of files in one folder. where: channel, frame_start."""
    place = {"channel": 1, "frame_start": 1, **where}
    strips = compat.strips(editor(scene))
    strip = strips.new_image(name=name, filepath=str(paths[0]), fit_method="ORIGINAL", **place)
    for path in paths[1:]:
        strip.elements.append(path.name)
    return strip


def movie_strip(scene: Any, path: Path, name: str = "shot", **where: Any) -> Any:
    """A movie strip. where: channel, frame_start."""
    place = {"channel": 1, "frame_start": 1, **where}
    strips = compat.strips(editor(scene))
    return strips.new_movie(name=name, filepath=str(path), fit_method="ORIGINAL", **place)


def encode_movie(frames: NDArray[np.uint8], path: Path, fps: int = 24) -> Path:
    """Write frames, uint8 [T,H,W,3], to a lossless movie (FFV1 in Matroska) with Blender."""
    pictures = write_frames(frames, path.parent / f"{path.stem}_frames")
    scene = bpy.data.scenes.new("encode")
    try:
        image_strip(scene, pictures)
        show_exactly(scene, (frames.shape[2], frames.shape[1]))
        scene.frame_start, scene.frame_end = 1, len(frames)
        render = scene.render
        render.fps, render.fps_base = fps, 1.0
        if hasattr(render.image_settings, "media_type"):
            render.image_settings.media_type = "VIDEO"
        render.image_settings.file_format = "FFMPEG"
        render.image_settings.color_mode = "RGB"
        render.ffmpeg.format, render.ffmpeg.codec = "MKV", "FFV1"
        render.ffmpeg.audio_codec = "NONE"
        render.use_file_extension = False
        render.filepath = str(path)
        bpy.ops.render.render(animation=True, scene=scene.name)
    finally:
        bpy.data.scenes.remove(scene)
    return path


def show_exactly(scene: Any, size: tuple[int, int]) -> None:
    """Render the Sequencer at size (W, H) without colour changes."""
    scene.view_settings.view_transform, scene.view_settings.look = "Standard", "None"
    scene.render.resolution_x, scene.render.resolution_y = size
    scene.render.resolution_percentage = 100
    scene.render.use_sequencer, scene.render.use_compositing = True, False
    scene.render.dither_intensity = 0.0


def show_compositor(scene: Any) -> None:
    """Render the compositor instead of the Sequencer."""
    scene.render.use_sequencer, scene.render.use_compositing = False, True


def render_frame(scene: Any, frame: int, path: Path) -> NDArray[np.uint8]:
    """Render one timeline frame to a PNG and read it: uint8 [H,W,3]."""
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format, settings.color_mode, settings.color_depth = "PNG", "RGB", "8"
    scene.frame_start = scene.frame_end = frame
    scene.render.filepath = str(path.with_suffix("")) + "_####"
    scene.render.use_file_extension = True
    bpy.ops.render.render(animation=True, scene=scene.name)
    os.replace(scene.render.frame_path(frame=frame), path)
    return png.read(path)


def over(layer_HW4: NDArray[np.uint8], below_HW3: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Straight-alpha over in sRGB, as Text2LIVE composites: uint8 [H,W,3]."""
    alpha = layer_HW4[..., 3:].astype(np.float64) / 255
    mixed = layer_HW4[..., :3] * alpha + below_HW3 * (1 - alpha)
    return np.floor(mixed + 0.5).astype(np.uint8)


class Backend:
    """A backend as a subprocess, with a data folder of its own."""

    def __init__(self, python: Path, data: Path, *options: str) -> None:
        self.python, self.data, self.options = python, data, options
        self.file = local.connection_file(data)
        self.log = data.with_name(data.name + ".log")
        self._process: subprocess.Popen[bytes] | None = None
        self._port = "0"

    def start(self, timeout: float = 60.0) -> None:
        """Start it, on the same port as before if it ran before, and wait until it is ready."""
        if self._process is not None:
            self._process.wait(timeout)
        self.data.mkdir(parents=True, exist_ok=True)
        self.file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            backend = local.BackendProcess(
                self.data,
                ["--listen", f"127.0.0.1:{self._port}", *self.options],
                python=str(self.python),
                cwd=REPOSITORY,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        self._process = backend.process
        deadline = time.monotonic() + timeout
        while not backend.ready:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the backend did not start:\n{self.log.read_text()}")
            time.sleep(0.02)
        # Parsed here, because reading connection files is under test.
        self._port = self.file.read_text().split("tcp://127.0.0.1:")[1].split('"')[0]

    @property
    def address(self) -> str:
        """Where it listens, as host:port."""
        return f"127.0.0.1:{self._port}"

    def kill(self) -> None:
        """Kill it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Stop it cleanly."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()

    def __enter__(self) -> Backend:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()


def tick_until(tick: Callable[[], object], condition: Callable[[], bool], limit: float) -> bool:
    """Tick like the timer until the condition holds; False after `limit` seconds."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            return False
        tick()
        time.sleep(0.005)
    return True
