"""The preview of a strip's mask, saved on the strip: where its images are, and its confidence."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from ..core.delivery import frame_file_name
from ..core.jobs import Job
from ..core.settings import Settings
from . import compat
from .backends import PACKAGE
from .mask_keys import content_frame, timeline_frame
from .timeline import layers
from .timeline.folders import folder_for

PREVIEW = "text2live_mask_preview"


@dataclass(frozen=True, kw_only=True)
class MaskPreview:
    """A mask on every frame of a clip.

    first: the frame of the strip's content that the clip starts with. confidence: of every frame.
    """

    job: str
    fingerprint: str
    folder: Path
    first: int
    confidence: tuple[float, ...]

    def index(self, strip: Any, frame: int) -> int | None:
        """The frame of the clip at a timeline frame; None outside."""
        index = content_frame(strip, frame) - self.first
        return index if 0 <= index < len(self.confidence) else None

    def frame(self, strip: Any, index: int) -> int:
        """The timeline frame of a frame of the clip."""
        return timeline_frame(strip, self.first + index)

    def file(self, index: int) -> Path:
        """The mask's image: white, the mask as alpha."""
        return self.folder / frame_file_name(index)


def fingerprint(strip: Any, settings: Settings) -> str:
    """Hash of what a strip's masks depend on, apart from its media."""
    start, end = compat.span(strip)
    facts = [content_frame(strip, start), end - start, settings.mask_identity()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def save(job: Job) -> None:
    """Save a finished preview on its strip, in the place of an earlier one."""
    found = layers.find_source(job.anchor)
    if found is None or job.result is None or job.settings is None:
        return
    strip = found[1]
    record = {
        "job": job.id,
        "fingerprint": job.fingerprint,
        "folder": str(job.folder),
        "first": job.anchor.start - round(job.anchor.content),
        "confidence": [round(value, 3) for value in job.result.confidence],
    }
    strip[PREVIEW] = json.dumps(record)


def find(strip: Any) -> MaskPreview | None:
    """The strip's newest preview, whether or not its mask has changed since; reads no file."""
    text = strip.get(PREVIEW) if strip is not None else None
    if text is None:
        return None
    try:
        record = json.loads(str(text))
        return MaskPreview(
            job=str(record["job"]),
            fingerprint=str(record["fingerprint"]),
            folder=Path(record["folder"]),
            first=int(record["first"]),
            confidence=tuple(map(float, record["confidence"])),
        )
    except (ValueError, TypeError, KeyError):  # written by someone else
        return None


def folders() -> set[Path]:
    """The folders of this file's previews."""
    return {found.folder for _strip, found in _all()}


def follow_file() -> None:
    """After saving or loading: name the folders in which the previews are now."""
    for strip, found in _all():
        moved = folder_for(found.job, PACKAGE)
        if moved != found.folder and (moved / frame_file_name(0)).exists():
            record = {**json.loads(str(strip[PREVIEW])), "folder": str(moved)}
            strip[PREVIEW] = json.dumps(record)


def _all() -> list[tuple[Any, MaskPreview]]:
    strips = [
        strip
        for scene in bpy.data.scenes
        for strip in (compat.all_strips(scene.sequence_editor) if scene.sequence_editor else ())
    ]
    return [(strip, found) for strip in strips if (found := find(strip)) is not None]
