"""Read and write frames: image folders, movies, RGBA PNGs, a short video."""

from __future__ import annotations

import errno
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from protocol.jobs import JobError
from protocol.limits import MIB

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tga", ".tif", ".tiff", ".webp"})
MOVIE_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mxf"})

Pixels = NDArray[np.uint8]


def read_frames(path: Path) -> Pixels:
    """Read a clip: a folder of images in natural order, one image, or a movie.

    Returns frames [T,H,W,3] uint8 sRGB. Raises JobError (``file_missing``, ``no_frames``,
    ``not_an_image``, ``frame_sizes_differ``) naming the file.
    """
    if not path.exists():
        raise JobError("file_missing", f"{path} does not exist.", "Check the path's spelling.")
    if path.is_dir():
        return stack(image_files(path))
    if path.suffix.lower() in MOVIE_SUFFIXES:
        return _read_movie(path)
    return stack([path])


def image_files(folder: Path) -> list[Path]:
    """The images of a folder in natural order (frame2 before frame10), without hidden files."""
    try:
        files = [p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")]
    except OSError as error:
        raise JobError(
            "file_missing",
            f"The folder {folder} cannot be read: {error.strerror}.",
            "Check the path's spelling.",
        ) from error
    images = [p for p in files if p.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        kinds = ", ".join(sorted(IMAGE_SUFFIXES))
        raise JobError(
            "no_frames", f"There are no images in {folder}.", f"Image files end in: {kinds}."
        )
    return sorted(images, key=_natural)


def stack(files: Sequence[Path]) -> Pixels:
    """Read images of one size as [T,H,W,3] uint8 sRGB; JobError names a file that differs."""
    frames: list[Pixels] = []
    for file in files:
        frame = read_image(file)
        if frames and frame.shape != frames[0].shape:
            (h, w), (h0, w0) = frame.shape[:2], frames[0].shape[:2]
            raise JobError(
                "frame_sizes_differ",
                f"{file.name} is {w}×{h}, but {files[0].name} is {w0}×{h0}.",
                "All frames of a clip must have the same size: scale or remove the odd ones.",
            )
        frames.append(frame)
    return np.stack(frames)


def read_image(file: Path) -> Pixels:
    """Read one image as [H,W,3] uint8 sRGB; any alpha is dropped. Raises JobError."""
    return np.ascontiguousarray(_decode(file, cv2.IMREAD_COLOR)[..., ::-1])


def read_rgba(file: Path) -> Pixels:
    """Read one image as [H,W,4] uint8 sRGB, straight alpha or opaque. Raises JobError."""
    image = _decode(file, cv2.IMREAD_UNCHANGED)
    grey = image[..., None] if image.ndim == 2 else image
    if grey.shape[2] == 1:
        grey = np.repeat(grey, 3, 2)
    alpha = grey[..., 3:] if grey.shape[2] == 4 else np.full_like(grey[..., :1], 255)
    return np.ascontiguousarray(np.concatenate([grey[..., 2::-1], alpha], 2))


def read_grey(file: Path) -> Pixels:
    """Read an image as [H,W] uint8 grey. Raises JobError."""
    return _decode(file, cv2.IMREAD_GRAYSCALE)


def read_mask(file: Path) -> Pixels:
    """Read a mask as [H,W] uint8: 255 where the image is brighter than half. Raises JobError."""
    return np.where(read_grey(file) > 127, 255, 0).astype(np.uint8)


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


def write_video(file: Path, frames: Iterable[Pixels], fps: float) -> None:
    """Write [H,W,3] uint8 sRGB frames as MPEG-4; an odd size loses its last row or column."""
    part = file.with_name(f"{file.stem}.part{file.suffix}")  # the suffix chooses the container
    with _writing(file, part):
        count = _encode(part, frames, fps)
        capture = cv2.VideoCapture(str(part))
        kept = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        capture.release()
        if kept != count:  # OpenCV itself does not report a full disk
            raise OSError(errno.EIO, f"only {max(kept, 0)} of {count} frames were kept")


def _encode(file: Path, frames: Iterable[Pixels], fps: float) -> int:
    writer: cv2.VideoWriter | None = None
    count = 0
    for count, frame in enumerate(frames, 1):  # noqa: B007
        h, w = frame.shape[0] & ~1, frame.shape[1] & ~1
        if writer is None:
            writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"mp4v"), fps, (w, h))
        writer.write(np.ascontiguousarray(frame[:h, :w, ::-1]))
    if writer is not None:
        writer.release()
    return count


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
    return JobError(
        "cannot_write",
        f"Could not write {path}: {error.strerror or error}.",
        "Free some space or choose another folder, then run it again.",
        retryable=True,
    )


