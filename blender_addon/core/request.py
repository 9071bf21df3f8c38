"""From what the artist typed to the job that is sent."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..wire import jobs, validate
from .masking import MaskMode, masks_of

Kind = Literal["edit", "atlas", "paint"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One job as the panel holds it. Alternatives in a text are separated by semicolons.

    kind: edit, atlas (analyse the shot) or paint. mask_path: the picture (mode key) or the folder
    of pictures (mode all). mask_name: the image, mask or mask strip of this file. mask_frame: the
    frame on the timeline that the mask or box is for. mask_box: x, y of its upper left corner,
    width, height, in pixels of the strip's picture, y downwards. mask_every: draw the mask on every
    frame, not on mask_frame alone. paint_frame: the frame on the timeline that was painted over;
    None: the atlas. detail: of the footage's own that the layer takes on; None: as the backend has
    it. longest: long side frames are reduced to; 0: never. after: id of the edit to
    start from.
    """

    kind: Kind = "edit"
    prompt: str = ""
    source: str = ""
    screen: str = ""
    region: str = ""
    avoid: str = ""
    background: str = ""
    background_source: str = ""
    recipe: str = "texture"
    layer: str = "foreground"
    preset: str = "preview"
    strength: float = 1.0
    detail: float | None = None
    seed: int = 0
    model: str = ""
    engine: str = "explicit"
    after: str = ""
    mask_mode: MaskMode = "auto"
    mask_path: str = ""
    mask_name: str = ""
    mask_frame: int = 0
    mask_box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    mask_every: bool = True
    mask_text: str = ""
    paint_frame: int | None = None
    longest: int = 0

    @property
    def title(self) -> str:
        """What a list of jobs calls it."""
        if self.kind == "atlas":
            return "Analysis"
        if self.kind == "paint":
            if self.paint_frame is not None:
                return f"Paint on frame {self.paint_frame}"
            what = "object" if self.layer == "foreground" else "background"
            return f"Paint on {what} atlas"
        return alternatives(self.prompt)[0]

    @property
    def mask_texts(self) -> tuple[str, ...]:
        """What the object is called, where it is found by text or a text may help.

        A text alone must say something, and takes the edit's. The automatic search may not: with
        every other edit it would find another object, and analyse the shot anew.
        """
        called = alternatives(self.mask_text)
        if self.mask_mode != "text":
            return called
        return called or alternatives(self.region) or alternatives(self.source)

    @property
    def clip_model(self) -> jobs.ClipModel:
        """The text-image model asked for."""
        return clip_model(self.model)

    def to_plain(self) -> dict[str, Any]:
        """Plain values, for keeping beside the layer; no secret is among them."""
        return {**dataclasses.asdict(self), "mask_box": list(self.mask_box)}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Settings:
        """Back from plain values; unknown keys of a later version are ignored."""
        known = {field.name for field in dataclasses.fields(cls)}
        kept = {key: value for key, value in plain.items() if key in known}
        if "mask_box" in kept:
            kept["mask_box"] = tuple(kept["mask_box"])
        return cls(**kept)

    def decomposition(self) -> str:
        """Fingerprint of what decides about the shot's atlas, the strip's own pictures aside."""
        used: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("preset", "seed", "engine", "longest", "mask_mode")
        }
        if self.mask_mode in ("key", "all"):
            used["path"] = self.mask_path
        if self.mask_mode in ("image", "mask", "strip"):
            used |= {"name": self.mask_name, "every": self.mask_every}
        if self.mask_mode in ("box", "image", "key") or not used.get("every", True):
            used["frame"] = self.mask_frame
        if self.mask_mode == "box":
            used["box"] = list(self.mask_box)
        if self.mask_mode == "text" or (self.mask_mode == "auto" and self.mask_texts):
            used |= {"texts": self.mask_texts, "model": self.model}
        return hashlib.sha256(json.dumps(used, sort_keys=True).encode()).hexdigest()[:16]


def alternatives(text: str) -> tuple[str, ...]:
    """Texts separated by semicolons, trimmed, empty ones dropped."""
    return tuple(part for part in (piece.strip() for piece in text.split(";")) if part)


def check(settings: Settings) -> None:
    """Refuse an edit nothing is said about; raises JobError."""
    if settings.kind == "edit" and not alternatives(settings.prompt):
        raise jobs.JobError(
            "empty_prompt",
            "The prompt is empty.",
            'Describe what the edited shot should show, for example "a red car on fire".',
        )


def check_before_reading(
    settings: Settings,
    size: tuple[int, int],
    frames: int,
    masks: Sequence[int],
    fps: float,
    start: int = 0,
) -> None:
    """Refuse what the backend would refuse, before any frame is read; raises JobError.

    size: (W, H) the frames will have. masks: frames there are masks for, counted from 0. start:
    first frame on the timeline.
    """
    width, height = size

    def stand_in(index: int, channels: int) -> jobs.ObjectRef:
        shape = (height, width, channels)
        return jobs.ObjectRef(digest=f"{index:064x}", dtype="uint8", shape=shape)

    keys = tuple(jobs.KeyMask(frame=n, mask=stand_in(frames + n, 1)) for n in masks)
    clip = tuple(stand_in(index, 3) for index in range(frames))
    paint = stand_in(2 * frames, 4)
    validate.check(job_spec(settings, clip, masks_of(settings, keys, start), fps, start, paint))


def clip_model(text: str) -> jobs.ClipModel:
    """Nothing (the backend's own), ``ViT-B-32:openai``, or ``ViT-B-32:/a/file.pt``."""
    name, _, rest = text.strip().partition(":")
    if not name:
        return jobs.ClipModel(name="")
    if "/" in rest or "\\" in rest or rest.endswith((".pt", ".safetensors")):
        return jobs.ClipModel(name=name, checkpoint=rest)
    return jobs.ClipModel(name=name, pretrained=rest)


def job_spec(
    settings: Settings,
    frames: tuple[jobs.ObjectRef, ...],
    masks: jobs.Masks,
    fps: float,
    start: int = 0,
    image: jobs.ObjectRef | None = None,
) -> jobs.JobSpec:
    """The job for these settings, frames and masks.

    start: first frame on the timeline. image: what was painted, of kind paint.
    """
    check(settings)
    clip = jobs.Clip(frames=frames, fps=fps)
    if settings.kind == "atlas":
        return jobs.AtlasJob(
            clip=clip,
            masks=masks,
            preset=settings.preset,
            seed=settings.seed,
            engine=settings.engine,
        )
    if settings.kind == "paint":
        assert image is not None
        return jobs.PaintJob(
            clip=clip,
            image=image,
            frame=None if settings.paint_frame is None else settings.paint_frame - start,
            masks=masks,
            layer=settings.layer,
            preset=settings.preset,
            seed=settings.seed,
            atlas_engine=settings.engine,
        )
    both = settings.layer == "both"
    return jobs.EditJob(
        clip=clip,
        prompt=alternatives(settings.prompt),
        source=alternatives(settings.source),
        screen=alternatives(settings.screen),
        region=alternatives(settings.region),
        avoid=alternatives(settings.avoid),
        background=alternatives(settings.background) if both else (),
        background_source=alternatives(settings.background_source) if both else (),
        recipe=settings.recipe,
        masks=masks,
        layer=settings.layer,
        preset=settings.preset,
        strength=settings.strength,
        detail=settings.detail,
        seed=settings.seed,
        model=settings.clip_model,
        atlas_engine=settings.engine,
        after=settings.after,
    )
