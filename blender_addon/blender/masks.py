"""Masks made in Blender: a Mask drawn with splines, a mask strip, an image that was painted on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..core import tga
from ..wire import jobs
from . import compat
from .exact import render_exactly
from .extract import MARK, find, render_frame

_NAME = ".text2live_mask"


class MaskDrawing:
    """A Mask of this file, drawn frame by frame in a scene of its own.

    mode ``mask``: the Mask called `name`; its frames are those of the timeline. ``strip``: the
    Mask of the mask strip called `name`, as that strip shows it. size: (W, H) of the clip. The
    Mask lies over the whole picture, as it was drawn over it. Always call drop_scene() at the end.
    """

    def __init__(self, scene: Any, mode: str, name: str, size: tuple[int, int]) -> None:
        self._size = size
        self._mask_name, self._shift = _mask_of(scene, mode, name)
        self._scene_name = ""

    def draw(self, frame: int, folder: Path) -> Path:
        """Have the mask on a frame of the timeline drawn; gives the file, for drawn() to read."""
        scene = self._scene()
        scene.frame_start = scene.frame_end = frame
        scene.render.filepath = str(folder / "mask_####")
        try:
            render_frame(scene)
        except RuntimeError as error:
            raise _not_drawn(self._mask_name, error) from error
        return Path(scene.render.frame_path(frame=frame))

    def drop_scene(self) -> None:
        """Remove the scene; the next frame makes a new one."""
        scene = bpy.data.scenes.get(self._scene_name) if self._scene_name else None
        self._scene_name = ""
        if scene is not None and MARK in scene:
            bpy.data.scenes.remove(scene)

    def _scene(self) -> Any:
        scene = bpy.data.scenes.get(self._scene_name) if self._scene_name else None
        if scene is not None:
            return scene
        mask = bpy.data.masks.get(self._mask_name)
        if mask is None:
            raise _gone(self._mask_name)
        scene = bpy.data.scenes.new(_NAME)
        scene[MARK] = True
        render_exactly(scene, self._size)
        strips = compat.strips(scene.sequence_editor_create())
        strip = strips.new_mask(
            name="mask", mask=mask, channel=1, frame_start=mask.frame_start + self._shift
        )
        # Whatever its own length: before and after, it is drawn as on its first and last frame.
        compat.set_span(strip, -100_000, 200_000)
        self._scene_name = scene.name
        return scene


def drawn(path: Path) -> NDArray[np.uint8]:
    """A mask that was drawn: uint8 [H,W,1] of 0 and 255; may be empty. Removes the file."""
    try:
        picture = tga.read(path)
    except (OSError, tga.TgaError) as error:
        raise _not_drawn(path.name, error) from error
    path.unlink()
    inside = (picture[..., :3].max(-1) > 127) & (picture[..., 3] > 127)
    return (inside * np.uint8(255)).astype(np.uint8)[..., None]


def _not_drawn(name: str, error: Exception) -> jobs.JobError:
    return jobs.JobError(
        "mask_not_drawn",
        f"Blender did not draw the mask {name}: {error}.",
        "Make room on the disk of Blender's temporary folder, then try again.",
    )


def _mask_of(scene: Any, mode: str, name: str) -> tuple[str, int]:
    """Name of the Mask, and how many frames later than its own it is shown."""
    if mode == "mask":
        if bpy.data.masks.get(name) is None:
            raise _gone(name)
        return name, 0
    strip = find(scene, name)
    if strip is None or strip.type != "MASK" or strip.mask is None:
        raise jobs.JobError(
            "mask_gone",
            f"There is no mask strip {name} with a mask.",
            "Choose another under Shot > Object.",
        )
    return strip.mask.name, round(compat.content_start(strip)) - strip.mask.frame_start


def _gone(name: str) -> jobs.JobError:
    return jobs.JobError(
        "mask_gone", f"There is no mask {name} in this file.", "Choose another under Shot > Object."
    )


def pixels_of(name: str) -> NDArray[np.uint8]:
    """An image of this file as uint8 [H,W,4], straight alpha, as stored; raises JobError."""
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
            "Choose another, or open it for painting again.",
        )
    values = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(values)
    pixels = values.reshape(height, width, image.channels)[::-1]
    if image.channels == 4:
        rgba = pixels
    else:
        colours = pixels[..., :3] if image.channels == 3 else pixels[..., :1].repeat(3, -1)
        rgba = np.concatenate([colours, np.ones_like(pixels[..., :1])], -1)
    return np.rint(rgba.clip(0, 1) * 255).astype(np.uint8)