def composite(frame: Pixels, layer: Pixels) -> Pixels:
    """Composite a layer over a frame, straight alpha in sRGB as the Sequencer does.

    frame [H,W,3], layer [H,W,4] → [H,W,3] uint8; exactly the frame where alpha is 0.
    """
    alpha = layer[..., 3:].astype(np.float32) / 255.0
    mixed = alpha * layer[..., :3] + (1.0 - alpha) * frame
    return np.asarray(np.rint(mixed), dtype=np.uint8)


def lay_over(front: Pixels, back: Pixels) -> Pixels:
    """Merge two layers, in sRGB; over any frame, the result looks like compositing both in turn.

    Layers and result are [H,W,4] uint8, straight alpha. Where one layer is transparent, the result
    is exactly the other; where both are, it is 0.
    """
    a = front[..., 3:].astype(np.float32) / 255.0
    b = back[..., 3:].astype(np.float32) / 255.0 * (1.0 - a)
    alpha = a + b
    colour = (a * front[..., :3] + b * back[..., :3]) / np.maximum(alpha, 1e-6)
    mixed = np.concatenate([colour * (alpha > 0), alpha * 255.0], axis=-1)
    return np.asarray(np.rint(mixed), dtype=np.uint8)


def fill_under(front: Pixels, back: Pixels) -> Pixels:
    """Raise the alpha of the layer behind, so that no seam shows along the front layer's edge.

    An object that fills half a pixel has α ½ there, and the layer behind has the other half.
    Composited, they would leave a quarter to the footage, a seam around the object; the layer
    behind must fill everything that the front one leaves. Each [H,W,4] uint8, straight alpha.
    """
    left = 255.0 - front[..., 3:].astype(np.float32)
    alpha = np.minimum(back[..., 3:] * 255.0 / np.maximum(left, 1.0), 255.0)
    return np.asarray(np.concatenate([back[..., :3], np.rint(alpha)], axis=-1), dtype=np.uint8)


def _decode(file: Path, flag: int) -> Pixels:
    try:
        data = np.fromfile(file, np.uint8)
    except OSError as error:
        raise JobError(
            "file_missing", f"Could not read {file}: {error.strerror}.", "Check the path."
        ) from error
    image = cv2.imdecode(data, flag) if data.size else None
    if image is None:
        raise JobError(
            "not_an_image",
            f"{file.name} cannot be read as an image.",
            "Remove the file from the folder, or export it again as PNG or JPEG.",
        )
    if image.dtype == np.uint16:
        image = np.rint(image / 257.0)
    return np.asarray(image, dtype=np.uint8)


def _read_movie(path: Path) -> Pixels:
    capture = cv2.VideoCapture(str(path))
    frames: list[Pixels] = []
    while True:
        ok, frame = capture.read()
        if not ok:
            break
        frames.append(np.ascontiguousarray(frame[..., ::-1], dtype=np.uint8))
    capture.release()
    if not frames:
        raise JobError(
            "not_a_movie",
            f"{path.name} cannot be read as a movie.",
            "Export it again as MP4 (H.264), or as a folder of PNG frames.",
        )
    return np.stack(frames)


def _natural(path: Path) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(p), "") if p.isdigit() else (1, 0, p.lower()) for p in parts]
