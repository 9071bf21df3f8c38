"""Reading a strip's frames: Blender renders the strip alone, in a temporary copy of the scene.

The rendered copy shows the strip's pixels exactly, with trim, reverse, retiming and resampled
frame rates, and the artist's scene stays untouched.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import bpy
import numpy as np
from numpy.typing import NDArray

from ..core.frames import FrameStore, TgaError, fill_edges, flatten, read_targa
from ..core.planning import render_percentage
from ..wire import jobs
from . import compat
from .isolate import LATER, TEMPORARY, isolated_copy, render_frame
from .sources import StripId, check_source, source_size

MAX_PENDING = 3  # frames rendered but not yet in the store
NEARLY_OPAQUE = 250  # alpha; scaling down may leave rounding errors above it
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class StoredFrame:
    """A frame in the store. visible: it is not fully transparent; opaque: it is everywhere."""

    frame: int
    ref: jobs.ObjectRef
    visible: bool
    opaque: bool


class FrameReader:
    """Reads the frames of one strip in order, one per call of read_next().

    Blender renders on the main thread; a worker thread reads, hashes and packs what was rendered.
    The copy of the scene is made when needed and can be dropped between any two frames: before
    the file is saved, undone or closed. Always call close() at the end. transparent: a frame that
    was read is transparent in places.
    """

    def __init__(self, scene: Any, strip: Any, frames: FrameStore, longest: int = 0) -> None:
        check_source(strip)
        self.width, self.height = source_size(strip)
        self.start, self.end = compat.span(strip)
        self.refs: list[jobs.ObjectRef] = []
        self._scene_name = scene.name
        self._strip = StripId.of(strip)
        self._percentage = render_percentage((self.width, self.height), longest)
        self._fill_edges = self._percentage < 100 and compat.loses_edges()
        self._store = frames
        self._folder = tempfile.TemporaryDirectory(prefix="text2live-", dir=bpy.app.tempdir)
        self._copy_name = ""
        self._any_visible = False
        self.transparent = False
        self._rendered = 0
        self._closed = False
        self._pending: deque[Future[StoredFrame]] = deque()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="text2live-frames")

    @property
    def total(self) -> int:
        """Number of frames of the strip."""
        return self.end - self.start

    @property
    def done(self) -> bool:
        """All frames are read."""
        return len(self.refs) == self.total

    @property
    def folder(self) -> Path:
        """Folder shared by the main thread and the worker; removed by close()."""
        return Path(self._folder.name)

    @property
    def sent_size(self) -> tuple[int, int]:
        """Width and height the frames will have."""
        scale = self._percentage
        return max(1, self.width * scale // 100), max(1, self.height * scale // 100)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frames that were read."""
        height, width = self.refs[0].shape[:2]
        return width, height

    @property
    def waiting(self) -> bool:
        """The main thread has nothing to do until the worker has stored a frame."""
        left = self._rendered < self.total
        return bool(self._pending) and (len(self._pending) >= MAX_PENDING or not left)

    def read_next(self, wait: bool = False) -> None:
        """Render the next frame and pass it to the worker; raises JobError if a frame is wrong.

        wait: until the frame is stored, so that no thread is running when this returns.
        """
        if not self.waiting and self._rendered < self.total:
            frame = self.start + self._rendered
            path = self._render(self._copy(), frame)
            self._rendered += 1
            task = self._worker.submit(_store_frame, path, frame, self._store, self._fill_edges)
            self._pending.append(task)
        while self._pending and (wait or self._pending[0].done()):
            self._append(self._pending.popleft().result())

    def use(self, refs: Sequence[jobs.ObjectRef], transparent: bool) -> None:
        """Use frames that are in the store already, instead of rendering them."""
        self.refs, self._rendered, self._any_visible = list(refs), self.total, True
        self.transparent = transparent

    def _append(self, stored: StoredFrame) -> None:
        if self.refs and stored.ref.shape[:2] != self.refs[0].shape[:2]:
            raise jobs.JobError(
                "frame_size_changed",
                f"Frame {stored.frame} has another size than the first frame.",
                "Start the edit again, and leave the resolution alone while frames are read.",
            )
        self._any_visible = self._any_visible or stored.visible
        self.transparent = self.transparent or not stored.opaque
        self.refs.append(stored.ref)
        if self.done and not self._any_visible:
            raise jobs.JobError(
                "empty_frames",
                "Every frame of the strip came out empty.",
                "Check that the preview shows the strip, then try again.",
            )

    def run(self, task: Callable[[], T]) -> Future[T]:
        """Run a task on the worker, after the frames that are pending."""
        return self._worker.submit(task)

    def read_one(self, frame: int, convert: Callable[[NDArray[np.uint8]], T]) -> Future[T]:
        """Render a single timeline frame now, and convert it on the worker.

        convert: takes the frame, uint8 [H,W,3]. Raises JobError, or the Future does.
        """
        path, edges = self._render(self._copy(), frame), self._fill_edges
        self.drop_copy()
        return self.run(lambda: convert(flatten(_load(path, frame, edges))))

    def drop_copy(self) -> None:
        """Remove the copy of the scene; the next frame makes a new one."""
        copy = bpy.data.scenes.get(self._copy_name) if self._copy_name else None
        self._copy_name = ""
        if copy is not None and TEMPORARY in copy:
            bpy.data.scenes.remove(copy)

    def close(self, then: Callable[[], None] = lambda: None) -> None:
        """Remove everything temporary, and call `then`, once the worker has finished with it."""
        self.drop_copy()
        if self._closed:
            then()
            return
        self._closed = True
        while self._pending:
            self._pending.pop().cancel()
        self._worker.submit(self._folder.cleanup)
        self._worker.submit(then)
        self._worker.shutdown(wait=False)

    def _copy(self) -> Any:
        copy = bpy.data.scenes.get(self._copy_name) if self._copy_name else None
        if copy is None:
            scene = bpy.data.scenes.get(self._scene_name)
            if scene is None or self._strip.find(scene) is None:
                raise jobs.JobError(
                    "strip_gone",
                    f"The strip {self._strip.name} was removed while its frames were read.",
                    "Undo, or choose another strip, and start the edit again.",
                )
            copy = isolated_copy(scene, self._strip, (self.width, self.height))
            copy.render.resolution_percentage = self._percentage
            self._copy_name = copy.name
        return copy

    def _render(self, copy: Any, frame: int) -> Path:
        later = frame + int(copy[LATER])
        copy.frame_start = copy.frame_end = later
        copy.render.filepath = os.path.join(self._folder.name, "####")
        # Never write_still: on a scene that is not active it renders empty frames.
        path = Path(copy.render.frame_path(frame=later))
        try:
            render_frame(copy)
        except RuntimeError as error:
            raise _not_rendered(frame, error) from error
        return path


