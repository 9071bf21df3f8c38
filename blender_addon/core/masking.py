"""Masks of a job, from the way the artist chose to point at the object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..wire import jobs
from .mask_keys import MaskKey, check_key, keys_within
from .settings import Settings

_IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".tga", ".tif", ".tiff", ".webp", ".exr"}
_CHOOSE = "Choose one, or another way under Shot > Object."


@dataclass(frozen=True)
class MaskSource:
    """Where the mask of one frame of the clip comes from. frame: counted from 0.

    Neither a file nor a key frame: Blender renders the mask.
    """

    frame: int
    path: Path | None = None
    key: MaskKey | None = None


def mask_sources(settings: Settings, start: int, frames: int, first: int = 0) -> list[MaskSource]:
    """The masks and strokes to send; boxes are sent as numbers. Raises JobError.

    start: the clip's first frame on the timeline; first: in the strip's content. frames: the clip's
    length.
    """
    mode = settings.mask_mode
    _check_chosen(settings)
    if mode == "keys":
        keys = _keys(settings, start, frames, first)
        return [MaskSource(index, key=key) for index, key in keys if key.kind != "box"]
    if mode in ("mask", "strip"):
        if settings.mask_every:
            return [MaskSource(index) for index in range(frames)]
        return [MaskSource(_index(settings, start, frames))]
    if mode == "all":
        return [MaskSource(index, path) for index, path in enumerate(_folder(settings, frames))]
    return []


def masks_for(
    settings: Settings,
    keys: Sequence[jobs.KeyMask] = (),
    strokes: Sequence[jobs.StrokeKey] = (),
    first: int = 0,
    frames: int = 0,
    scale: tuple[float, float] = (1.0, 1.0),
) -> jobs.Masks:
    """The masks of a job.

    keys, strokes: the masks of mask_sources(), read. first, frames: as there. scale: (x, y), size
    of the sent frames relative to the strip's own.
    """
    mode = settings.mask_mode
    if mode == "keys":
        boxes = tuple(
            _box(index, key, scale)
            for index, key in keys_within(settings.mask_keys, first, frames)
            if key.kind == "box"
        )
        return jobs.Masks(mode="key", keys=tuple(keys), boxes=boxes, strokes=tuple(strokes))
    if mode in ("text", "auto"):
        texts = settings.mask_texts
        model = settings.clip_model if texts else jobs.ClipModel(name="")
        return jobs.Masks(mode=mode, texts=texts, model=model)
    if mode == "none":
        return jobs.Masks(mode=mode)
    every = mode == "all" or settings.mask_every
    return jobs.Masks(mode="all" if every else "key", keys=tuple(keys))


def _box(index: int, key: MaskKey, scale: tuple[float, float]) -> jobs.BoxKey:
    x, y, width, height = key.box
    return jobs.BoxKey(
        frame=index,
        x0=x * scale[0],
        y0=y * scale[1],
        x1=(x + width) * scale[0],
        y1=(y + height) * scale[1],
    )


def _keys(settings: Settings, start: int, frames: int, first: int) -> list[tuple[int, MaskKey]]:
    """The key frames on the strip's visible frames; raises JobError if one cannot be used."""
    found = keys_within(settings.mask_keys, first, frames)
    for index, key in found:
        check_key(key, start + index)
    if any(key.kind != "strokes" for _, key in found):
        return found
    if any(stroke.inside for _, key in found for stroke in key.strokes):
        return found
    hint = (
        f"Go to a frame from {start} to {start + frames - 1} that shows the object, and press "
        "Box, or choose another way under Shot > Object."
    )
    if found:
        message = "There are only background strokes, and no key frame shows the object."
    elif settings.mask_keys:
        message = "No key frame of the mask lies on the strip's visible frames."
    else:
        message = "No key frame shows where the object is."
    raise jobs.JobError("no_key_frame", message, hint)


def _index(settings: Settings, start: int, frames: int) -> int:
    index = settings.mask_frame - start
    if not 0 <= index < frames:
        raise jobs.JobError(
            "mask_frame_outside",
            f"The mask is for frame {settings.mask_frame}, but the strip covers frames {start} to "
            f"{start + frames - 1}.",
            "Set On Frame to a frame of the strip.",
        )
    return index


def _check_chosen(settings: Settings) -> None:
    mode = settings.mask_mode
    if mode == "text" and not settings.mask_texts:
        raise jobs.JobError(
            "no_mask_text", "No text names the object.", 'Fill in "Called": what is the object?'
        )
    if mode in ("mask", "strip") and not settings.mask_name:
        what = "Blender mask" if mode == "mask" else "mask strip"
        raise jobs.JobError("no_mask_chosen", f"No {what} is chosen.", _CHOOSE)


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
