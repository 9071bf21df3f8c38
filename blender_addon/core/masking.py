"""Masks of a job, from the way the artist chose to point at the object."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..wire import jobs
from .settings import Settings

_IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".tga", ".tif", ".tiff", ".webp", ".exr"}
_CHOOSE = "Choose one, or another way under Shot > Object."


def mask_sources(settings: Settings, start: int, frames: int) -> list[tuple[int, Path | None]]:
    """Masks to send, as (frame of the clip counted from 0, file); raises JobError.

    Without a file, Blender renders the mask. start: the clip's first frame on the timeline. frames:
    the clip's length.
    """
    mode = settings.mask_mode
    if mode == "text":
        _check_chosen(settings)
    if mode in ("box", "image", "key"):
        _check_chosen(settings)
        index = _index(settings, start, frames)
        if mode == "box":
            return []
        return [(index, Path(settings.mask_path) if mode == "key" else None)]
    if mode in ("mask", "strip"):
        _check_chosen(settings)
        if settings.mask_every:
            return [(index, None) for index in range(frames)]
        return [(_index(settings, start, frames), None)]
    if mode == "all":
        return list(enumerate(_folder(settings, frames)))
    return []


def masks_for(
    settings: Settings,
    keys: tuple[jobs.KeyMask, ...],
    start: int,
    scale: tuple[float, float] = (1.0, 1.0),
) -> jobs.Masks:
    """The masks of a job.

    keys: the masks of mask_sources(), read. scale: (x, y), size of the sent frames relative to the
    strip's own.
    """
    mode = settings.mask_mode
    if mode == "box":
        x, y, width, height = settings.mask_box
        box = jobs.BoxKey(
            frame=settings.mask_frame - start,
            x0=x * scale[0],
            y0=y * scale[1],
            x1=(x + width) * scale[0],
            y1=(y + height) * scale[1],
        )
        return jobs.Masks(mode="key", boxes=(box,))
    if mode in ("text", "auto"):
        texts = settings.mask_texts
        model = settings.clip_model if texts else jobs.ClipModel(name="")
        return jobs.Masks(mode=mode, texts=texts, model=model)
    if mode == "none":
        return jobs.Masks(mode=mode)
    every = mode == "all" or (mode in ("mask", "strip") and settings.mask_every)
    return jobs.Masks(mode="all" if every else "key", keys=keys)


def _index(settings: Settings, start: int, frames: int) -> int:
    index = settings.mask_frame - start
    if not 0 <= index < frames:
        raise jobs.JobError(
            "mask_frame_outside",
            f"The mask is for frame {settings.mask_frame}, but the strip covers frames {start} to "
            f"{start + frames - 1}.",
            "Set On Frame to the frame the mask was made on, or make a new mask for this strip.",
        )
    return index


def _check_chosen(settings: Settings) -> None:
    mode = settings.mask_mode
    if mode == "box" and min(settings.mask_box[2:]) < 1:
        raise jobs.JobError(
            "no_box",
            "No box is drawn around the object.",
            "Press Draw Box and drag one in the preview, or choose another way under "
            "Shot > Object.",
        )
    if mode == "image" and not settings.mask_name:
        raise jobs.JobError(
            "no_mask_image",
            "No painted mask is chosen.",
            "Press Paint Mask on This Frame and paint over the object, or choose another way.",
        )
    if mode == "text" and not settings.mask_texts:
        raise jobs.JobError(
            "no_mask_text", "No text names the object.", 'Fill in "Called": what is the object?'
        )
    if mode in ("mask", "strip") and not settings.mask_name:
        what = "Blender mask" if mode == "mask" else "mask strip"
        raise jobs.JobError("no_mask_chosen", f"No {what} is chosen.", _CHOOSE)
    if mode == "key" and not (settings.mask_path and Path(settings.mask_path).is_file()):
        path = settings.mask_path
        raise jobs.JobError(
            "mask_missing",
            f"The mask {path} does not exist." if path else "No mask is chosen.",
            "Choose an image of the object, white on black, or another way under Shot > Object.",
        )


def _folder(settings: Settings, frames: int) -> Sequence[Path]:
    path = Path(settings.mask_path)
    if not settings.mask_path or not path.is_dir():
        raise jobs.JobError(
            "masks_missing",
            f"The folder {path} does not exist." if settings.mask_path else "No folder is chosen.",
            "Choose a folder with one mask for every frame, or another way under Shot > Object.",
        )
    images = sorted(f for f in path.iterdir() if f.suffix.lower() in _IMAGES)
    if len(images) != frames:
        raise jobs.JobError(
            "mask_count",
            f"The folder {path.name} holds {len(images)} masks, but the strip has {frames} frames.",
            "Put one mask for every visible frame there, named in order.",
        )
    return images
