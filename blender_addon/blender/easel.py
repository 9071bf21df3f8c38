"""Images to paint on, of a frame or an atlas: made by a thread, so that Blender stays free."""

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
from ..core.canvas import GROUND, canvas_of
from ..core.frames import FrameStore
from ..wire import jobs
from . import compat
from .extract import Reader
from .problems import problem_of

SHOT = "text2live_shot"
OPAQUE = 255  # the alpha of a copy that a mask is painted on
CANVAS = "text2live_canvas"  # the alpha that an image was opened with, to be painted on


@dataclass(frozen=True, kw_only=True)
class Opening:
    """An image that is being made.

    ready: image() will not have to wait. image: the image, packed into the .blend; raises JobError.
    drop: give it up.
    """

    ready: Callable[[], bool]
    image: Callable[[], Any]
    drop: Callable[[], None]


def open_frame(
    scene: Any, strip: Any, frame: int, longest: int, name: str, ground: int = GROUND
) -> Opening:
    """A copy of a frame of the timeline as the strip shows it, to be painted on; raises JobError.

    longest: long side frames are reduced to, as for every job; 0: never. ground: its alpha. Renders
    the frame, which is Blender's own work.
    """
    start, end = compat.span(strip)
    if not start <= frame < end:
        raise jobs.JobError(
            "frame_outside",
            f"Frame {frame} is outside of {strip.name}, which shows frames {start} to {end - 1}.",
            "Go to a frame of the strip first.",
        )
    reader = Reader(scene, strip, FrameStore(_fresh_path()), longest)
    try:
        made = reader.picture(frame, lambda picture: _written(canvas_of(picture, ground)))
    except jobs.JobError:
        reader.close()
        raise
    marks = {CANVAS: ground} if ground < OPAQUE else {}
    return _opening(f"{strip.name} {name} {frame}", made, marks, reader.close)


def open_atlas(path: Path, name: str, fingerprint: str) -> Opening:
    """A layer's atlas, to be painted on; one that was opened before comes back as it was left.

    fingerprint: of the analysis the atlas belongs to.
    """
    known = bpy.data.images.get(name[:60])
    if known is not None and known.get(SHOT) == fingerprint:
        return Opening(ready=lambda: True, image=lambda: known, drop=lambda: None)
    worker = ThreadPoolExecutor(1, thread_name_prefix="text2live-atlas")

    def make() -> Path:
        try:
            return _written(canvas_of(png.read(path)))
        except (OSError, png.PngError) as error:
            raise jobs.JobError(
                "atlas_unreadable",
                f"The atlas cannot be read: {error}.",
                "Press Analyse Shot again: the backend still has it.",
            ) from error

    marks = {CANVAS: GROUND, SHOT: fingerprint}
    return _opening(name, worker.submit(make), marks, lambda: worker.shutdown(wait=False))


def _opening(
    name: str, made: Future[Path], marks: dict[str, Any], close: Callable[[], None]
) -> Opening:
    """Of a picture that a thread makes."""

    def image() -> Any:
        try:
            path = made.result()
        finally:
            close()
        opened = load(name, path)
        for key, value in marks.items():
            opened[key] = value
        return opened

    def drop() -> None:
        made.add_done_callback(_remove)
        close()

    return Opening(ready=made.done, image=image, drop=drop)


def load(name: str, path: Path) -> Any:
    """An 8-bit image with straight alpha, packed into the .blend, from a PNG, which goes.

    Next to nothing until it is drawn; setting a million pixels would take most of a second.
    """
    image = bpy.data.images.load(str(path))
    image.name = name[:60]
    image.pack()
    image.filepath_raw = ""
    path.unlink()
    return image


class Easel:
    """The images that are being opened, and what is to be done with each."""

    def __init__(self) -> None:
        self._under_way: list[tuple[Opening, Callable[[Any], None]]] = []

    @property
    def busy(self) -> bool:
        """An image is being made."""
        return bool(self._under_way)

    @property
    def ready(self) -> bool:
        """An image is there."""
        return any(opening.ready() for opening, _then in self._under_way)

    def put(self, opening: Opening, then: Callable[[Any], None]) -> None:
        """Have something done with an image once it is there."""
        self._under_way.append((opening, then))

    def settle(self) -> jobs.Problem | None:
        """Do it with those that are there; what went wrong with the last that did not go well."""
        problem = None
        for entry in [one for one in self._under_way if one[0].ready()]:
            self._under_way.remove(entry)
            try:
                entry[1](entry[0].image())
            except Exception as error:
                problem = problem_of(error)
        return problem

    def clear(self) -> None:
        """Give all of them up."""
        for opening, _then in self._under_way:
            opening.drop()
        self._under_way.clear()


def _fresh_path() -> Path:
    return Path(bpy.app.tempdir) / f"text2live-{uuid.uuid4().hex}"


def _written(picture_HW4: NDArray[np.uint8]) -> Path:
    path = _fresh_path().with_suffix(".png")
    png.write(path, picture_HW4, level=1)
    return path


def _remove(made: Future[Path]) -> None:
    if not made.cancelled() and made.exception() is None:
        made.result().unlink(missing_ok=True)
