"""From a strip and the panel's settings to a job that is ready to send, in small steps."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import bpy
import numpy as np
from numpy.typing import NDArray

from ..core import png
from ..core.canvas import extract_mask, extract_paint
from ..core.frames import FrameStore, mask_from_image
from ..core.mask_keys import draw_strokes
from ..core.masking import MaskSource, mask_sources, masks_for
from ..core.request import check, check_before_reading, job_spec
from ..core.settings import Settings
from ..wire import jobs
from . import analyses, compat
from .extract import FrameReader, read_image
from .image_jobs import CANVAS
from .mask_keys import content_frame
from .masks import MaskRenderer, image_pixels, read_mask
from .sources import check_source

T = TypeVar("T")
Steps = Generator[jobs.JobSpec | None, None, T]


class Reading:
    """Reads frames, then masks, then builds the job. Call step() until it returns the job.

    The frames sent with the job are in `frames`. image: name of the painted image, for a job of
    kind paint. Raises JobError if the settings do not fit the strip.
    """

    def __init__(self, scene: Any, strip: Any, settings: Settings, image: str = "") -> None:
        check_source(strip)
        check(settings)
        self._fps = scene.render.fps / scene.render.fps_base
        self.frames = FrameStore(Path(bpy.app.tempdir) / f"text2live-{uuid.uuid4().hex}")
        self.reader = FrameReader(scene, strip, self.frames, settings.longest)
        self._settings = settings
        self._keys: list[jobs.KeyMask] = []
        self._strokes: list[jobs.StrokeKey] = []
        self._first = content_frame(strip, compat.span(strip)[0])
        self._renderer: MaskRenderer | None = None
        self._image = image
        start, size = self.reader.start, self.reader.sent_size
        try:
            total = self.reader.total
            self._masks = mask_sources(settings, start, total, self._first)
            check_before_reading(settings, size, total, self._masks, self._fps, start, self._first)
            # Copied now: the artist may keep painting while frames are read.
            self._painted = image_pixels(image) if image else None
            self._ground = int(bpy.data.images[image].get(CANVAS, 0)) if image else 0
            self._atlas = self._painted_atlas(strip) if self._ground else None
            names = {one.key.name for one in self._masks if one.key and one.key.kind == "image"}
            self._mask_images = {name: image_pixels(name) for name in names}
            if settings.mask_mode in ("mask", "strip"):
                self._renderer = MaskRenderer(scene, settings.mask_mode, settings.mask_name, size)
        except jobs.JobError:
            self.abandon()
            raise
        self._wait = False
        self._task: Future[Any] | None = None
        self._steps = self._work()

    @property
    def done(self) -> int:
        """Number of frames and masks read so far."""
        return len(self.reader.refs) + len(self._keys) + len(self._strokes)

    @property
    def total(self) -> int:
        """Number of frames and masks to read."""
        return self.reader.total + len(self._masks)

    @property
    def waiting(self) -> bool:
        """The main thread has nothing to do until the worker has caught up."""
        if self._task is not None and not self._task.done():
            return True
        return not self.reader.done and self.reader.waiting

    def step(self, wait: bool = False) -> jobs.JobSpec | None:
        """Read one more frame or mask; returns the job once all are read. Raises JobError.

        wait: for the worker, so that no thread is running when this returns.
        """
        self._wait = wait
        return next(self._steps)

    def _work(self) -> Steps[None]:
        while not self.reader.done:
            self.reader.read_next(self._wait)
            if not self.reader.done:
                yield None
        for source in self._masks:
            yield None
            mask = yield from self._mask(source)
            ref = self.frames.add(mask)
            if source.key is not None and source.key.kind == "strokes":
                self._strokes.append(jobs.StrokeKey(frame=source.frame, mask=ref))
            else:
                self._keys.append(jobs.KeyMask(frame=source.frame, mask=ref))
        image = None
        if self._painted is not None:
            image = yield from self._on_worker(self._store_paint)
        yield self._job(image)

    def _mask(self, source: MaskSource) -> Steps[NDArray[np.uint8]]:
        key, path = source.key, source.path
        if key is not None and key.kind == "strokes":
            strokes, scale, size = key.strokes, self._scale, self.reader.size
            return (yield from self._on_worker(lambda: draw_strokes(strokes, size, scale)))
        if key is not None and key.kind == "image":
            painted, name = self._mask_images[key.name], key.name
            below = self._frame(source.frame)
            return (yield from self._on_worker(lambda: extract_mask(painted, below, name)))
        path = Path(key.path) if key is not None else path
        if path is not None:
            image, size, name = read_image(path), self.reader.size, path.name
            return (yield from self._on_worker(lambda: mask_from_image(image, size, name)))
        assert self._renderer is not None
        file = self._renderer.render(self.reader.start + source.frame, self.reader.folder)
        return (yield from self._on_worker(lambda: read_mask(file)))

    def _store_paint(self) -> jobs.ObjectRef:
        """Put the paint alone into the store; runs on the worker."""
        assert self._painted is not None
        frame = self._settings.paint_frame
        if frame is not None:
            below = self._frame(frame - self.reader.start)
        elif self._atlas is not None:
            below = png.read(self._atlas)[..., :3]
        else:
            return self.frames.add(self._painted)
        return self.frames.add(extract_paint(self._painted, below, self._image, self._ground))

    def _painted_atlas(self, strip: Any) -> Path | None:
        """The file of the atlas that was painted on; None for a frame."""
        if self._settings.paint_frame is not None:
            return None
        found = analyses.find(strip, self._settings)
        return found.pictures.get(f"{self._settings.layer}_atlas") if found else None

    def _on_worker(self, task: Callable[[], T]) -> Steps[T]:
        """Run a task on the reader's worker, since large images take long; returns its result."""
        self._task = self.reader.run(task)
        while not self._wait and not self._task.done():
            yield None
        done: T = self._task.result()
        return done

    def _frame(self, index: int) -> NDArray[np.uint8]:
        return self.frames(self.reader.refs[index].digest)

    def _job(self, image: jobs.ObjectRef | None) -> jobs.JobSpec:
        settings, start = self._settings, self.reader.start
        keys, strokes, total = self._keys, self._strokes, self.reader.total
        masks = masks_for(settings, keys, strokes, self._first, total, self._scale)
        self.drop_copy()
        self.reader.close()
        return job_spec(settings, tuple(self.reader.refs), masks, self._fps, start, image)

    @property
    def _scale(self) -> tuple[float, float]:
        width, height = self.reader.size
        return width / self.reader.width, height / self.reader.height

    def drop_copy(self) -> None:
        """Remove the temporary scenes; they are made again when needed."""
        self.reader.drop_copy()
        if self._renderer is not None:
            self._renderer.drop_scene()

    def abandon(self) -> None:
        """Stop, and remove the temporary scenes and the frames."""
        self.drop_copy()
        self.reader.close(self.frames.close)
