"""From a strip and the panel's settings to a job ready to send, one small step a tick."""

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
from ..core.canvas import mask_over, paint_over
from ..core.frames import FrameStore, mask_of
from ..core.masking import masks_of, sources
from ..core.request import check, check_before_reading, job_spec
from ..core.settings import Settings
from ..wire import jobs
from . import shot
from .easel import CANVAS
from .extract import Reader, check_source, read_picture
from .masks import MaskDrawing, drawn, pixels_of

T = TypeVar("T")


class Reading:
    """Frames, then masks; then the job. Call step() until it gives the job, then keep `frames`.

    image: name of the image that was painted on, for a job of kind paint.
    """

    def __init__(self, scene: Any, strip: Any, settings: Settings, image: str = "") -> None:
        check_source(strip)
        check(settings)
        self._fps = scene.render.fps / scene.render.fps_base
        self.frames = FrameStore(Path(bpy.app.tempdir) / f"text2live-{uuid.uuid4().hex}")
        self.reader = Reader(scene, strip, self.frames, settings.longest)
        self._settings = settings
        self._keys: list[jobs.KeyMask] = []
        self._drawing: MaskDrawing | None = None
        self._image = image
        start, size = self.reader.start, self.reader.sent_size
        try:
            self._masks = sources(settings, start, self.reader.total)
            indices = [index for index, _path in self._masks]
            check_before_reading(settings, size, self.reader.total, indices, self._fps, start)
            # Taken now: the artist may paint on while frames are read.
            self._painted = pixels_of(image) if image else None
            self._ground = int(bpy.data.images[image].get(CANVAS, 0)) if image else 0
            self._atlas = self._atlas_below(strip) if self._ground else None
            if settings.mask_mode == "image":
                self._mask_image = pixels_of(settings.mask_name)
            elif settings.mask_mode in ("mask", "strip"):
                self._drawing = MaskDrawing(scene, settings.mask_mode, settings.mask_name, size)
        except jobs.JobError:
            self.abandon()
            raise
        self._wait = False
        self._task: Future[Any] | None = None
        self._steps = self._work()

    @property
    def done(self) -> int:
        """Pictures read so far."""
        return len(self.reader.refs) + len(self._keys)

    @property
    def total(self) -> int:
        """Pictures to read."""
        return self.reader.total + len(self._masks)

    @property
    def waiting(self) -> bool:
        """Nothing can be done here until the reader's thread has caught up."""
        if self._task is not None and not self._task.done():
            return True
        return not self.reader.done and self.reader.waiting

    def step(self, wait: bool = False) -> jobs.JobSpec | None:
        """Read one more picture; the job once all are read. Raises JobError.

        wait: leave no thread at work.
        """
        self._wait = wait
        return next(self._steps)

    def _work(self) -> Generator[jobs.JobSpec | None, None, None]:
        while not self.reader.done:
            self.reader.read(self._wait)
            if not self.reader.done:
                yield None
        for index, path in self._masks:
            yield None
            mask = yield from self._mask(index, path)
            self._keys.append(jobs.KeyMask(frame=index, mask=self.frames.add(mask)))
        image = None
        if self._painted is not None:
            image = yield from self._in_thread(self._paint)
        yield self._job(image)

    def _mask(
        self, index: int, path: Path | None
    ) -> Generator[jobs.JobSpec | None, None, NDArray[np.uint8]]:
        if path is not None:
            picture, size = read_picture(path), self.reader.size
            return (yield from self._in_thread(lambda: mask_of(picture, size, path.name)))
        if self._drawing is not None:
            file = self._drawing.draw(self.reader.start + index, self.reader.folder)
            return (yield from self._in_thread(lambda: drawn(file)))
        image, name = self._mask_image, self._settings.mask_name
        return (yield from self._in_thread(lambda: mask_over(image, self._frame(index), name)))

    def _paint(self) -> jobs.ObjectRef:
        """Keep the paint; in the reader's thread."""
        assert self._painted is not None
        frame = self._settings.paint_frame
        if frame is not None:
            below = self._frame(frame - self.reader.start)
        elif self._atlas is not None:
            below = png.read(self._atlas)[..., :3]
        else:
            return self.frames.add(self._painted)
        return self.frames.add(paint_over(self._painted, below, self._image, self._ground))

    def _atlas_below(self, strip: Any) -> Path | None:
        """The atlas that was painted on, if it was one."""
        if self._settings.paint_frame is not None:
            return None
        found = shot.analysis(strip, self._settings)
        return found.pictures.get(f"{self._settings.layer}_atlas") if found else None

    def _in_thread(self, task: Callable[[], T]) -> Generator[jobs.JobSpec | None, None, T]:
        """What a task gives, worked out beside Blender: large pictures take their time."""
        self._task = self.reader.work(task)
        while not self._wait and not self._task.done():
            yield None
        done: T = self._task.result()
        return done

    def _frame(self, index: int) -> NDArray[np.uint8]:
        return self.frames(self.reader.refs[index].digest)

    def _job(self, image: jobs.ObjectRef | None) -> jobs.JobSpec:
        settings, start = self._settings, self.reader.start
        width, height = self.reader.size
        scale = (width / self.reader.width, height / self.reader.height)
        masks = masks_of(settings, tuple(self._keys), start, scale)
        self.drop_copy()
        self.reader.close()
        return job_spec(settings, tuple(self.reader.refs), masks, self._fps, start, image)

    def drop_copy(self) -> None:
        """Leave no trace in the file for a moment (it is being saved)."""
        self.reader.drop_copy()
        if self._drawing is not None:
            self._drawing.drop_scene()

    def abandon(self) -> None:
        """Stop: remove the copy of the scene and the frames."""
        self.drop_copy()
        self.reader.close(self.frames.close)
