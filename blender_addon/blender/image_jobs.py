"""Images to paint on, made from a frame or an atlas on a worker thread so that Blender stays free.

An image job makes one image. ImageJobs holds those under way and runs a callback for each.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..core import png
from ..core.canvas import GROUND, make_canvas
from ..core.frames import FrameStore
from ..wire import jobs
from . import undo
from .extract import FrameReader
from .problems import problem_of
from .sources import check_covers

ANALYSIS = "text2live_shot"  # custom property: fingerprint of the analysis an atlas belongs to
CANVAS = "text2live_canvas"  # custom property: the alpha an image had when it was opened
OPAQUE = 255  # the alpha of a copy to paint a mask on


@dataclass(frozen=True, kw_only=True)
class ImageJob:
    """An image being made.

    ready: whether image() returns without waiting. image: the image, packed into the .blend;
    raises JobError. cancel: drop it.
    """

    ready: Callable[[], bool]
    image: Callable[[], Any]
    cancel: Callable[[], None]


def open_frame(
    scene: Any, strip: Any, frame: int, longest: int, name: str, ground: int = GROUND
) -> ImageJob:
    """Copy one timeline frame of a strip to an image to paint on; raises JobError.

    longest: long side the frame is reduced to, as for every job; 0: never. ground: the image's
    alpha. Blender renders the frame before this returns.
    """
    check_covers(strip, frame)
    reader = FrameReader(scene, strip, FrameStore(_temporary_path()), longest)
    try:
        written = reader.read_one(frame, lambda image: _write_png(make_canvas(image, ground)))
    except jobs.JobError:
        reader.close()
        raise
    properties = {CANVAS: ground} if ground < OPAQUE else {}
    return _image_job(f"{strip.name} {name} {frame}", written, properties, reader.close)


def open_atlas(path: Path, name: str, fingerprint: str) -> ImageJob:
    """Open a layer's atlas to paint on; one that is open already is returned as it is.

    fingerprint: of the analysis the atlas belongs to.
    """
    known = bpy.data.images.get(name[:60])
    if known is not None and known.get(ANALYSIS) == fingerprint:
        return ImageJob(ready=lambda: True, image=lambda: known, cancel=lambda: None)
    worker = ThreadPoolExecutor(1, thread_name_prefix="text2live-atlas")

    def make() -> Path:
        try:
            return _write_png(make_canvas(png.read(path)))
        except (OSError, png.PngError) as error:
            raise jobs.JobError(
                "atlas_unreadable",
                f"The atlas cannot be read: {error}.",
                "Press Analyse Shot again: the backend still has it.",
            ) from error

    properties = {CANVAS: GROUND, ANALYSIS: fingerprint}
    return _image_job(name, worker.submit(make), properties, lambda: worker.shutdown(wait=False))


def _image_job(
    name: str, written: Future[Path], properties: dict[str, Any], close: Callable[[], None]
) -> ImageJob:
    """Wrap an image being written on a worker thread. close: releases the worker."""

    def image() -> Any:
        try:
            path = written.result()
        finally:
            close()
        opened = load_packed(name, path)
        for key, value in properties.items():
            opened[key] = value
        return opened

    def cancel() -> None:
        written.add_done_callback(_remove)
        close()

    return ImageJob(ready=written.done, image=image, cancel=cancel)


def load_packed(name: str, path: Path) -> Any:
    """Load a PNG as an image packed into the .blend, with straight alpha, and remove the file.

    Loading a file takes next to no time; setting a million pixels takes most of a second.
    """
    image = bpy.data.images.load(str(path))
    image.name = name[:60]
    image.pack()
    image.filepath_raw = ""
    path.unlink()
    return image


class ImageJobs:
    """The image jobs under way, each with a callback for its image."""

    def __init__(self) -> None:
        self._under_way: list[tuple[ImageJob, Callable[[Any], None]]] = []

    @property
    def busy(self) -> bool:
        """An image is being made."""
        return bool(self._under_way)

    @property
    def ready(self) -> bool:
        """An image is finished."""
        return any(job.ready() for job, _callback in self._under_way)

    def add(self, job: ImageJob, callback: Callable[[Any], None]) -> None:
        """Call back with the image once it is finished."""
        self._under_way.append((job, callback))

    def finish_ready(self) -> jobs.Problem | None:
        """Run the callback of every finished image; returns the last failure, if any."""
        problem = None
        for entry in [one for one in self._under_way if one[0].ready()]:
            self._under_way.remove(entry)
            job, callback = entry
            try:
                callback(job.image())
                undo.step("Text2LIVE Image")
            except Exception as error:
                problem = problem_of(error)
        return problem

    def cancel_all(self) -> None:
        """Drop every image being made."""
        for job, _callback in self._under_way:
            job.cancel()
        self._under_way.clear()


def _temporary_path() -> Path:
    return Path(bpy.app.tempdir) / f"text2live-{uuid.uuid4().hex}"


def _write_png(image_HW4: NDArray[np.uint8]) -> Path:
    path = _temporary_path().with_suffix(".png")
    png.write(path, image_HW4, level=1)
    return path


def _remove(written: Future[Path]) -> None:
    if not written.cancelled() and written.exception() is None:
        written.result().unlink(missing_ok=True)
