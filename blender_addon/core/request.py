"""From what the artist typed to the job that is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..wire import jobs

MaskMode = Literal["auto", "key", "all"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One edit as the panel holds it. Alternatives in a text are separated by semicolons."""

    prompt: str
    source: str = ""
    layer: str = "foreground"
    preset: str = "preview"
    mask_mode: MaskMode = "auto"
    seed: int = 0
    model: str = "demo"


def alternatives(text: str) -> tuple[str, ...]:
    """Texts separated by semicolons, trimmed, empty ones dropped."""
    return tuple(part for part in (piece.strip() for piece in text.split(";")) if part)


def check(settings: Settings) -> None:
    """Refuse what the backend could not work with, before any frame is read; raises JobError."""
    if not alternatives(settings.prompt):
        raise jobs.JobError(
            "empty_prompt",
            "The prompt is empty.",
            'Describe what the edited shot should show, for example "a red car on fire".',
        )


def clip_model(text: str) -> jobs.ClipModel:
    """``demo``, ``ViT-B-32/openai`` or ``ViT-B-32`` and a file: ``ViT-B-32@/models/b32.pt``."""
    if "@" in text:
        name, checkpoint = text.split("@", 1)
        return jobs.ClipModel(name=name.strip(), checkpoint=checkpoint.strip())
    name, _, pretrained = text.partition("/")
    return jobs.ClipModel(name=name.strip() or "demo", pretrained=pretrained.strip())


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
