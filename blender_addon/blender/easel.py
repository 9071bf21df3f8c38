"""Images to paint on: a copy of a frame, or an atlas; and the Image Editor that shows them."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..core import png
from ..core.frames import FrameStore
from ..wire import jobs
from . import compat, runtime
from .extract import Reader

SHOT = "text2live_shot"


def frame_image(scene: Any, strip: Any, frame: int, longest: int, name: str) -> Any:
    """A copy of a frame of the timeline as the strip shows it, to be painted on; raises JobError.

    longest: long side frames are reduced to, as for every job; 0: never.
    """
    start, end = compat.span(strip)
    if not start <= frame < end:
        raise jobs.JobError(
            "frame_outside",
            f"Frame {frame} is outside of {strip.name}, which shows frames {start} to {end - 1}.",
            "Go to a frame of the strip first.",
        )
    store = FrameStore(Path(bpy.app.tempdir) / f"text2live-{uuid.uuid4().hex}")
    reader = Reader(scene, strip, store, longest)
    try:
        picture = reader.picture(frame)
    finally:
        reader.close()
    opaque = np.full((*picture.shape[:2], 1), 255, np.uint8)
    return new_image(f"{strip.name} {name} {frame}", np.concatenate([picture, opaque], -1))


def atlas_image(path: Path, name: str, fingerprint: str) -> Any:
    """A layer's atlas, to be painted on; one that was opened before comes back as it was left.

    fingerprint: of the analysis the atlas belongs to. Raises JobError when it cannot be read.
    """
    known = bpy.data.images.get(name)
    if known is not None and known.get(SHOT) == fingerprint:
        return known
    try:
        picture = png.read(path)
    except (OSError, png.PngError) as error:
        raise jobs.JobError(
            "atlas_unreadable",
            f"The atlas cannot be read: {error}.",
            "Press Analyse Shot again: the backend still has it.",
        ) from error
    image = new_image(name, picture)
    image[SHOT] = fingerprint
    return image


def new_image(name: str, picture_HW4: NDArray[np.uint8]) -> Any:
    """An 8-bit image with straight alpha, packed into the .blend, from uint8 [H,W,4]."""
    height, width = picture_HW4.shape[:2]
    image = bpy.data.images.new(name[:60], width, height, alpha=True, float_buffer=False)
    image.colorspace_settings.name = "sRGB"
    image.alpha_mode = "STRAIGHT"
    values = picture_HW4[::-1].astype(np.float32) / 255
    image.pixels.foreach_set(np.ascontiguousarray(values).ravel())
    image.update()
    image.pack()
    return image


def show(image: Any, *, paint: bool) -> bool:
    """Show an image in an Image Editor, in a new window if there is none; False without windows."""
    if bpy.app.background:
        return False
    if _image_editor() is None:
        bpy.ops.wm.window_new()
        window = bpy.context.window_manager.windows[-1]
        widest = max(window.screen.areas, key=lambda one: one.width * one.height)
        widest.type = "IMAGE_EDITOR"
    area = _image_editor()[1]
    space = area.spaces.active
    space.image = image
    space.mode = "PAINT" if paint else "VIEW"
    space.show_region_tool_header = space.show_region_ui = paint  # brush and colour
    area.tag_redraw()
    bpy.app.timers.register(_fit, first_interval=0.2)  # not before the editor has its size
    return True


def _fit() -> None:
    found = _image_editor()
    if found is None:
        return
    window, area = found
    region = next(region for region in area.regions if region.type == "WINDOW")
    override = bpy.context.temp_override(window=window, area=area, region=region)
    with runtime.current().session.standing_still(), override:
        bpy.ops.image.view_all(fit_view=True)


def _image_editor() -> tuple[Any, Any] | None:
    """An Image Editor and its window, or None."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "IMAGE_EDITOR":
                return window, area
    return None
