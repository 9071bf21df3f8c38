"""From what the artist typed to the job that is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..wire import jobs, validate

_PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".tga", ".tif", ".tiff", ".webp", ".exr"}
MaskMode = Literal["auto", "key", "all"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One edit as the panel holds it. Alternatives in a text are separated by semicolons.

    mask_path: the picture (mode key) or the folder of pictures (mode all). mask_frame: the frame
    on the timeline the key mask was made on. longest: long side frames are reduced to; 0: never.
    """

    prompt: str
    source: str = ""
    layer: str = "foreground"
    preset: str = "preview"
    mask_mode: MaskMode = "auto"
    mask_path: str = ""
    mask_frame: int = 0
    longest: int = 0
    seed: int = 0
    model: str = ""


def alternatives(text: str) -> tuple[str, ...]:
    """Texts separated by semicolons, trimmed, empty ones dropped."""
    return tuple(part for part in (piece.strip() for piece in text.split(";")) if part)


def check(settings: Settings) -> None:
    """Refuse an edit nothing is said about; raises JobError."""
    if not alternatives(settings.prompt):
        raise jobs.JobError(
            "empty_prompt",
            "The prompt is empty.",
            'Describe what the edited shot should show, for example "a red car on fire".',
        )


def check_before_reading(
    settings: Settings, size: tuple[int, int], frames: int, masks: Sequence[int], fps: float
) -> None:
    """Refuse what the backend would refuse, before any frame is read; raises JobError.

    size: (W, H) the frames will have. masks: frames there are masks for, counted from 0.
    """
    width, height = size

    def stand_in(index: int, channels: int) -> jobs.ObjectRef:
        shape = (height, width, channels)
        return jobs.ObjectRef(digest=f"{index:064x}", dtype="uint8", shape=shape)

    keys = tuple(jobs.KeyMask(frame=n, mask=stand_in(frames + n, 1)) for n in masks)
    clip = tuple(stand_in(index, 3) for index in range(frames))
    validate.check(edit_job(settings, clip, keys, fps))


def mask_files(settings: Settings, start: int, frames: int) -> list[tuple[int, Path]]:
    """Masks to send as (frame of the clip counted from 0, file); raises JobError.

    start: the clip's first frame on the timeline; frames: how many it has.
    """
    if settings.mask_mode == "auto":
        return []
    path = Path(settings.mask_path)
    if settings.mask_mode == "key":
        index = settings.mask_frame - start
        if not settings.mask_path or not path.is_file():
            raise jobs.JobError(
                "mask_missing",
                f"The mask {path} does not exist." if settings.mask_path else "No mask is chosen.",
                "Choose a picture of the object, white on black, or set Mask to Automatic.",
            )
        if not 0 <= index < frames:
            raise jobs.JobError(
                "mask_frame_outside",
                f"The mask is for frame {settings.mask_frame}, the strip shows frames {start} to "
                f"{start + frames - 1}.",
                "Set Mask Frame to the frame the mask was painted on.",
            )
        return [(index, path)]
    if not settings.mask_path or not path.is_dir():
        raise jobs.JobError(
            "masks_missing",
            f"The folder {path} does not exist." if settings.mask_path else "No folder is chosen.",
            "Choose the folder with one mask for every frame, or set Mask to Automatic.",
        )
    pictures = sorted(f for f in path.iterdir() if f.suffix.lower() in _PICTURES)
    if len(pictures) != frames:
        raise jobs.JobError(
            "mask_count",
            f"The folder {path.name} holds {len(pictures)} masks, the strip shows {frames} frames.",
            "One mask for every visible frame is needed, named in order.",
        )
    return list(enumerate(pictures))


def clip_model(text: str) -> jobs.ClipModel:
    """Nothing (the backend's own), ``ViT-B-32:openai``, or ``ViT-B-32:/a/file.pt``."""
    name, _, rest = text.strip().partition(":")
    if not name:
        return jobs.ClipModel(name="")
    if "/" in rest or "\\" in rest or rest.endswith((".pt", ".safetensors")):
        return jobs.ClipModel(name=name, checkpoint=rest)
    return jobs.ClipModel(name=name, pretrained=rest)


def edit_job(
    settings: Settings,
    frames: tuple[jobs.ObjectRef, ...],
    masks: tuple[jobs.KeyMask, ...],
    fps: float,
) -> jobs.EditJob:
    """The job for these settings, frames and masks."""
    check(settings)
    return jobs.EditJob(
        clip=jobs.Clip(frames=frames, fps=fps),
        prompt=alternatives(settings.prompt),
        source=alternatives(settings.source),
        masks=jobs.Masks(mode=settings.mask_mode, keys=masks),
        layer=settings.layer,
        preset=settings.preset,
        seed=settings.seed,
        model=clip_model(settings.model),
    )
