"""Where the object is: from what the artist chose to the masks that are sent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..wire import jobs
from .settings import Settings

POINTED = ("box", "image", "key")
"""Modes that point at the object on one frame, and have it carried through the shot."""

_PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".tga", ".tif", ".tiff", ".webp", ".exr"}
_CHOOSE = "Choose another way under Shot > Object, or mend this one."


def sources(settings: Settings, start: int, frames: int) -> list[tuple[int, Path | None]]:
    """Mask pictures to send, as (frame of the clip counted from 0, file); raises JobError.

    No file: Blender draws it. start: the clip's first frame on the timeline; frames: how many it
    has.
    """
    mode = settings.mask_mode
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


def masks_of(
    settings: Settings,
    keys: tuple[jobs.KeyMask, ...],
    start: int,
    scale: tuple[float, float] = (1.0, 1.0),
) -> jobs.Masks:
    """The masks of a job. keys: the pictures of sources(), read. scale: of x and y, sent size to
    the strip's own."""
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
            f"The mask is for frame {settings.mask_frame}, the strip shows frames {start} to "
            f"{start + frames - 1}.",
            "Set On Frame to the frame the mask was made on, or make it anew on this strip.",
        )
    return index


def _check_chosen(settings: Settings) -> None:
    mode = settings.mask_mode
    if mode == "box" and min(settings.mask_box[2:]) < 1:
        raise jobs.JobError(
            "no_box",
            "No box is drawn round the object.",
            "Press Draw Box and drag it in the preview, or choose another way under Shot > Object.",
        )
    if mode == "image" and not settings.mask_name:
        raise jobs.JobError(
            "no_mask_image",
            "No painted mask is chosen.",
            "Press Paint Mask on This Frame and paint over the object, or choose another way.",
        )
    if mode in ("mask", "strip") and not settings.mask_name:
        what = "Blender mask" if mode == "mask" else "mask strip"
        raise jobs.JobError("no_mask_chosen", f"No {what} is chosen.", _CHOOSE)
    if mode == "key" and not (settings.mask_path and Path(settings.mask_path).is_file()):
        path = settings.mask_path
        raise jobs.JobError(
            "mask_missing",
            f"The mask {path} does not exist." if path else "No mask is chosen.",
            "Choose a picture of the object, white on black, or choose another way under "
            "Shot > Object.",
        )


def _folder(settings: Settings, frames: int) -> Sequence[Path]:
    path = Path(settings.mask_path)
    if not settings.mask_path or not path.is_dir():
        raise jobs.JobError(
            "masks_missing",
            f"The folder {path} does not exist." if settings.mask_path else "No folder is chosen.",
            "Choose the folder with one mask for every frame, or choose another way under "
            "Shot > Object.",
        )
    pictures = sorted(f for f in path.iterdir() if f.suffix.lower() in _PICTURES)
    if len(pictures) != frames:
        raise jobs.JobError(
            "mask_count",
            f"The folder {path.name} holds {len(pictures)} masks, the strip shows {frames} frames.",
            "One mask for every visible frame is needed, named in order.",
        )
    return pictures
