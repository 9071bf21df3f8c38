"""Write frames: PNG images and a short movie; whole files only."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from backend.media.compositing import Pixels
from protocol.jobs import JobError
from protocol.limits import MIB

BT709, LIMITED = 1, 1  # FFmpeg's numbers for the colour matrix, primaries, curve, and the range


def write_png(file: Path, image: Pixels) -> None:
    """Write [H,W], [H,W,3] or [H,W,4] uint8 as 8-bit PNG, straight alpha. Raises JobError."""
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(image.shape[-1] if image.ndim == 3 else 0)
    pixels = np.ascontiguousarray(image if order is None else image[..., order])
    ok, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 4])
    if not ok:
        raise ValueError(f"cannot encode {image.dtype} {image.shape} as PNG")
    part = file.with_name(file.name + ".part")
    with _writing(file, part):
        part.write_bytes(data.tobytes())


def write_text(file: Path, text: str) -> None:
    """Write a text file as UTF-8. Raises JobError ``cannot_write``."""
    part = file.with_name(file.name + ".part")
    with _writing(file, part):
        part.write_text(text, "utf-8")


def write_video(file: Path, frames: Iterable[Pixels], fps: float | Fraction) -> None:
    """Write [H,W,3] uint8 sRGB frames as H.264; an odd size repeats its last row or column."""
    part = file.with_name(f"{file.stem}.part{file.suffix}")  # the suffix chooses the container
    with _writing(file, part):
        try:
            _encode(part, frames, Fraction(fps).limit_denominator(1001))
        except av.error.FFmpegError as error:
            raise OSError(error.errno or errno.EIO, error.strerror) from error


def _encode(file: Path, frames: Iterable[Pixels], fps: Fraction) -> None:
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "16"})
        stream.pix_fmt = "yuv420p"
        for index, frame in enumerate(frames):
            h, w = frame.shape[:2]
            even = np.pad(frame, ((0, h % 2), (0, w % 2), (0, 0)), "edge")
            if index == 0:
                stream.height, stream.width = even.shape[:2]
                context = stream.codec_context
                context.color_range = LIMITED
                context.colorspace = context.color_primaries = context.color_trc = BT709
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            picture = picture.reformat(
                format="yuv420p", dst_colorspace=BT709, dst_color_range=LIMITED
            )
            picture.pts, picture.time_base = index, 1 / fps
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def prepare_folder(folder: Path, nbytes: int) -> None:
    """Make a folder, and check before the work that it is writable and has nbytes of space.

    Raises JobError ``cannot_write``.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
        if free < nbytes:
            need = f"{free / MIB:.1f} MiB are free, about {nbytes / MIB:.1f} MiB are needed"
            raise OSError(errno.ENOSPC, need)
    except OSError as error:
        raise _cannot_write(folder, error) from error


@contextmanager
def _writing(file: Path, part: Path) -> Iterator[None]:
    """Rename `part` to `file` once it is written, so that `file` is complete. Raises JobError."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        yield
        part.replace(file)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise _cannot_write(file, error) from error


def _cannot_write(path: Path, error: OSError) -> JobError:
    hints = {
        errno.EEXIST: "There is a file of that name: choose another folder.",
        errno.ENOTDIR: "Part of the path is a file: choose another folder.",
        errno.EACCES: "Choose a folder that you may write to.",
        errno.EPERM: "Choose a folder that you may write to.",
        errno.EROFS: "Choose a folder that you may write to.",
    }
    return JobError(
        "cannot_write",
        f"Could not write {path}: {error.strerror or error}.",
        hints.get(error.errno or 0, "Free some space or choose another folder, then run it again."),
        retryable=True,
    )
