"""Reading a strip's frames: the strip alone, in a throw-away copy of the scene, one a tick.

Rendering the copy gives the strip's pixels exactly (trim, reverse, retiming and resampled frame
rates included) and leaves the artist's scene alone. The copy's view transform is Standard: the
default ones (AgX, Filmic) change every colour.
"""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import bpy
import numpy as np
from numpy.typing import NDArray

from ..core import tga
from ..core.frames import FrameStore, flatten, with_edges
from ..core.planning import percentage
from ..wire import jobs
from . import compat
from .exact import render_exactly

IN_WORK = 3  # frames that are rendered and not yet kept
COPY_NAME = ".text2live_frames"
MARK = "text2live_temporary"
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A frame in the store. visible: something of it is not transparent."""

    frame: int
    ref: jobs.ObjectRef
    visible: bool


class Reader:
    """Frames of one strip, one for each call of read(), in order.

    Rendering is Blender's; what is rendered is read, hashed and packed by a thread meanwhile.
    The copy of the scene is made when needed and can be dropped between any two frames: before
    the file is saved, undone or closed. Always call close() at the end.
    """

    def __init__(self, scene: Any, strip: Any, frames: FrameStore, longest: int = 0) -> None:
        check_source(strip)
        self.width, self.height = source_size(strip)
        self.start, self.end = compat.span(strip)
        self.refs: list[jobs.ObjectRef] = []
        self._scene_name = scene.name
        self._strip_name = strip.name
        self._percentage = percentage((self.width, self.height), longest)
        self._mends = self._percentage < 100 and compat.loses_edges()
        self._store = frames
        self._folder = tempfile.TemporaryDirectory(prefix="text2live-", dir=bpy.app.tempdir)
        self._copy_name = ""
        self._seen_anything = False
        self._rendered = 0
        self._closed = False
        self._keeping: deque[Future[Kept]] = deque()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="text2live-frames")

    @property
    def total(self) -> int:
        """Frames of the strip."""
        return self.end - self.start

    @property
    def done(self) -> bool:
        """All frames are read."""
        return len(self.refs) == self.total

    @property
    def folder(self) -> Path:
        """For files that this thread and the reader's share; gone once the reader is closed."""
        return Path(self._folder.name)

    @property
    def sent_size(self) -> tuple[int, int]:
        """Width and height the frames will have."""
        scale = self._percentage
        return max(1, self.width * scale // 100), max(1, self.height * scale // 100)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height the frames have once read."""
        height, width = self.refs[0].shape[:2]
        return width, height

    @property
    def waiting(self) -> bool:
        """Nothing can be rendered until a frame that was rendered before is kept."""
        left = self._rendered < self.total
        return bool(self._keeping) and (len(self._keeping) >= IN_WORK or not left)

    def read(self, wait: bool = False) -> None:
        """Render the next frame and have it kept by a thread; raises JobError if it is wrong.

        wait: until it is kept, so that no thread is at work when this returns.
        """
        if not self.waiting and self._rendered < self.total:
            frame = self.start + self._rendered
            path = self._render(self._copy(), frame)
            self._rendered += 1
            self._keeping.append(self._worker.submit(_keep, path, frame, self._store, self._mends))
        while self._keeping and (wait or self._keeping[0].done()):
            self._take(self._keeping.popleft().result())

    def _take(self, kept: Kept) -> None:
        if self.refs and kept.ref.shape[:2] != self.refs[0].shape[:2]:
            raise jobs.JobError(
                "frame_size_changed",
                f"Frame {kept.frame} came out at another size than the first frame.",
                "Start the edit again, and leave the resolution alone while frames are read.",
            )
        self._seen_anything = self._seen_anything or kept.visible
        self.refs.append(kept.ref)
        if self.done and not self._seen_anything:
            raise jobs.JobError(
                "empty_frames",
                "Every frame of the strip came out empty.",
                "Check that the strip shows its picture in the preview, then try again.",
            )

    def work(self, task: Callable[[], T]) -> Future[T]:
        """Have the thread that keeps the frames do something else, when they are kept."""
        return self._worker.submit(task)

    def picture(self, frame: int, keep: Callable[[NDArray[np.uint8]], T]) -> Future[T]:
        """One frame of the timeline by itself, rendered now: what the thread makes of it.

        keep: gets it, uint8 [H,W,3]. Raises JobError, or the Future does.
        """
        path, mends = self._render(self._copy(), frame), self._mends
        self.drop_copy()
        return self.work(lambda: keep(flatten(_load(path, frame, mends))))

    def drop_copy(self) -> None:
        """Remove the copy of the scene; the next frame makes a new one."""
        copy = bpy.data.scenes.get(self._copy_name) if self._copy_name else None
        self._copy_name = ""
        if copy is not None and MARK in copy:
            bpy.data.scenes.remove(copy)

    def close(self, then: Callable[[], None] = lambda: None) -> None:
        """Remove everything temporary, and do `then`, once the thread has let go of it."""
        self.drop_copy()
        if self._closed:
            then()
            return
        self._closed = True
        while self._keeping:
            self._keeping.pop().cancel()
        self._worker.submit(self._folder.cleanup)
        self._worker.submit(then)
        self._worker.shutdown(wait=False)

    def _copy(self) -> Any:
        copy = bpy.data.scenes.get(self._copy_name) if self._copy_name else None
        if copy is None:
            scene = bpy.data.scenes.get(self._scene_name)
            if scene is None or find(scene, self._strip_name) is None:
                raise jobs.JobError(
                    "strip_gone",
                    f"The strip {self._strip_name} was removed while its frames were read.",
                    "Undo, or choose another strip, and start the edit again.",
                )
            copy = isolated_copy(scene, self._strip_name, (self.width, self.height))
            copy.render.resolution_percentage = self._percentage
            self._copy_name = copy.name
        return copy

    def _render(self, copy: Any, frame: int) -> Path:
        copy.frame_start = copy.frame_end = frame
        copy.render.filepath = os.path.join(self._folder.name, "####")
        # Never write_still: on a scene that is not the active one it renders empty frames.
        path = Path(copy.render.frame_path(frame=frame))
        try:
            render_frame(copy)
        except RuntimeError as error:
            raise _not_rendered(frame, error) from error
        return path


def _keep(path: Path, frame: int, store: FrameStore, mend: bool) -> Kept:
    """Read a rendered frame, keep it in the store and remove its file; in the reader's thread."""
    image = _load(path, frame, mend)
    return Kept(frame=frame, ref=store.add(flatten(image)), visible=bool(image[..., 3].any()))


def _load(path: Path, frame: int, mend: bool) -> NDArray[np.uint8]:
    try:
        image = tga.read(path)
        return with_edges(image) if mend else image
    except (OSError, tga.TgaError) as error:
        raise _not_rendered(frame, error) from error
    finally:
        path.unlink(missing_ok=True)


def _not_rendered(frame: int, error: Exception) -> jobs.JobError:
    return jobs.JobError(
        "frame_not_rendered",
        f"Blender did not render frame {frame} of the strip: {error}.",
        "Make room on the disk of Blender's temporary folder, then try again.",
    )


def render_frame(copy: Any) -> None:
    """Blender's own part of reading a frame or a mask: render a scene's one frame to disk."""
    bpy.ops.render.render(animation=True, scene=copy.name)


def remove_leftovers() -> None:
    """Remove copies that came back with an undo step or out of a file."""
    for scene in [s for s in bpy.data.scenes if MARK in s]:
        if len(bpy.data.scenes) > 1:
            bpy.data.scenes.remove(scene)


def find(scene: Any, name: str) -> Any:
    """A strip by name, wherever it lies, or None."""
    editor = scene.sequence_editor
    return compat.all_strips(editor).get(name) if editor else None


def isolated_copy(scene: Any, name: str, size: tuple[int, int]) -> Any:
    """A copy of the scene that shows one strip alone, unmoved, `size` (W, H) large, exact."""
    copy = scene.copy()
    copy.name = COPY_NAME
    copy[MARK] = True
    # The copy shares the artist's keyframes: they would move the strip again.
    copy.animation_data_clear()
    wanted = find(copy, name)
    path = [meta.name for meta in compat.parents(wanted)] + [name]
    first, last = compat.span(wanted)
    owner = copy.sequence_editor
    for step in path:
        _keep_only(compat.strips(owner), step)
        owner = compat.strips(owner)[step]
        _show_plainly(owner)
        if step != name:
            start, end = compat.span(owner)
            compat.set_span(owner, min(start, first), max(end, last))
    render_exactly(copy, size)
    return copy


def _keep_only(collection: Any, name: str) -> None:
    # By name: removing a strip takes the effects that use it along.
    for other in [strip.name for strip in collection if strip.name != name]:
        strip = collection.get(other)
        if strip is not None:
            collection.remove(strip)


def _show_plainly(strip: Any) -> None:
    strip.mute = False
    strip.blend_type = "REPLACE"
    strip.blend_alpha = strip.color_saturation = strip.color_multiply = 1.0
    move = strip.transform
    move.offset_x = move.offset_y = move.rotation = 0
    move.scale_x = move.scale_y = 1
    strip.crop.min_x = strip.crop.max_x = strip.crop.min_y = strip.crop.max_y = 0
    strip.use_flip_x = strip.use_flip_y = False
    for modifier in strip.modifiers:
        modifier.mute = True


def check_source(strip: Any) -> None:
    """Refuse what cannot be edited; raises JobError in words."""
    if strip is None:
        raise jobs.JobError(
            "no_active_strip",
            "No strip is active.",
            "Click a movie or image strip in the Sequencer.",
        )
    if strip.type not in compat.SOURCE_TYPES:
        raise jobs.JobError(
            "wrong_strip_type",
            f"{strip.name} is a {strip.type.lower().replace('_', ' ')} strip.",
            "Choose a movie or image strip.",
        )
    missing = next((path for path in source_files(strip) if not path.exists()), None)
    if missing is not None:
        raise jobs.JobError(
            "media_missing",
            f"The file of {strip.name} is missing: {missing}.",
            "Use File > External Data > Find Missing Files, or put the file back.",
        )


def source_files(strip: Any) -> list[Path]:
    """The files a movie or image strip shows."""
    if strip.type == "MOVIE":
        return [Path(bpy.path.abspath(strip.filepath))]
    folder = Path(bpy.path.abspath(strip.directory))
    return [folder / element.filename for element in strip.elements]


def source_size(strip: Any) -> tuple[int, int]:
    """Width and height of the strip's own picture in pixels; raises JobError when unreadable."""
    element = strip.elements[0] if strip.elements else None
    if element is not None and element.orig_width > 0 and element.orig_height > 0:
        return int(element.orig_width), int(element.orig_height)
    path = source_files(strip)[0]
    picture = bpy.data.images.load(str(path))
    try:
        width, height = picture.size
    finally:
        bpy.data.images.remove(picture)
    if not width or not height:
        raise jobs.JobError(
            "media_unreadable",
            f"Blender cannot read {path}.",
            "Check that the file plays in the preview.",
        )
    return int(width), int(height)


def read_picture(path: Path) -> NDArray[np.float32]:
    """A picture file of any format Blender reads: float32 [H,W,4] in 0..1, as stored."""
    if not path.is_file():
        raise jobs.JobError(
            "mask_missing", f"The mask {path} does not exist.", "Choose the mask's file again."
        )
    picture = bpy.data.images.load(str(path))
    try:
        picture.colorspace_settings.name = "Non-Color"
        picture.alpha_mode = "CHANNEL_PACKED"
        width, height = picture.size
        if not width or not height:
            raise jobs.JobError(
                "mask_unreadable",
                f"Blender cannot read the mask {path}.",
                "Save it as a PNG, white on black.",
            )
        pixels = np.empty(width * height * 4, np.float32)
        picture.pixels.foreach_get(pixels)
    finally:
        bpy.data.images.remove(picture)
    return pixels.reshape(height, width, 4)[::-1]
