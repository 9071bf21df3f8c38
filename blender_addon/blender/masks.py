"""Masks made in Blender: a mask drawn with splines, a mask strip, or a painted image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..core.frames import TgaError, read_targa
from ..wire import jobs
from . import compat
from .extract import hint_not_rendered
from .isolate import LATER, TEMPORARY, render_frame
from .render_settings import render_exactly
from .sources import find_strip

_SCENE_NAME = ".text2live_mask"


class MaskRenderer:
    """Renders a Blender mask frame by frame in a temporary scene.

    mode ``mask``: the mask called `name`, on the frames of the timeline. ``strip``: the mask of the
    mask strip called `name`, as that strip shows it. size: (W, H) of the clip; the mask covers the
    whole frame. Always call drop_scene() at the end.
    """

    def __init__(self, scene: Any, mode: str, name: str, size: tuple[int, int]) -> None:
        self._size = size
        self._mask_name, self._shift = _find_mask(scene, mode, name)
        self._scene_name = ""

    def render(self, frame: int, folder: Path) -> Path:
        """Render the mask on a timeline frame to a file; read_mask() reads it."""
        scene = self._scene()
        (strip,) = compat.strips(scene.sequence_editor)
        later = max(0, -frame)  # no render can start before frame 0
        compat.slide(strip, later - scene[LATER])
        scene[LATER] = later
        scene.frame_start = scene.frame_end = frame + later
        scene.render.filepath = str(folder / "mask_####")
        try:
            render_frame(scene)
        except RuntimeError as error:
            raise _not_rendered(self._mask_name, error) from error
        return Path(scene.render.frame_path(frame=frame + later))

    def drop_scene(self) -> None:
        """Remove the temporary scene; the next frame makes a new one."""
        scene = bpy.data.scenes.get(self._scene_name) if self._scene_name else None
        self._scene_name = ""
        if scene is not None and TEMPORARY in scene:
            bpy.data.scenes.remove(scene)

    def _scene(self) -> Any:
        scene = bpy.data.scenes.get(self._scene_name) if self._scene_name else None
        if scene is not None:
            return scene
        mask = bpy.data.masks.get(self._mask_name)
        if mask is None:
            raise _mask_gone(self._mask_name)
        scene = bpy.data.scenes.new(_SCENE_NAME)
        scene[TEMPORARY], scene[LATER] = True, 0
        render_exactly(scene, self._size)
        strips = compat.strips(scene.sequence_editor_create())
        strip = strips.new_mask(
            name="mask", mask=mask, channel=1, frame_start=mask.frame_start + self._shift
        )
        # Outside its own frames, a mask strip holds its first or last frame.
        compat.set_span(strip, -100_000, 200_000)
        self._scene_name = scene.name
        return scene


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Read a rendered mask and remove its file: uint8 [H,W,1] of 0 and 255; may be empty."""
    try:
        image = read_targa(path)
    except (OSError, TgaError) as error:
        raise _not_rendered(path.name, error) from error
    path.unlink()
    inside = (image[..., :3].max(-1) > 127) & (image[..., 3] > 127)
    mask: NDArray[np.uint8] = (inside * np.uint8(255)).astype(np.uint8)[..., None]
    return mask


def _not_rendered(name: str, error: Exception) -> jobs.JobError:
    return jobs.JobError(
        "mask_not_drawn",
        f"Blender did not render the mask {name}: {str(error).strip()}.",
        hint_not_rendered(error),
    )


def _find_mask(scene: Any, mode: str, name: str) -> tuple[str, int]:
    """Name of the mask, and how many frames later than its own it is shown."""
    if mode == "mask":
        if bpy.data.masks.get(name) is None:
            raise _mask_gone(name)
        return name, 0
    strip = find_strip(scene, name)
    if strip is None or strip.type != "MASK" or strip.mask is None:
        raise jobs.JobError(
            "mask_gone",
            f"There is no mask strip {name} with a mask.",
            "Choose another one under Shot > Object.",
        )
    return strip.mask.name, round(compat.content_start(strip)) - strip.mask.frame_start


def _mask_gone(name: str) -> jobs.JobError:
    return jobs.JobError(
        "mask_gone",
        f"There is no mask {name} in this file.",
        "Choose another one under Shot > Object.",
    )


def image_pixels(name: str) -> NDArray[np.uint8]:
    """Pixels of an image in this file as stored: uint8 [H,W,4], straight alpha; raises JobError."""
    image = bpy.data.images.get(name)
    if image is None:
        raise jobs.JobError(
            "image_gone", f"There is no image {name} in this file.", "Open it for painting again."
        )
    width, height = image.size
    if not width or not height:
        raise jobs.JobError(
            "image_unreadable",
            f"Blender cannot read the image {name}.",
            "Choose another one, or open it for painting again.",
        )
    values = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(values)
    pixels = values.reshape(height, width, image.channels)[::-1]
    if image.channels == 4:
        rgba = pixels
    else:
        colours = pixels[..., :3] if image.channels == 3 else pixels[..., :1].repeat(3, -1)
        rgba = np.concatenate([colours, np.ones_like(pixels[..., :1])], -1)
    levels: NDArray[np.uint8] = np.rint(rgba.clip(0, 1) * 255).astype(np.uint8)
    return levels