def _store_frame(path: Path, frame: int, store: FrameStore, edges: bool) -> StoredFrame:
    """Put a rendered frame into the store and remove its file; runs on the worker."""
    image = _load(path, frame, edges)
    ref, alpha = store.add(flatten(image)), image[..., 3]
    return StoredFrame(
        frame=frame, ref=ref, visible=bool(alpha.any()), opaque=bool(alpha.min() > NEARLY_OPAQUE)
    )


def _load(path: Path, frame: int, edges: bool) -> NDArray[np.uint8]:
    try:
        image = read_targa(path)
        return fill_edges(image) if edges else image
    except (OSError, TgaError) as error:
        raise _not_rendered(frame, error) from error
    finally:
        path.unlink(missing_ok=True)


def _not_rendered(frame: int, error: Exception) -> jobs.JobError:
    return jobs.JobError(
        "frame_not_rendered",
        f"Blender did not render frame {frame} of the strip: {str(error).strip()}.",
        hint_not_rendered(error),
    )


def hint_not_rendered(error: Exception) -> str:
    """What to do when Blender did not render a frame or a mask."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "Free some space in Blender's temporary folder (Preferences > File Paths)."
    return "Check that the preview shows it, then try again. Blender's console may say more."


def read_image(path: Path) -> NDArray[np.float32]:
    """Read an image file in any format Blender knows: float32 [H,W,4] in 0..1, as stored."""
    if not path.is_file():
        raise jobs.JobError(
            "mask_missing", f"The mask {path} does not exist.", "Choose the mask's file again."
        )
    image = bpy.data.images.load(str(path))
    try:
        image.colorspace_settings.name = "Non-Color"
        image.alpha_mode = "CHANNEL_PACKED"
        width, height = image.size
        if not width or not height:
            raise jobs.JobError(
                "mask_unreadable",
                f"Blender cannot read the mask {path}.",
                "Save it as a PNG, white on black.",
            )
        pixels = np.empty(width * height * 4, np.float32)
        image.pixels.foreach_get(pixels)
    finally:
        bpy.data.images.remove(image)
    return pixels.reshape(height, width, 4)[::-1]
